"""An alarm of a model that explains its results, from rows to the sentence for the operator; both components on recorded buses."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeml.messages import topics
from edgeml.model.bundle import save
from tests.components.alert_dispatcher.kit import Bench as DispatcherBench
from tests.components.inference.kit import Bench as InferenceBench
from tests.components.inference.test_contrast_models import CONFIGURATION, NETWORK, batches
from tests.edgeml.contrast import MANIFEST, normal


def test_alarm_names_the_channel_by_the_models_view(tmp_path: Path) -> None:
    reference = msgspec.structs.replace(MANIFEST.reference, hold_rows=0)  # type: ignore[type-var]
    save(tmp_path / "artifacts" / "pump_anomaly", msgspec.structs.replace(MANIFEST, reference=reference), NETWORK)
    inference = InferenceBench(tmp_path / "inference", tmp_path / "artifacts", **CONFIGURATION)
    (tmp_path / "dispatcher").mkdir()
    dispatcher = DispatcherBench(tmp_path / "dispatcher", policy_by_model={"contrast": {"hold_s": 10}})
    values = normal(140)[1]
    values[60:100, 1] += 20
    for batch in batches(values):
        for block in inference.feed(batch):
            dispatcher.give(topics.RESULTS, block)
    pending, active, cleared = dispatcher.alerts()
    assert (pending.state, active.state, cleared.state) == ("pending", "active", "cleared")
    assert active.why.startswith("a: flow is high") and active.why.endswith("; confidence 100 % for 10 s")
    assert cleared.why.startswith("a: back to normal")
