"""The account that the fleet's tests use, without the bucket: the stack makes it."""

from __future__ import annotations

from tests.edgeml_cli.fleet.conftest import Cloud, cloud, moto_url, said

__all__ = ["Cloud", "cloud", "moto_url", "said"]
