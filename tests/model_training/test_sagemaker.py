"""Calls to SageMaker, S3 and CloudWatch Logs against moto's server on loopback, selected by AWS's environment variable."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from model_training.sagemaker import __main__ as command
from model_training.sagemaker import artifact, images, jobs, logs, source
from model_training.training_request import TrainingError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends
from moto.server import ThreadedMotoServer

from edgeml.model.bundle import MODEL, Bundle
from edgeml.model.manifest import MANIFEST

SHIPPED = source.ROOT / "model_training" / "bundles" / "pump_anomaly"
REGION, BUCKET = "eu-west-1", "plant"
ROLE = "arn:aws:iam::123456789012:role/Training"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return clients of an account with an empty bucket."""
    nothing = tmp_path / "no-configuration"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    s3 = boto3.client("s3")
    urlopen(Request(f"{endpoint}/moto-api/reset", method="POST"), timeout=10).close()
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return boto3.client


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "skab" / "valve1"
    folder.mkdir(parents=True)
    (folder / "0.csv").write_text("datetime;anomaly\n")
    return tmp_path / "data"


def train(data: Path, *more: str) -> int:
    return command.main(["train", "anomaly", "--from", str(data), "--bucket", BUCKET, "--role", ROLE, "--job", "j1", "--every", "0", *more])


def archive(folder: Path | None = SHIPPED, name: str = "pump_anomaly", extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        if folder:
            tar.add(folder, name)
        for info in extra:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return raw.getvalue()


def put_model(aws: Callable[[str], Any], body: bytes) -> None:
    aws("s3").put_object(Bucket=BUCKET, Key="edgeml/jobs/j1/output/model.tar.gz", Body=body)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """The error message, one line."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and text.startswith("edgeml sagemaker ")
    return text


def test_train_uploads_starts_and_follows_job(aws: Callable[[str], Any], data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, "--seed", "7", "--quick") == 0
    job = aws("sagemaker").describe_training_job(TrainingJobName="j1")
    args = {name: json.loads(value) for name, value in job["HyperParameters"].items()}
    assert (args["kind"], args["seed"], args["quick"], args["sagemaker_program"]) == ("anomaly", 7, True, "model_training/train.py")
    assert job["AlgorithmSpecification"]["TrainingImage"] == images.default(REGION)
    assert job["AlgorithmSpecification"]["TrainingInputMode"] == "File"
    assert job["RoleArn"] == ROLE
    (channel,) = job["InputDataConfig"]
    assert channel["ChannelName"] == "training"
    keys = {item["Key"] for item in aws("s3").list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert channel["DataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{BUCKET}/") + "skab/valve1/0.csv" in keys
    assert args["sagemaker_submit_directory"].removeprefix(f"s3://{BUCKET}/") in keys
    reported = capsys.readouterr().out.splitlines()[3:]
    assert reported[:2] == ["Starting: Preparing the instances for training", "job j1: Completed"]
    assert reported[-1].endswith("edgeml sagemaker fetch j1")


def test_fetch_installs_verified_bundles(
    aws: Callable[[str], Any],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(data, "--no-wait")
    put_model(aws, archive())
    assert command.main(["fetch", "j1", "--out", str(tmp_path / "out")]) == 0
    fetched = Bundle.load(tmp_path / "out" / "pump_anomaly")
    assert fetched.digest == Bundle.load(SHIPPED).digest
    assert fetched.digest in capsys.readouterr().out


def test_missing_model_fails_with_one_sentence(
    aws: Callable[[str], Any],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(data, "--no-wait")
    assert command.main(["fetch", "j1", "--out", str(tmp_path / "out")]) == 1
    assert "s3://plant/edgeml/jobs/j1/output/model.tar.gz cannot be read (Not Found)" in printed(capsys)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("InProgress", "the job j1 is InProgress; wait for its completion"),
        ("Stopped", "the job j1 was stopped"),
    ],
)
def test_fetch_needs_completed_job(
    aws: Callable[[str], Any],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    state: str,
    sentence: str,
) -> None:
    train(data, "--no-wait")
    sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].training_jobs["j1"].training_job_status = state
    assert command.main(["fetch", "j1", "--out", str(tmp_path / "out")]) == 1
    assert sentence in printed(capsys)


def test_data_are_uploaded_once(aws: Callable[[str], Any], data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, "--no-wait") == 0
    assert "1 files, 1 uploaded" in capsys.readouterr().out
    assert train(data, "--no-wait", "--job", "j2") == 0
    assert "1 files, 0 uploaded" in capsys.readouterr().out


def test_image_option_selects_image(aws: Callable[[str], Any], data: Path) -> None:
    assert train(data, "--no-wait", "--image", "123.dkr.ecr.eu-west-1.amazonaws.com/mine:1") == 0
    job = aws("sagemaker").describe_training_job(TrainingJobName="j1")
    assert job["AlgorithmSpecification"]["TrainingImage"] == "123.dkr.ecr.eu-west-1.amazonaws.com/mine:1"


def test_default_image_depends_on_region() -> None:
    expected = "tensorflow-training:2.21.0-cpu-py312-amzn2023-sagemaker"
    assert images.default("us-east-1") == f"763104351884.dkr.ecr.us-east-1.amazonaws.com/{expected}"
    assert images.default("eu-south-1").startswith("692866216735.dkr.ecr.eu-south-1.amazonaws.com/")
    assert images.default("cn-north-1").startswith("727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/")


def test_failed_job_reports_reason(
    aws: Callable[[str], Any],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(data, "--no-wait")
    job: Any = sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].training_jobs["j1"]
    job.training_job_status = job.secondary_status = "Failed"
    job.failure_reason = "AlgorithmError: skab/valve1/0.csv:\nno column Current"
    for arguments in (["status", "j1"], ["status", "j1", "--follow"], ["fetch", "j1", "--out", str(tmp_path / "out")]):
        capsys.readouterr()
        assert command.main(arguments) == 1
        assert (
            printed(capsys) == f"edgeml sagemaker {arguments[0]}: the job j1 failed: AlgorithmError: skab/valve1/0.csv: no column Current\n"
        )
    assert not (tmp_path / "out").exists()


def test_follow_logs_each_status_once(aws: Callable[[str], Any], data: Path) -> None:
    train(data, "--no-wait")
    job = sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].training_jobs["j1"]
    job.training_job_status = "InProgress"
    aws("logs").create_log_group(logGroupName=logs.GROUP)
    aws("logs").create_log_stream(logGroupName=logs.GROUP, logStreamName="j1/algo-1-1")
    steps = [("Training", "epoch 1/2: loss 0.5"), ("Uploading", "epoch 2/2: loss 0.25")]
    reported: list[str] = []

    def go_on(_: float) -> None:
        if not steps:
            job.training_job_status = "Completed"
            return
        state, line = steps.pop(0)
        job.secondary_status_transitions.append({"Status": state, "StartTime": job.creation_time, "StatusMessage": state.lower()})
        aws("logs").put_log_events(
            logGroupName=logs.GROUP,
            logStreamName="j1/algo-1-1",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": line}],
        )

    lines = logs.JobLog("j1", aws("logs"), reported.append).lines
    assert jobs.follow("j1", aws("sagemaker"), lines, reported.append, 1, go_on)["TrainingJobStatus"] == "Completed"
    assert reported == [
        "Starting: Preparing the instances for training",
        "  epoch 1/2: loss 0.5",
        "Training: training",
        "  epoch 2/2: loss 0.25",
        "Uploading: uploading",
        "job j1: Completed",
        "train:progress: 100",
    ]


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt"])
def test_archive_with_outside_path_is_rejected(tmp_path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = 1
    (tmp_path / "in").mkdir()
    with pytest.raises(TrainingError, match="not a regular file below"):
        artifact.unpack(archive(extra=(info,)), tmp_path / "in", "s3://b/model.tar.gz")
    assert not list(tmp_path.glob("**/outside.txt"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_archive_with_special_member_is_rejected(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "../../outside"
    with pytest.raises(TrainingError, match="`link` is not a regular file"):
        artifact.unpack(archive(extra=(info,)), tmp_path, "s3://b/model.tar.gz")


def test_archive_with_large_content_is_rejected(tmp_path: Path) -> None:
    info = tarfile.TarInfo("zeros")
    info.size = artifact.MAX_BYTES + 1
    body = archive(extra=(info,))
    assert len(body) < artifact.MAX_BYTES / 100
    with pytest.raises(TrainingError, match="unpacks to more than"):
        artifact.unpack(body, tmp_path, "s3://b/model.tar.gz")
    assert not (tmp_path / "zeros").exists()


def test_archive_with_large_header_is_rejected_in_bounded_memory(tmp_path: Path) -> None:
    """A name of hundreds of megabytes compresses to few bytes and is not part of a member's size."""
    raw = io.BytesIO()
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 512 * 2**20
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as zipped:
        zipped.write(name.tobuf(tarfile.GNU_FORMAT))
        for _ in range(512):
            zipped.write(b"a" * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(TrainingError, match="unpacks to more than"):
            artifact.unpack(raw.getvalue(), tmp_path, "s3://b/model.tar.gz")
        assert tracemalloc.get_traced_memory()[1] < 4 * artifact.MAX_BYTES
    finally:
        tracemalloc.stop()


def broken(tmp_path: Path) -> bytes:
    shutil.copytree(SHIPPED, tmp_path / "broken")
    with (tmp_path / "broken" / MODEL).open("r+b") as file:
        file.write(b"\xff" * 8)
    return archive(tmp_path / "broken")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (broken, "has the SHA-256 digest"),
        (lambda _: b"no archive", "cannot be unpacked"),
        (lambda _: archive()[:2000], "cannot be unpacked"),
        (lambda _: archive(None), f"has no {MANIFEST}"),
    ],
)
def test_invalid_model_fails_with_one_sentence(
    aws: Callable[[str], Any],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], bytes],
    sentence: str,
) -> None:
    train(data, "--no-wait")
    put_model(aws, make(tmp_path))
    assert command.main(["fetch", "j1", "--out", str(tmp_path / "out")]) == 1
    assert sentence in printed(capsys)
    assert not list((tmp_path / "out").iterdir())


def test_bundle_at_archive_root_is_installed(aws: Callable[[str], Any], data: Path, tmp_path: Path) -> None:
    train(data, "--no-wait")
    put_model(aws, archive(name="."))
    assert command.main(["fetch", "j1", "--out", str(tmp_path / "out")]) == 0
    assert Bundle.load(tmp_path / "out" / "pump_anomaly").digest == Bundle.load(SHIPPED).digest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fetch", "nobody"], "AWS refused DescribeTrainingJob (fetch of job nobody)"),
        (
            ["train", "anomalous", "--from", ".", "--bucket", BUCKET, "--role", ROLE],
            "the kinds are machine, anomaly, regression, classification",
        ),
        (["train", "anomaly", "--from", "nowhere", "--bucket", BUCKET, "--role", ROLE], "nowhere has no files"),
        (["train", "anomaly", "--from", ".", "--bucket", "nobodys", "--role", ROLE], "bucket does not exist"),
    ],
)
def test_invalid_arguments_fail_with_one_sentence(
    aws: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    assert command.main(arguments) == 1
    assert sentence in printed(capsys)


def test_missing_region_fails_with_remedy(
    aws: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert command.main(["status", "j1"]) == 1
    assert "AWS_DEFAULT_REGION" in printed(capsys)


def test_source_archive_is_reproducible_and_complete(tmp_path: Path) -> None:
    packed = source.pack()
    assert packed == source.pack()
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        names = tar.getnames()
        expected = tar.extractfile("requirements.txt")
        assert expected is not None
        lines = expected.read().decode().splitlines()
    assert {source.ENTRY, "libs/edgeml/model/bundle.py", "components/sensor_ingestion/sources/pump_physics.py"} <= set(names)
    assert "setup.py" not in names, "the toolkit would take it for a package and run another way"
    assert any(line.startswith("msgspec") for line in lines) and not any(line.startswith(("tensorflow", "pytest")) for line in lines)
    assert not any("extra" in line for line in lines)
