"""The README is the spec: it names every option with its default, and the tests cite its behaviors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.config.schema import document
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.sources import SOURCES
from sensor_ingestion.sources.pump_physics import FAULTS

HERE = Path(__file__).parent
README = (HERE.parents[2] / "components" / "sensor_ingestion" / "README.md").read_text()
TABLE = [line for line in README.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("kind", [SensorIngestionOptions, MessageAuthOptions, *(kind.options for kind in SOURCES.values())])
def test_readme_has_every_option_with_its_default(kind: type) -> None:
    for key, _, default, _ in document(kind):
        name = key.rsplit(".", 1)[-1]
        lines = [line for line in TABLE if re.search(rf"[`.]{name}`", line)]
        assert lines, f"{key} is not in the README"
        if default not in (None, "", {}, []):
            text = f"{default:g}" if isinstance(default, float) else str(default)
            assert any(text in line for line in lines), f"the default of {key}, {text}, is not in the README"


def test_readme_has_every_source_and_fault() -> None:
    assert all(f"### `{name}`" in README for name in SOURCES)
    assert all(f"`{name}`" in README for name in FAULTS)


def test_every_behaviour_is_cited_by_a_test_and_no_other() -> None:
    declared = {int(number) for number in re.findall(r"^(\d+)\. ", README, re.MULTILINE)}
    cited = set()
    for path in HERE.glob("test_*.py"):
        for numbers in re.findall(r"# (\d+(?:, \d+)*)$", path.read_text(), re.MULTILINE):
            cited |= {int(number) for number in numbers.split(", ")}
    assert declared == set(range(1, len(declared) + 1)) and cited == declared
