"""Source files in folders, single files, and prefixes of S3 buckets."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from model_training.bounded_decompression import DecompressionLimitError, gunzip
from model_training.prepare.rows import PrepareError

PATTERNS = (".csv", ".gz", ".part")
"""File name endings of CSVs, captured files, and objects that Firehose writes."""
PAGE = 1000
"""Maximum number of objects in one listing response of S3."""


class Source(NamedTuple):
    """One file. `name` is the path below the folder or prefix, `sha256` the digest of the stored bytes."""

    name: str
    sha256: str
    content: bytes


def sources(places: list[str], client: Any = None) -> Iterator[Source]:
    """Yield every source file at the places, sorted by name within each place.

    Args:
        places: paths, or `s3://bucket/prefix`.
        client: boto3 S3 client; None: create one on first use.

    Raises:
        PrepareError: a place is unreadable, or has no source files.
    """
    for place in places:
        found = False
        each = _objects(place, client) if place.startswith("s3://") else _files(Path(place))
        for name, content in each:
            found = True
            yield Source(name, hashlib.sha256(content).hexdigest(), content)
        if not found:
            raise PrepareError(f"{place} has no files that end in {', '.join(PATTERNS)}; name the folder or prefix with the data")


def text(content: bytes) -> bytes:
    """Decompress the content if it is compressed.

    Raises:
        PrepareError: the compressed content is truncated, damaged or too large.
    """
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gunzip(content)
    except DecompressionLimitError as fault:
        raise PrepareError(f"{fault}; split it into several files") from None
    except (OSError, EOFError, zlib.error) as fault:
        raise PrepareError(f"is not a complete gzip file ({fault}); copy it again") from None


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if place.is_file():
            yield place.name, place.read_bytes()
            return
        if not place.is_dir():
            raise PrepareError(f"{place} does not exist; name a file or a folder")
        for path in sorted(place.rglob("*")):
            if path.name.endswith(PATTERNS) and path.is_file():
                yield path.relative_to(place).as_posix(), path.read_bytes()
    except OSError as fault:
        raise PrepareError(f"{fault.filename or place} cannot be read ({fault.strerror}); check its permissions") from None


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
        raise PrepareError(f"{place} cannot be read ({reason}); check the bucket name, the region and the credentials") from None
