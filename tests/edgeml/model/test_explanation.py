"""The view of a model in words."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeml.model.explanation import explanation, explanations
from edgeml.model.scorer import AssetScorer
from tests.edgeml.contrast import MANIFEST, Contrasts, contrast, normal

# Channels: current, flow, pressure, setpoint (context). Relations: (flow), (current, pressure), (flow), none.


NAN = float("nan")


@pytest.mark.parametrize(
    ("levels", "relations", "text"),
    [
        ((0, -2, 0, 0), (0, -1, 0, 0), "flow is low"),
        ((0, -2, 0, 0), (0, -3, 0, 0), "flow is low for current and pressure"),
        ((0, 0.2, 0, 0), (0, -3, 0, 0), "flow is low for current and pressure"),
        ((1.5, 0, 3, 0), (0, 0, 0.1, 0), "pressure is high; current is high"),
        ((1.5, 0, 3, 0), (-1.6, 0, 0.1, 0), "pressure is high; current is low for flow"),
        ((0.3, 0.2, 0.1, 0), (0, 0, 0, 0), "current is high"),
        ((1, 1, 1, 9), (0, 0, 0, 9), "current is high; flow is high; pressure is high"),
        ((0, 0, 0, 9), (0, 0, 0, 0), ""),
        ((NAN, 2, 0, 0), (NAN, 0, 0, 0), "flow is high"),  # the current is not known
        ((NAN, 0, 0, 0), (NAN, 0, 0, 0), ""),
    ],
)
def test_channels_are_named_strongest_first(levels: tuple[float, ...], relations: tuple[float, ...], text: str) -> None:
    assert explanation(MANIFEST, levels, relations) == text


def test_at_most_three_channels_and_no_partners_without_relations() -> None:
    manifest = msgspec.structs.replace(MANIFEST, context=(), relations=())
    assert explanation(manifest, (1, 2, 3, 4), (0, 0, 9, 0)) == "pressure is high; setpoint is high; flow is high"


def test_three_partners() -> None:
    manifest = msgspec.structs.replace(MANIFEST, relations=((1, 2, 3), (), (), ()))
    assert explanation(manifest, (0, 0, 0, 0), (-2, 0, 0, 0)) == "current is low for flow, pressure and setpoint"


def test_quiet_and_undecided_rows_have_no_text() -> None:
    times, values, quality = normal(90)
    values[70:] += np.float32([0, 30, 0, 0])
    bundle = contrast()
    columns, _ = AssetScorer(bundle, Contrasts()).feed(times, values, quality)
    texts = explanations(bundle.manifest, columns)
    assert [bool(text) for text in texts] == (columns.confidence >= np.float32(0.3)).tolist()
    assert set(texts[70:]) == {"flow is high"} or all("flow" in text for text in texts[70:])
    later = msgspec.structs.replace(bundle.manifest, policy={"clear_at": 0.85})
    assert sum(map(bool, explanations(later, columns))) < sum(map(bool, texts))


def test_model_that_does_not_explain_has_no_texts() -> None:
    bundle = contrast(explains=False, relations=())
    columns, _ = AssetScorer(bundle, Contrasts()).feed(*normal(60))
    assert explanations(bundle.manifest, columns) == [""] * 60
