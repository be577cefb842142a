"""What a data set's files are: complete, partial, or unknown; altered ones are refused. Every report carries this."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from model_training.datasets.table import DATASETS, Dataset, File

COMPLETE, PARTIAL, UNVERIFIED, FOREIGN, ALTERED = "complete", "partial", "unverified", "not of the data set", "altered"


class DatasetError(Exception):
    """The root is one sentence: what, where, the remedy."""


class FileState(NamedTuple):
    """What one file is.

    Attributes:
        sha256: its own digest, hex.
        rows: whole rows in it.
        state: one of `complete`, `partial`, `unverified`, `not of the data set`, `altered`.
        note: a sentence on why it is not complete; empty if it is.
    """

    name: str
    sha256: str
    rows: int
    state: str
    note: str = ""


class Provenance(NamedTuple):
    """Where data came from, for reports and manifests.

    Attributes:
        missing: names of files that the complete data set has and this copy has not.
    """

    dataset: str
    files: tuple[FileState, ...]
    missing: tuple[str, ...]

    @property
    def partial(self) -> bool:
        """Something is known to be missing, incomplete or altered."""
        return bool(self.missing) or any(file.state in (PARTIAL, ALTERED) for file in self.files)

    @property
    def state(self) -> str:
        """`complete` (every file, by its digest), `partial`, or `unverified`: nothing is known to be missing, not every digest is known."""
        if self.partial:
            return PARTIAL
        return COMPLETE if all(file.state == COMPLETE for file in self.files) else UNVERIFIED

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by file name."""
        return {file.name: file.sha256 for file in self.files}

    @property
    def digest(self) -> str:
        """SHA-256 over all names and digests: the data set's own, partial or not."""
        lines = "".join(f"{file.sha256}  {file.name}\n" for file in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a report has to carry; the first says whether the data set is complete, partial or unverified."""
        known = DATASETS[self.dataset].files
        have = len(known) - len(self.missing)
        whole = sum(file.state == COMPLETE for file in self.files)
        counts = f"{have} of {len(known)} files, {whole} of them complete by their digest"
        first = f"{self.dataset}: {self.state}, digest {self.digest[:16]}…; {counts}"
        lacking = (f"missing: {', '.join(self.missing)}",) if self.missing else ()
        return first, *lacking, *(f"{file.name}: {file.note}" for file in self.files if file.note)

    def as_json(self) -> dict[str, Any]:
        """For reports and cards."""
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


def judge(dataset: Dataset, name: str, content: bytes) -> FileState:
    """What a file with this content is."""
    digest = hashlib.sha256(content).hexdigest()
    rows = max(content.count(b"\n") - dataset.header, 0)
    known = dataset.file(name)
    if known is None:
        return FileState(name, digest, rows, FOREIGN, "no file of the data set; nothing is known of it")
    return FileState(name, digest, rows, *_state(known, digest, rows))


def _state(known: File, digest: str, rows: int) -> tuple[str, str]:
    if known.sha256:
        if digest == known.sha256:
            return COMPLETE, ""
        assert known.rows is not None
        if rows < known.rows:
            return PARTIAL, f"partial: {rows} of {known.rows} rows, under its own digest {digest[:16]}…"
        return ALTERED, f"its SHA-256 is {digest[:16]}…, that of the complete file is {known.sha256[:16]}…"
    largest = max((part[0] for part in known.parts), default=0)
    if digest in (part[1] for part in known.parts) or rows < (known.rows or largest):
        total = f"{known.rows} rows" if known.rows else f"more than {largest} rows"
        what = f"without the columns {', '.join(known.columns)}" if known.columns and rows == known.rows else f"{rows} of {total}"
        return PARTIAL, f"partial: {what}, under its own digest {digest[:16]}…; that of the complete file is not known"
    return UNVERIFIED, f"{rows} rows; the digest of the complete file is not known, so its own, {digest[:16]}…, is only recorded"


def locate(folder: Path, name: str) -> Path:
    """`folder`, or the folder of the data set's name below it.

    Raises:
        DatasetError: there is no such folder.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; give the one with the files of {name}, or get them: edgeml data fetch {name}")
    return folder / name if (folder / name).is_dir() else folder


def examine(name: str, folder: Path, pattern: str, altered: str = "refuse") -> tuple[Provenance, dict[str, bytes]]:
    """What the files of data set `name` below `folder` are, and their contents by name.

    Args:
        pattern: a glob of the files to look at.
        altered: `refuse`, or `tell` to have an altered file with a note: to judge a model on changed recordings.

    Raises:
        DatasetError: there is none, or one is altered.
    """
    dataset = DATASETS[name]
    root = locate(folder, name)
    contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.glob(pattern)) if path.is_file()}
    if not any(dataset.file(each) or name == "skab" for each in contents):
        first = dataset.files[0].name
        raise DatasetError(f"{root} has no file of {name}, such as {first}; get them: edgeml data fetch {name} --out {folder}")
    files = tuple(judge(dataset, each, content) for each, content in contents.items() if dataset.file(each) or name == "skab")
    for file in files:
        if file.state == ALTERED and altered == "refuse":
            raise DatasetError(f"{root / file.name} is altered: {file.note}; get it anew: edgeml data fetch {name}")
    missing = tuple(file.name for file in dataset.files if file.name not in contents)
    return Provenance(name, files, missing), contents
