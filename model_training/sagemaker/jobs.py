"""Start and follow a training job."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_training.sagemaker import source
from model_training.training_container import CHANNELS
from model_training.training_request import TrainingError

DONE = ("Completed", "Failed", "Stopped")
METRICS = [{"Name": "train:loss", "Regex": r"epoch [0-9]+/[0-9]+: loss ([0-9.]+)"}]
"""Metrics that SageMaker extracts from the training log."""


@dataclass(frozen=True)
class Job:
    """Definition of a training job.

    Attributes:
        data: folder with the data.
        bucket, prefix: place of source, data and results in S3.
        role: ARN of the role that SageMaker assumes.
        minutes: maximum run time.
        hyperparameters: arguments of `model_training.train`.
    """

    name: str
    data: Path
    bucket: str
    prefix: str
    role: str
    image: str
    instance: str
    minutes: int
    hyperparameters: dict[str, Any]


def start(job: Job, s3: Any, sagemaker: Any, region: str, log: Callable[[str], None]) -> None:
    """Upload source and data and start the job.

    Raises:
        TrainingError: the folder has no data.
    """
    archive = source.pack()
    key = f"{job.prefix}/source/{hashlib.sha256(archive).hexdigest()}/sourcedir.tar.gz"
    s3.put_object(Bucket=job.bucket, Key=key, Body=archive)
    log(f"source: s3://{job.bucket}/{key}, {len(archive)} bytes")
    hyperparameters = {
        **job.hyperparameters,
        "sagemaker_program": source.ENTRY,
        "sagemaker_submit_directory": f"s3://{job.bucket}/{key}",
        "sagemaker_region": region,
    }
    data = {"S3DataType": "S3Prefix", "S3Uri": upload(job, s3, log), "S3DataDistributionType": "FullyReplicated"}
    sagemaker.create_training_job(
        TrainingJobName=job.name,
        RoleArn=job.role,
        AlgorithmSpecification={"TrainingImage": job.image, "TrainingInputMode": "File", "MetricDefinitions": METRICS},
        HyperParameters={name: json.dumps(value) for name, value in hyperparameters.items()},
        InputDataConfig=[{"ChannelName": CHANNELS[0], "DataSource": {"S3DataSource": data}}],
        OutputDataConfig={"S3OutputPath": f"s3://{job.bucket}/{job.prefix}/jobs"},
        ResourceConfig={"InstanceType": job.instance, "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60 * job.minutes},
    )
    log(f"job {job.name} started on {job.instance} with {job.image}")


def upload(job: Job, s3: Any, log: Callable[[str], None]) -> str:
    """Upload the data under their digest, so that the same data are uploaded once. Returns their address."""
    paths = [path for path in sorted(job.data.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if not paths:
        raise TrainingError(f"{job.data} has no files; name the folder with the data with --from")
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(job.data).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    prefix = f"{job.prefix}/data/{digest.hexdigest()}/"
    uploaded = {
        item["Key"]: item["Size"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=job.bucket, Prefix=prefix)
        for item in page.get("Contents", ())
    }
    sent = 0
    for path in paths:
        key = prefix + path.relative_to(job.data).as_posix()
        if uploaded.get(key) != path.stat().st_size:
            s3.upload_file(str(path), job.bucket, key)
            sent += 1
    log(f"data: s3://{job.bucket}/{prefix}, {len(paths)} files, {sent} uploaded")
    return f"s3://{job.bucket}/{prefix}"


def describe(name: str, sagemaker: Any) -> dict[str, Any]:
    """SageMaker's description of a job."""
    return dict(sagemaker.describe_training_job(TrainingJobName=name))


def check(job_state: dict[str, Any]) -> None:
    """Verify that a job has not failed.

    Raises:
        TrainingError: the job failed or was stopped.
    """
    name, state = job_state["TrainingJobName"], job_state["TrainingJobStatus"]
    if state == "Failed":
        reason = " ".join(str(job_state.get("FailureReason") or "no reason given; see the job's log").split())
        raise TrainingError(f"the job {name} failed: {reason}")
    if state == "Stopped":
        raise TrainingError(
            f"the job {name} was stopped ({job_state.get('SecondaryStatus', state)}) and has no complete model; start it again"
        )


def follow(
    name: str,
    sagemaker: Any,
    lines: Callable[[], list[str]],
    log: Callable[[str], None],
    every_s: float,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Log the progress of a job until it ends. Returns its last description.

    Args:
        lines: returns the new lines of the job's log at each call.
    """
    reported = 0
    while True:
        job_state = describe(name, sagemaker)
        for line in lines():
            log(f"  {line}")
        status_lines = list(transitions(job_state))
        for text in status_lines[reported:]:
            log(text)
        reported = len(status_lines)
        if job_state["TrainingJobStatus"] in DONE:
            break
        wait(every_s)
    for metric in job_state.get("FinalMetricDataList", ()):
        log(f"{metric['MetricName']}: {metric['Value']:g}")
    return job_state


def transitions(job_state: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each status of a job."""
    for step in job_state.get("SecondaryStatusTransitions", ()):
        yield f"{step['Status']}: {step.get('StatusMessage') or 'no message'}"
    state = job_state["TrainingJobStatus"]
    if state in DONE:
        yield f"job {job_state['TrainingJobName']}: {state}"
