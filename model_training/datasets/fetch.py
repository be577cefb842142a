"""Download a data set by name, or copy it from a folder. Every file is verified before it is stored."""

from __future__ import annotations

import io
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from model_training.datasets.provenance import ALTERED, COMPLETE, DatasetError, FileState, Provenance, file_state
from model_training.datasets.table import DATASETS, Dataset
from model_training.progress import steps

Log = Callable[[str], None]
MAX_BYTES = 1 << 28
"""Maximum size of a download and of its unpacked files; all known data sets are smaller."""
CHUNK_BYTES = 1 << 16
TIMEOUT_S = 30.0


def fetch(name: str, out: Path, source: Path | None = None, base: str = "", log: Log = lambda text: None) -> Provenance:
    """Store the files of data set `name` in `out/<name>/`.

    A file that is already complete by its digest is not downloaded again. Files are written to a temporary name and renamed once they
    are complete and verified, so an interrupted download keeps the existing files.

    Args:
        source: folder with the files, instead of the address.
        base: another base address, such as a mirror.
        log: receives a line about each file.

    Raises:
        DatasetError: the name is unknown, the download failed, or a file is altered.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}; choose one of {', '.join(sorted(DATASETS))}")
    dataset, place = DATASETS[name], out / name
    states = {file.name: state for file in dataset.files if (state := _current_state(dataset, place, file.name)) is not None}
    required = [file.name for file in dataset.files if file.name not in states or states[file.name].state != COMPLETE]
    if required:
        contents = _from_folder(name, source, required, log) if source else _from_address(dataset, base, required, log)
        for file, content in contents:
            states[file] = _store(dataset, place, file, content, log)
    missing = tuple(file.name for file in dataset.files if file.name not in states)
    return Provenance(name, tuple(states[file.name] for file in dataset.files if file.name in states), missing)


def _current_state(dataset: Dataset, place: Path, file: str) -> FileState | None:
    path = place / file
    return file_state(dataset, file, path.read_bytes()) if path.is_file() else None


def _store(dataset: Dataset, place: Path, file: str, content: bytes, log: Log) -> FileState:
    state = file_state(dataset, file, content)
    if state.state == ALTERED:
        raise DatasetError(
            f"{file} differs from the data set's file: {state.note}; the file was not stored, check the address or the folder"
        )
    path = place / file
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as fault:
        partial.unlink(missing_ok=True)
        raise DatasetError(f"{path} cannot be written ({fault.strerror}); free disk space or choose another --out") from None
    log(f"{file}: {state.state}" + (f"; {state.note}" if state.note else ""))
    return state


def _from_folder(name: str, source: Path, required: list[str], log: Log) -> Iterator[tuple[str, bytes]]:
    root = source / name if (source / name).is_dir() else source
    found = [file for file in required if (root / file).is_file()]
    if not found:
        raise DatasetError(f"{root} has no file of {name}, such as {required[0]}; name the folder that holds the files")
    for file in found:
        yield file, (root / file).read_bytes()


def _from_address(dataset: Dataset, base: str, required: list[str], log: Log) -> Iterator[tuple[str, bytes]]:
    if not dataset.archive:
        for file in required:
            (address,) = [each for each in dataset.addresses(base) if each.endswith("/" + file)]
            yield file, download(address, log)
        return
    (address,) = dataset.addresses(base)
    members = _members(download(address, log), address)
    for file in required:
        if file not in members:
            raise DatasetError(f"{address} has no file {file}; it has {', '.join(sorted(members)[:5])}; check the address")
        yield file, members[file]


def _members(archive: bytes, address: str, depth: int = 2) -> dict[str, bytes]:
    """Contents of a zip and of nested zips, by file name without folders."""
    members: dict[str, bytes] = {}
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            for entry in opened.infolist():
                if entry.is_dir() or entry.file_size > MAX_BYTES:
                    continue
                total += entry.file_size
                if total > MAX_BYTES:
                    raise DatasetError(f"{address} unpacks to more than {MAX_BYTES >> 20} MiB, more than any of the data sets")
                content = opened.read(entry)
                if entry.filename.endswith(".zip") and depth:
                    members |= _members(content, f"{address}, {entry.filename}", depth - 1)
                else:
                    members[Path(entry.filename).name] = content
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, NotImplementedError, RuntimeError) as fault:
        raise DatasetError(f"{address} is not a complete zip ({fault}); try again later") from None
    return members


def download(address: str, log: Log = lambda text: None, timeout_s: float = TIMEOUT_S) -> bytes:
    """Download the content of an address.

    Raises:
        DatasetError: no response, an error status, or a truncated response.
    """
    scheme = urllib.parse.urlsplit(address).scheme
    if scheme not in ("http", "https"):
        raise DatasetError(f"{address} is not an HTTP address; begin it with https://")
    try:
        with urllib.request.urlopen(address, timeout=timeout_s) as answer:
            return _body(answer, address, log)
    except urllib.error.HTTPError as fault:
        raise DatasetError(
            f"{address} returned {fault.code} {fault.reason}; check the address, or name a folder with the files with --from"
        ) from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "reason", None) or fault
        raise DatasetError(f"{address} cannot be read ({reason}); check the network, or name a folder with the files with --from") from None


def _body(answer: io.BufferedIOBase, address: str, log: Log) -> bytes:
    required = int(getattr(answer, "headers", {}).get("Content-Length") or 0)
    got, reported = bytearray(), 0
    while chunk := answer.read(CHUNK_BYTES):
        got += chunk
        if len(got) > MAX_BYTES:
            raise DatasetError(f"{address} sends more than {MAX_BYTES >> 20} MiB, more than any of the data sets; check the address")
        steps("download", len(got), max(required, len(got)))
        if required and (tenth := len(got) * 10 // required) > reported:
            reported = tenth
            log(f"{address.rsplit('/', 1)[1]}: {len(got) / 1e6:.1f} of {required / 1e6:.1f} MB")
    if len(got) < required:
        raise DatasetError(f"{address}: connection closed after {len(got)} of {required} bytes; try again")
    return bytes(got)
