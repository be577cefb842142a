"""The source archive `sourcedir.tar.gz` of a training container; the same files give the same bytes."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENTRY = "model_training/train.py"
FOLDERS = ("components/sensor_ingestion", "libs/edgeml", "model_training")
SUFFIXES = {".py", ".json", ".toml", ".yaml"}
LEFT_OUT = {"__pycache__", "bundles", "notebooks"}

IN_THE_IMAGE = {"tensorflow"}
"""Packages of the image, which are not installed again."""


def pack(root: Path = ROOT) -> bytes:
    """Pack training, library, simulator, and a `requirements.txt` that the container installs."""
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in _files(root)}
    files["requirements.txt"] = "".join(f"{line}\n" for line in requirements()).encode()
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    return raw.getvalue()


def requirements() -> list[str]:
    """Requirements of this project and its extra `train`, without the packages of the image."""
    required = []
    for line in requires("edgeml") or ():
        name, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"](.*?)['\"]", marker)
        if extra and extra[1] != "train":
            continue
        if re.split(r"[^A-Za-z0-9_.-]", name.strip())[0] in IN_THE_IMAGE:
            continue
        marker = re.sub(r"\s*(and\s+)?extra == ['\"].*?['\"]", "", marker).strip()
        required.append(f"{name.strip()}; {marker}" if marker else name.strip())
    return sorted(required)


def _files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES and not LEFT_OUT & set(path.relative_to(root).parts):
                yield path
