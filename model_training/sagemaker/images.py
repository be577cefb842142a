"""Default training image: AWS's TensorFlow 2.21 training image for CPUs."""

from __future__ import annotations

TAG = "tensorflow-training:2.21.0-cpu-py312-amzn2023-sagemaker"

REGISTRY = "763104351884"
REGISTRIES = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "me-south-1": "217643126080",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}
"""Registry accounts by region where they differ from `REGISTRY`, from the SageMaker Python SDK."""


def default(region: str) -> str:
    """URI of the image in a region."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{REGISTRIES.get(region, REGISTRY)}.dkr.ecr.{region}.{domain}/{TAG}"
