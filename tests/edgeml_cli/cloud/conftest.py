"""The simulated AWS account of the fleet's tests."""

from __future__ import annotations

from tests.edgeml_cli.fleet.conftest import Cloud, cloud, moto_url, said

__all__ = ["Cloud", "cloud", "moto_url", "said"]
