"""Gets a data set by name: from its address, or from a folder; each file is checked before it takes its place."""

from __future__ import annotations

import io
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from model_training.datasets.provenance import ALTERED, COMPLETE, DatasetError, FileState, Provenance, judge
from model_training.datasets.table import DATASETS, Dataset
from model_training.progress import steps

Say = Callable[[str], None]
LARGEST = 1 << 28
"""Bytes; a longer answer is none of these data sets."""
PIECE = 1 << 16
TIMEOUT_S = 30.0


def fetch(name: str, out: Path, source: Path | None = None, base: str = "", say: Say = lambda text: None) -> Provenance:
    """Put the files of data set `name` into `out/<name>/`.

    A file that is there and complete by its digest is not fetched again. A file is written beside its place and moved there
    when it is whole and not altered; what stops half-way leaves what was there.

    Args:
        source: a folder that has them already, instead of the address.
        base: another address to append to, such as a mirror's.
        say: hears a line about each file.

    Raises:
        DatasetError: unknown name; no answer; an altered file.
    """
    if name not in DATASETS:
        raise DatasetError(f"{name!r} is no known data set; choose one of {', '.join(sorted(DATASETS))}")
    dataset, place = DATASETS[name], out / name
    have = {file.name: state for file in dataset.files if (state := _at(dataset, place, file.name)) is not None}
    wanted = [file.name for file in dataset.files if file.name not in have or have[file.name].state != COMPLETE]
    if wanted:
        contents = _from_folder(name, source, wanted, say) if source else _from_address(dataset, base, wanted, say)
        for file, content in contents:
            have[file] = _keep(dataset, place, file, content, say)
    missing = tuple(file.name for file in dataset.files if file.name not in have)
    return Provenance(name, tuple(have[file.name] for file in dataset.files if file.name in have), missing)


def _at(dataset: Dataset, place: Path, file: str) -> FileState | None:
    path = place / file
    return judge(dataset, file, path.read_bytes()) if path.is_file() else None


def _keep(dataset: Dataset, place: Path, file: str, content: bytes, say: Say) -> FileState:
    state = judge(dataset, file, content)
    if state.state == ALTERED:
        raise DatasetError(f"{file} is not the data set's: {state.note}; nothing of it is kept, look at the address or the folder")
    path = place / file
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise DatasetError(f"{path} cannot be written ({fault.strerror}); make room or choose another --out") from None
    say(f"{file}: {state.state}" + (f"; {state.note}" if state.note else ""))
    return state


def _from_folder(name: str, source: Path, wanted: list[str], say: Say) -> Iterator[tuple[str, bytes]]:
    root = source / name if (source / name).is_dir() else source
    found = [file for file in wanted if (root / file).is_file()]
    if not found:
        raise DatasetError(f"{root} has no file of {name}, such as {wanted[0]}; name the folder that has them")
    for file in found:
        yield file, (root / file).read_bytes()


def _from_address(dataset: Dataset, base: str, wanted: list[str], say: Say) -> Iterator[tuple[str, bytes]]:
    if not dataset.archive:
        for file in wanted:
            (address,) = [each for each in dataset.addresses(base) if each.endswith("/" + file)]
            yield file, download(address, say)
        return
    (address,) = dataset.addresses(base)
    members = _members(download(address, say), address)
    for file in wanted:
        if file not in members:
            raise DatasetError(f"{address} holds no {file}, but {', '.join(sorted(members)[:5])}; look at the address")
        yield file, members[file]


def _members(archive: bytes, address: str, depth: int = 2) -> dict[str, bytes]:
    """The files of a zip by their last name, those in a zip within it too."""
    members: dict[str, bytes] = {}
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            for entry in opened.infolist():
                if entry.is_dir() or entry.file_size > LARGEST:
                    continue
                total += entry.file_size
                if total > LARGEST:
                    raise DatasetError(f"{address} unpacks to more than {LARGEST >> 20} MiB, which is none of these data sets")
                content = opened.read(entry)
                if entry.filename.endswith(".zip") and depth:
                    members |= _members(content, f"{address}, {entry.filename}", depth - 1)
                else:
                    members[Path(entry.filename).name] = content
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, NotImplementedError, RuntimeError) as fault:
        raise DatasetError(f"{address} is no whole zip ({fault}); try again later") from None
    return members


def download(address: str, say: Say = lambda text: None, timeout_s: float = TIMEOUT_S) -> bytes:
    """What is at an address.

    Raises:
        DatasetError: no answer, another answer than success, or one that breaks off.
    """
    scheme = urllib.parse.urlsplit(address).scheme
    if scheme not in ("http", "https"):
        raise DatasetError(f"{address} is no address of the web; begin it with https://")
    try:
        with urllib.request.urlopen(address, timeout=timeout_s) as answer:
            return _body(answer, address, say)
    except urllib.error.HTTPError as fault:
        raise DatasetError(f"{address} answers {fault.code} {fault.reason}; look at the address, or bring the files with --from") from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "reason", None) or fault
        raise DatasetError(f"{address} cannot be read ({reason}); look at the network, or bring the files with --from") from None


def _body(answer: io.BufferedIOBase, address: str, say: Say) -> bytes:
    wanted = int(getattr(answer, "headers", {}).get("Content-Length") or 0)
    got, told = bytearray(), 0
    while piece := answer.read(PIECE):
        got += piece
        if len(got) > LARGEST:
            raise DatasetError(f"{address} sends more than {LARGEST >> 20} MiB, which is none of these data sets; look at the address")
        steps("download", len(got), max(wanted, len(got)))
        if wanted and (tenth := len(got) * 10 // wanted) > told:
            told = tenth
            say(f"{address.rsplit('/', 1)[1]}: {len(got) / 1e6:.1f} of {wanted / 1e6:.1f} MB")
    if len(got) < wanted:
        raise DatasetError(f"{address} broke off after {len(got)} of {wanted} bytes; try again")
    return bytes(got)
