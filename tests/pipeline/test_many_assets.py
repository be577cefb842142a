"""Hundreds of machines on Nucleus Lite, whose answers hold 255 names and values."""

from __future__ import annotations

from edgeml.messages import SensorBatch, decode
from edgeml_cli.demo.scenario import Scenario, no_alarm
from gglocal.core.lite_json_limits import is_too_large
from tests.pipeline.line import COMPONENTS

SOURCE = COMPONENTS[0]
ROWS = 3
SIMULATED = {"source": "simulator", "options": {"duration_s": ROWS}}
ASSETS = {
    "pump-1": {"source": "simulator", "enabled": False},
    **{f"pump-{number:03d}": SIMULATED for number in range(1, 26)},
    "pump-{026..200}": {"source": "simulator", "options": {"duration_s": ROWS, "seed": "{number}"}},
}


def test_pipeline_scores_two_hundred_assets(line, version):
    suite = line(profile="lite")
    seen: set[str] = set()
    kind = Scenario("200 machines", {SOURCE: {"assets": ASSETS}}, 200 * ROWS, no_alarm, limit_s=120.0)

    def note(course, delivery) -> None:
        message = decode(delivery.payload) if delivery.topic == "edgeml/sensors" else None
        if isinstance(message, SensorBatch):
            seen.add(message.asset)

    suite.deploy(kind.config, version)
    tally = suite.follow(kind, note)
    assert seen == {f"pump-{number:03d}" for number in range(1, 201)}
    assert (tally.rows, tally.gaps, tally.rows_without_result) == (200 * ROWS, 0, 0)
    # At once it could not have been read, only key by key.
    assert is_too_large(suite.nucleus.component(SOURCE).configuration)
    for component in COMPONENTS:
        assert suite.nucleus.component(component).starts == 1
        assert "ERROR" not in suite.log(component)
