"""Runs the tests marked `training`, which train models with TensorFlow: `edgeml dev test-training`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from edgeml_cli.build.package import ROOT


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="edgeml dev test-training",
        usage="edgeml dev test-training [PYTEST ARGUMENT...]",
        description="Run the tests that train models, which scripts/test leaves out. Arguments go to pytest, such as -k NAME or -x.",
    )


def main(arguments: list[str] | None = None) -> int:
    """Returns pytest's exit code."""
    _, words = parser().parse_known_args(arguments)
    return subprocess.run([sys.executable, "-m", "pytest", "-m", "training", *words], cwd=ROOT, check=False).returncode
