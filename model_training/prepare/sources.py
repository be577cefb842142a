"""Where the files are: folders, single files, and prefixes of S3 buckets."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from model_training.bounded_decompression import TooMuch, gunzip
from model_training.prepare.rows import PrepareError

PATTERNS = (".csv", ".gz", ".part")
"""Captured files, CSVs, and the objects that Firehose writes of captured rows."""
PAGE = 1000
"""Objects that one answer of S3 lists, at most."""


class Source(NamedTuple):
    """One file. `name` is its path below the folder or prefix, `sha256` of the bytes as stored."""

    name: str
    sha256: str
    content: bytes


def sources(places: list[str], client: Any = None) -> Iterator[Source]:
    """Every file with rows at the places, in the order of names within each.

    Args:
        places: paths, or `s3://bucket/prefix`.
        client: a boto3 S3 client; None: one is made where it is needed.

    Raises:
        PrepareError: a place cannot be read, or has no such file.
    """
    for place in places:
        found = False
        each = _objects(place, client) if place.startswith("s3://") else _files(Path(place))
        for name, content in each:
            found = True
            yield Source(name, hashlib.sha256(content).hexdigest(), content)
        if not found:
            raise PrepareError(f"{place} has no files that end in {', '.join(PATTERNS)}; name the folder or prefix that holds them")


def text(content: bytes) -> bytes:
    """The content without its compression.

    Raises:
        PrepareError: it breaks off, or is damaged.
    """
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gunzip(content)
    except TooMuch as fault:
        raise PrepareError(f"{fault}; divide it into several files") from None
    except (OSError, EOFError, zlib.error) as fault:
        raise PrepareError(f"is no whole gzip file ({fault})") from None


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if place.is_file():
            yield place.name, place.read_bytes()
            return
        if not place.is_dir():
            raise PrepareError(f"{place} is no file and no folder; name where the files are")
        for path in sorted(place.rglob("*")):
            if path.name.endswith(PATTERNS) and path.is_file():
                yield path.relative_to(place).as_posix(), path.read_bytes()
    except OSError as fault:
        raise PrepareError(f"{fault.filename or place} cannot be read ({fault.strerror}); look at its permissions") from None


def _objects(place: str, client: Any) -> Iterator[tuple[str, bytes]]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise PrepareError(f"{place} needs boto3; run edgeml data prepare, or: pip install boto3") from None
    bucket, _, prefix = place[len("s3://") :].partition("/")
    try:
        client = client or boto3.client("s3")
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE}):
            for entry in sorted(page.get("Contents", ()), key=lambda entry: str(entry["Key"])):
                if entry["Key"].endswith(PATTERNS):
                    body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                    yield entry["Key"][len(prefix) :].lstrip("/") or entry["Key"], body
    except (BotoCoreError, ClientError) as fault:
        reason = " ".join(str(fault).split())
        raise PrepareError(f"{place} cannot be read ({reason}); look at the bucket's name, the region and the credentials") from None
