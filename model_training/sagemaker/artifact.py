"""From a job's `model.tar.gz` to verified bundles."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from edgeml.model.bundle import MANIFEST, Bundle
from model_training.bounded_decompression import Bounded, TooMuch
from model_training.output_paths import check_folder
from model_training.training_request import TrainingError

MOST_BYTES = 64 * 2**20
"""Both of an archive and of what it unpacks to; a bundle is far below."""

MOST_FILES = 1000
MOST_HEADERS = MOST_FILES * 8 * tarfile.BLOCKSIZE
"""Bytes of the archive that are not of files: headers, long names, padding."""


def fetch(found: dict[str, Any], s3: Any, out: Path, say: Callable[[str], None]) -> list[Bundle]:
    """Download the model of a completed job, verify each bundle in it and put it below `out`.

    Args:
        found: what SageMaker says of the job.

    Raises:
        TrainingError: the archive is not there, too large or unsafe, or has no bundle.
        BundleError: a bundle is not what its manifest says.
    """
    if unfit := check_folder(out):
        raise TrainingError(unfit)
    where = found["ModelArtifacts"]["S3ModelArtifacts"]
    address = urlsplit(where)
    bucket, key = address.netloc, address.path.lstrip("/")
    try:
        size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except ClientError as fault:
        raise TrainingError(
            f"{where} cannot be read ({fault.response['Error'].get('Message')}); see whether the object is there, and who may read it"
        ) from None
    if size > MOST_BYTES:
        raise TrainingError(f"{where} has {size} bytes, more than the {MOST_BYTES} that a model may have; it is not unpacked")
    archive = s3.get_object(Bucket=bucket, Key=key)["Body"].read(MOST_BYTES)
    with tempfile.TemporaryDirectory(dir=out, prefix=".fetch-") as scratch:
        unpack(archive, Path(scratch), where)
        return place(Path(scratch), out, where, say)


def unpack(archive: bytes, folder: Path, where: str) -> None:
    """Unpack plain files below `folder` and nowhere else.

    Raises:
        TrainingError: a name leads elsewhere, a member is no file or folder, or it is too much.
    """
    total = count = 0
    try:
        # As a stream, so that neither a header nor a file is held in memory before its size has been counted.
        with (
            gzip.GzipFile(fileobj=io.BytesIO(archive)) as unzipped,
            tarfile.open(fileobj=Bounded(unzipped, MOST_BYTES + MOST_HEADERS), mode="r|") as tar,
        ):
            for member in tar:
                path = PurePosixPath(member.name)
                count, total = count + 1, total + member.size
                if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
                    raise TrainingError(f"{where}: `{member.name}` is not a file below the model's folder; nothing of it is used")
                if total > MOST_BYTES or count > MOST_FILES:
                    raise TrainingError(f"{where} unpacks to more than {MOST_BYTES} bytes or {MOST_FILES} files; nothing of it is used")
                content = tar.extractfile(member)
                if content is not None:
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as file:
                        shutil.copyfileobj(content, file)
    except TooMuch:
        raise TrainingError(f"{where} unpacks to more than {MOST_BYTES} bytes; nothing of it is used") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as fault:
        raise TrainingError(f"{where} cannot be unpacked ({fault}); a model.tar.gz that a training job wrote is wanted") from None


def place(unpacked: Path, out: Path, where: str, say: Callable[[str], None]) -> list[Bundle]:
    """Verify every bundle below `unpacked`, then move them, and the reports beside them, to `out`."""
    folders = sorted(path.parent for path in unpacked.rglob(MANIFEST))
    if not folders:
        raise TrainingError(f"{where} has no {MANIFEST}, so no bundle; train with edgeml sagemaker train")
    bundles = [Bundle.load(folder) for folder in folders]
    made = []
    for folder, bundle in zip(folders, bundles, strict=True):
        target = out / (bundle.manifest.name if folder == unpacked else folder.name)
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(folder, target)
        made.append(Bundle.load(target))
        say(f"verified {target}: {made[-1].manifest.version}, {len(made[-1].model)} bytes, SHA-256 {made[-1].digest}")
    return made
