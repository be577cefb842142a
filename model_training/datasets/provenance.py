"""Provenance of a data set: the state of each file by its digest. Every report includes it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from model_training.datasets.table import DATASETS, Dataset, File

COMPLETE, PARTIAL, UNVERIFIED, FOREIGN, ALTERED = "complete", "partial", "unverified", "not in the data set", "altered"


class DatasetError(Exception):
    """A data set is unusable. The text is one sentence: the problem, its place, the remedy."""


class FileState(NamedTuple):
    """State of one file.

    Attributes:
        sha256: digest of this file, hex.
        rows: number of complete rows.
        state: one of `complete`, `partial`, `unverified`, `not in the data set`, `altered`.
        note: the reason why the file is not complete, or empty.
    """

    name: str
    sha256: str
    rows: int
    state: str
    note: str = ""


class Provenance(NamedTuple):
    """Origin of data, for reports and manifests.

    Attributes:
        missing: names of the data set's files that this copy lacks.
    """

    dataset: str
    files: tuple[FileState, ...]
    missing: tuple[str, ...]

    @property
    def partial(self) -> bool:
        """True if a file is missing, incomplete or altered."""
        return bool(self.missing) or any(file.state in (PARTIAL, ALTERED) for file in self.files)

    @property
    def state(self) -> str:
        """State of the data set: `complete` (every file by its digest), `partial`, or `unverified` (otherwise)."""
        if self.partial:
            return PARTIAL
        return COMPLETE if all(file.state == COMPLETE for file in self.files) else UNVERIFIED

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by file name."""
        return {file.name: file.sha256 for file in self.files}

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of all present files."""
        lines = "".join(f"{file.sha256}  {file.name}\n" for file in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a report; the first states whether the data set is complete, partial or unverified."""
        known = DATASETS[self.dataset].files
        present = len(known) - len(self.missing)
        whole = sum(file.state == COMPLETE for file in self.files)
        counts = f"{present} of {len(known)} files, {whole} of them complete by their digest"
        first = f"{self.dataset}: {self.state}, digest {self.digest[:16]}…; {counts}"
        missing = (f"missing: {', '.join(self.missing)}",) if self.missing else ()
        return first, *missing, *(f"{file.name}: {file.note}" for file in self.files if file.note)

    def as_json(self) -> dict[str, Any]:
        """Plain data, for reports and model cards."""
        about = DATASETS[self.dataset]
        return {
            "dataset": self.dataset,
            "state": self.state,
            "partial": self.partial,
            "sha256": self.digest,
            "licence": about.licence,
            "citation": about.citation,
            "missing": list(self.missing),
            "files": [file._asdict() for file in self.files],
        }


def file_state(dataset: Dataset, name: str, content: bytes) -> FileState:
    """Determine the state of a file by its content."""
    digest = hashlib.sha256(content).hexdigest()
    rows = max(content.count(b"\n") - dataset.header, 0)
    known = dataset.file(name)
    if known is None:
        return FileState(name, digest, rows, FOREIGN, "not a file of the data set")
    return FileState(name, digest, rows, *_state(known, digest, rows))


def _state(known: File, digest: str, rows: int) -> tuple[str, str]:
    if known.sha256:
        if digest == known.sha256:
            return COMPLETE, ""
        assert known.rows is not None
        if rows < known.rows:
            return PARTIAL, f"partial: {rows} of {known.rows} rows, digest of this part {digest[:16]}…"
        return ALTERED, f"its SHA-256 is {digest[:16]}…, expected {known.sha256[:16]}…"
    largest = max((part[0] for part in known.parts), default=0)
    if digest in (part[1] for part in known.parts) or rows < (known.rows or largest):
        total = f"{known.rows} rows" if known.rows else f"more than {largest} rows"
        what = f"without the columns {', '.join(known.columns)}" if known.columns and rows == known.rows else f"{rows} of {total}"
        return PARTIAL, f"partial: {what}, digest of this part {digest[:16]}…; the digest of the complete file is unknown"
    return UNVERIFIED, f"{rows} rows, digest {digest[:16]}…; the digest of the complete file is unknown"


def locate(folder: Path, name: str) -> Path:
    """Return `folder`, or its subfolder with the data set's name.

    Raises:
        DatasetError: the folder does not exist.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not a folder; name the folder with the files of {name}, or download them: edgeml data fetch {name}"
        )
    return folder / name if (folder / name).is_dir() else folder


def examine(name: str, folder: Path, pattern: str, altered: str = "refuse") -> tuple[Provenance, dict[str, bytes]]:
    """Determine the state of the files of data set `name` below `folder`, and read their contents.

    Args:
        pattern: glob of the files to read.
        altered: `refuse`, or `warn` to accept altered files with a note, for an evaluation on modified recordings.

    Raises:
        DatasetError: no file found, or a file is altered.
    """
    dataset = DATASETS[name]
    root = locate(folder, name)
    contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.glob(pattern)) if path.is_file()}
    if not any(dataset.file(each) or name == "skab" for each in contents):
        first = dataset.files[0].name
        raise DatasetError(f"{root} has no file of {name}, such as {first}; download them: edgeml data fetch {name} --out {folder}")
    files = tuple(file_state(dataset, each, content) for each, content in contents.items() if dataset.file(each) or name == "skab")
    for file in files:
        if file.state == ALTERED and altered == "refuse":
            raise DatasetError(f"{root / file.name} is altered: {file.note}; download it again: edgeml data fetch {name}")
    missing = tuple(file.name for file in dataset.files if file.name not in contents)
    return Provenance(name, files, missing), contents
