"""`edgeml sagemaker train|status|fetch`."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from edgeml.errors import EdgemlError
from gglocal.cli.arguments import number, whole
from model_training import model_kinds
from model_training.sagemaker import artifact, images, jobs, logs
from model_training.train import OUT
from model_training.training_request import TrainingError


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="edgeml sagemaker", description="Train a model in SageMaker and download it.")
    commands = result.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="start a training job and follow it to its end")
    train.add_argument("name", metavar="NAME", help=f"the kind of model: {', '.join(model_kinds.KINDS)}")
    train.add_argument("--from", dest="folder", type=Path, required=True, help="folder with the data")
    train.add_argument("--bucket", required=True, help="S3 bucket for source, data and results")
    train.add_argument("--prefix", default="edgeml", help="prefix in the bucket (default: edgeml)")
    train.add_argument("--role", required=True, help="ARN of the role that SageMaker assumes")
    train.add_argument("--image", help="URI of the training image (default: AWS's TensorFlow 2.21 training image in the region)")
    train.add_argument("--instance", default="ml.m5.large", help="instance type (default: ml.m5.large)")
    train.add_argument("--minutes", type=whole(1, 40_320), default=60, help="maximum run time of the job (default: 60)")
    train.add_argument("--job", help="name of the job (default: from kind and time)")
    train.add_argument("--seed", type=whole(0, 2**32 - 1), default=1)
    train.add_argument("--quick", action="store_true", help="a short run to verify the setup; its model is not usable")
    train.add_argument("--no-wait", action="store_true", help="start the job and return")
    status = commands.add_parser("status", help="show the status of a job; fails if the job failed")
    status.add_argument("job")
    status.add_argument("--follow", action="store_true", help="follow the job until it ends")
    fetch = commands.add_parser("fetch", help="download a completed job's model and verify its bundles")
    fetch.add_argument("job")
    fetch.add_argument("--out", type=Path, default=OUT, help="output folder for the bundles (default: build/models)")
    for command in (train, status):
        command.add_argument("--every", type=number(0, 3600), default=15.0, help="seconds between status requests (default: 15)")
    return result


def run(options: argparse.Namespace) -> None:
    """Run a command.

    Raises:
        TrainingError, EdgemlError, ClientError, BotoCoreError: the command or the job failed.
    """
    session = boto3.Session()
    region = session.region_name
    if not region:
        raise TrainingError("no AWS region configured; set AWS_DEFAULT_REGION, or `region` in ~/.aws/config")
    sagemaker = session.client("sagemaker")
    name = options.job
    if options.command == "train":
        model_kinds.find(options.name)
        name = name or f"edgeml-{options.name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        hyperparameters = {"kind": options.name, "seed": options.seed, "quick": options.quick}
        jobs.start(
            jobs.Job(
                name,
                options.folder,
                options.bucket,
                options.prefix.strip("/"),
                options.role,
                options.image or images.default(region),
                options.instance,
                options.minutes,
                hyperparameters,
            ),
            session.client("s3"),
            sagemaker,
            region,
            log,
        )
        if options.no_wait:
            return
    if options.command == "train" or (options.command == "status" and options.follow):
        job_state = jobs.follow(name, sagemaker, job_log(name, session).lines, log, options.every)
    else:
        job_state = jobs.describe(name, sagemaker)
        if options.command == "status":
            for text in jobs.transitions(job_state):
                log(text)
    jobs.check(job_state)
    state = job_state["TrainingJobStatus"]
    if options.command == "fetch":
        if state != "Completed":
            raise TrainingError(f"the job {name} is {state}; wait for its completion: edgeml sagemaker status {name} --follow")
        artifact.fetch(job_state, session.client("s3"), options.out, log)
    elif state == "Completed":
        log(f"model: {job_state['ModelArtifacts']['S3ModelArtifacts']}; download it with: edgeml sagemaker fetch {name}")
    else:
        log(f"job {name}: {state}")


def job_log(name: str, session: Any) -> logs.JobLog:
    # The log is optional, so it must not delay following the job.
    patience = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    return logs.JobLog(name, session.client("logs", config=patience), log)


def log(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        run(options)
    except ClientError as fault:
        error = fault.response["Error"]
        about = f"of job {options.job}" if options.command != "train" else f"with bucket {options.bucket}"
        reason = " ".join((error.get("Message") or error.get("Code", "no reason given")).split())
        print(
            f"edgeml sagemaker {options.command}: AWS refused {fault.operation_name} ({options.command} {about}): {reason}", file=sys.stderr
        )
        return 1
    except (BotoCoreError, Boto3Error) as fault:
        print(f"edgeml sagemaker {options.command}: {' '.join(str(fault).split())}", file=sys.stderr)
        return 1
    except (TrainingError, EdgemlError) as fault:
        print(f"edgeml sagemaker {options.command}: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
