"""Starting and following a training job."""

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
"""What SageMaker reads from the lines that training says."""


@dataclass(frozen=True)
class Job:
    """A training job to be.

    Attributes:
        data: folder with the data.
        bucket, prefix: where source, data and results stand in S3.
        role: the ARN that SageMaker takes on to read and write there.
        hyperparameters: those of `model_training.train`.
        minutes: it is stopped after so many.
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
    """Upload what is not there yet and start the job.

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
    """Upload the data under their own digest, so that the same data go up once; gives their address."""
    paths = [path for path in sorted(job.data.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if not paths:
        raise TrainingError(f"{job.data}: no file in it; give the folder with the data with --from")
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
    log(f"data: s3://{job.bucket}/{prefix}, {len(paths)} files, {sent} of them sent now")
    return f"s3://{job.bucket}/{prefix}"


def describe(name: str, sagemaker: Any) -> dict[str, Any]:
    """What SageMaker says of a job."""
    return dict(sagemaker.describe_training_job(TrainingJobName=name))


def check(job_state: dict[str, Any]) -> None:
    """Nothing, for a job that is not over or that has completed.

    Raises:
        TrainingError: it failed or was stopped.
    """
    name, state = job_state["TrainingJobName"], job_state["TrainingJobStatus"]
    if state == "Failed":
        reason = " ".join(str(job_state.get("FailureReason") or "SageMaker gives no reason; see the job's log").split())
        raise TrainingError(f"the job {name} failed: {reason}")
    if state == "Stopped":
        raise TrainingError(
            f"the job {name} was stopped ({job_state.get('SecondaryStatus', state)}) and has no whole model; start it again"
        )


def follow(
    name: str,
    sagemaker: Any,
    lines: Callable[[], list[str]],
    log: Callable[[str], None],
    every_s: float,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Say what a job does until it is over; gives what SageMaker says of it then.

    Args:
        lines: gives the new lines of the job's log at each call.
    """
    reported = 0
    while True:
        job_state = describe(name, sagemaker)
        for line in lines():
            log(f"  {line}")
        transitions_now = list(transitions(job_state))
        for text in transitions_now[reported:]:
            log(text)
        reported = len(transitions_now)
        if job_state["TrainingJobStatus"] in DONE:
            break
        wait(every_s)
    for metric in job_state.get("FinalMetricDataList", ()):
        log(f"{metric['MetricName']}: {metric['Value']:g}")
    return job_state


def transitions(job_state: dict[str, Any]) -> Iterator[str]:
    """What a job went through, a line each."""
    for step in job_state.get("SecondaryStatusTransitions", ()):
        yield f"{step['Status']}: {step.get('StatusMessage') or 'no remark'}"
    state = job_state["TrainingJobStatus"]
    if state in DONE:
        yield f"job {job_state['TrainingJobName']}: {state}"
