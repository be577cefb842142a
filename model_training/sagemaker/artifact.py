"""Download a job's `model.tar.gz` and install its verified bundles."""

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
from model_training.bounded_decompression import BoundedReader, DecompressionLimitError
from model_training.output_paths import check_folder
from model_training.training_request import TrainingError

MAX_BYTES = 64 * 2**20
"""Maximum size of an archive and of its unpacked content; a bundle is much smaller."""

MAX_FILES = 1000
MAX_HEADER_BYTES = MAX_FILES * 8 * tarfile.BLOCKSIZE
"""Maximum size of an archive's headers, long names and padding."""


def fetch(job_state: dict[str, Any], s3: Any, out: Path, log: Callable[[str], None]) -> list[Bundle]:
    """Download the model of a completed job, verify its bundles and install them below `out`.

    Args:
        job_state: SageMaker's description of the job.

    Raises:
        TrainingError: the archive is missing, too large or unsafe, or has no bundle.
        BundleError: a bundle does not match its manifest.
    """
    if unfit := check_folder(out):
        raise TrainingError(unfit)
    where = job_state["ModelArtifacts"]["S3ModelArtifacts"]
    address = urlsplit(where)
    bucket, key = address.netloc, address.path.lstrip("/")
    try:
        size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except ClientError as fault:
        raise TrainingError(
            f"{where} cannot be read ({fault.response['Error'].get('Message')}); check that the object exists and that you may read it"
        ) from None
    if size > MAX_BYTES:
        raise TrainingError(f"{where} has {size} bytes, more than the limit of {MAX_BYTES}; it was not unpacked")
    archive = s3.get_object(Bucket=bucket, Key=key)["Body"].read(MAX_BYTES)
    with tempfile.TemporaryDirectory(dir=out, prefix=".fetch-") as scratch:
        unpack(archive, Path(scratch), where)
        return install(Path(scratch), out, where, log)


def unpack(archive: bytes, folder: Path, where: str) -> None:
    """Unpack regular files below `folder` only.

    Raises:
        TrainingError: a path leads out of the folder, a member is not a regular file or folder, or the content is too large.
    """
    total = count = 0
    try:
        # As a stream, so that the size of headers and files is counted before they are held in memory.
        with (
            gzip.GzipFile(fileobj=io.BytesIO(archive)) as unzipped,
            tarfile.open(fileobj=BoundedReader(unzipped, MAX_BYTES + MAX_HEADER_BYTES), mode="r|") as tar,
        ):
            for member in tar:
                path = PurePosixPath(member.name)
                count, total = count + 1, total + member.size
                if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
                    raise TrainingError(
                        f"{where}: `{member.name}` is not a regular file below the model's folder; the archive was rejected"
                    )
                if total > MAX_BYTES or count > MAX_FILES:
                    raise TrainingError(f"{where} unpacks to more than {MAX_BYTES} bytes or {MAX_FILES} files; the archive was rejected")
                content = tar.extractfile(member)
                if content is not None:
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as file:
                        shutil.copyfileobj(content, file)
    except DecompressionLimitError:
        raise TrainingError(f"{where} unpacks to more than {MAX_BYTES} bytes; the archive was rejected") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as fault:
        raise TrainingError(f"{where} cannot be unpacked ({fault}); expected the model.tar.gz of a training job") from None


def install(unpacked: Path, out: Path, where: str, log: Callable[[str], None]) -> list[Bundle]:
    """Verify every bundle below `unpacked`, then install them in `out`."""
    folders = sorted(path.parent for path in unpacked.rglob(MANIFEST))
    if not folders:
        raise TrainingError(f"{where} has no {MANIFEST}, so no bundle; train with edgeml sagemaker train")
    bundles = [Bundle.load(folder) for folder in folders]
    installed = []
    for folder, bundle in zip(folders, bundles, strict=True):
        target = out / (bundle.manifest.name if folder == unpacked else folder.name)
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(folder, target)
        installed.append(Bundle.load(target))
        log(f"verified {target}: {installed[-1].manifest.version}, {len(installed[-1].model)} bytes, SHA-256 {installed[-1].digest}")
    return installed
