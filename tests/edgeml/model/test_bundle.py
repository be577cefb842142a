"""Verification of bundles: errors have the expected and the actual value."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.errors import BundleError
from edgeml.model.bundle import MAX_FILE_BYTES, Bundle, assemble, match_channels, save
from edgeml.model.manifest import NEWER_KEYS, Calibration, CycleColumn, HingeColumn, LagColumn, Scaling, Stopped, View
from edgeml.model.manifest_policy import effective_policy
from tests.edgeml.contrast import MANIFEST as CONTRAST
from tests.edgeml.contrast import contrast
from tests.edgeml.tiny import MANIFEST, SHIPPED, tiny


def edit(folder: Path, change: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    text = str(caught.value)
    assert str(folder) in text and "\n" not in text
    return text


def test_saved_bundle_is_loaded(tmp_path: Path) -> None:
    saved = tiny(tmp_path)
    loaded = Bundle.load(tmp_path)
    assert (loaded.manifest, loaded.model, loaded.digest) == (saved.manifest, b"no network", saved.digest)
    assert loaded.manifest.input_shape == (4, 4)


def test_save_is_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny(tmp_path / name)
    for file in ("manifest.json", "model.tflite"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_shipped_bundle_is_valid() -> None:
    bundle = Bundle.load(SHIPPED)
    assert bundle.manifest.input_shape == (60, 16)
    assert len(bundle.model) < 64_000


def test_truncated_model_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    (tmp_path / "model.tflite").write_bytes(b"no net")
    text = refusal(tmp_path)
    assert "6 bytes" in text and "10" in text and "truncated" in text


def test_wrong_digest_is_refused(tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    (tmp_path / "model.tflite").write_bytes(b"no NETWORK")
    text = refusal(tmp_path)
    assert bundle.digest in text and "SHA-256" in text


@pytest.mark.parametrize("file", ["model.tflite", "manifest.json"])
def test_missing_file_is_refused(tmp_path: Path, file: str) -> None:
    tiny(tmp_path)
    (tmp_path / file).unlink()
    assert file in refusal(tmp_path)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "manifest.json" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["model.tflite", "manifest.json"])
def test_link_in_a_bundle_is_refused(tmp_path: Path, file: str) -> None:
    tiny(tmp_path)
    (tmp_path / file).rename(tmp_path / "elsewhere")
    (tmp_path / file).symlink_to(tmp_path / "elsewhere")
    assert f"{file}: is a symbolic link" in refusal(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_special_file_is_refused_without_blocking(tmp_path: Path, make: Any) -> None:
    tiny(tmp_path)
    (tmp_path / "model.tflite").unlink()
    make(tmp_path / "model.tflite")
    assert "model.tflite" in refusal(tmp_path)


def test_endless_file_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    with (tmp_path / "manifest.json").open("r+b") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert f"more than {MAX_FILE_BYTES} bytes" in refusal(tmp_path)


def test_invalid_path_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "a\0b")


def test_invalid_json_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\x00{")
    assert "manifest.json" in refusal(tmp_path)


def test_other_format_version_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    edit(tmp_path, lambda m: m.update(format=3, something="new"))
    assert "has format 3, expected format 1 or 2; update this component" in refusal(tmp_path)


@pytest.mark.parametrize(
    "key", sorted(set(MANIFEST.__struct_fields__) - {"horizon", "classes", "rows_after_gap", "smooth_rows", *NEWER_KEYS})
)
def test_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    tiny(tmp_path)
    edit(tmp_path, lambda m: m.pop(key))
    assert f"`{key}`" in refusal(tmp_path)


def test_unknown_key_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    edit(tmp_path, lambda m: m["views"][0].update(stepz=3))
    text = refusal(tmp_path)
    assert "`stepz`" in text and "views" in text


def test_wrong_type_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    edit(tmp_path, lambda m: m.update(min_rows="four"))
    text = refusal(tmp_path)
    assert "min_rows" in text and "int" in text


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"channels": ()}, ["`channels`"]),
        ({"channels": MANIFEST.channels[:1] * 2}, ["`channels`", "duplicate"]),
        ({"interval_s": 0.0}, ["`interval_s`", "0"]),
        ({"verdict_level": 1.5}, ["`verdict_level`", "1.5", "0 to 1"]),
        ({"views": ()}, ["`views`"]),
        ({"views": (View(every=1, steps=4), View(every=2, steps=5))}, ["4 and 5 steps"]),
        ({"min_rows": 3}, ["`min_rows` is 3", "4 to 12"]),
        ({"min_rows": 13}, ["`min_rows` is 13"]),
        ({"rows_after_gap": 5}, ["`rows_after_gap` is 5", "0 to 4"]),
        ({"smooth_rows": 0}, ["`smooth_rows` is 0", "1 to 12"]),
        ({"smooth_rows": 13}, ["`smooth_rows` is 13"]),
        ({"scaling": Scaling(kind="baseline", rows=1)}, ["`scaling.rows` is 1"]),
        ({"scaling": Scaling(kind="fixed")}, ["`scaling.mean`", "`scaling.std`", "`scaling.spread`"]),
        ({"stopped": Stopped(channel="speed", below=1.0)}, ["`speed`", "current, flow"]),
        ({"calibration": Calibration(kind="table", scores=(0.5, 0.0), confidences=(0.1, 0.5))}, ["`calibration`", "`scores` (rising)"]),
        ({"calibration": Calibration(kind="table", scores=(0.0, 0.5, 1.0), confidences=(0.5, 0.1, 0.5))}, ["all rising or all falling"]),
        ({"calibration": Calibration(kind="table", scores=(0.0, 0.5), confidences=(1.5, 0.1))}, ["0 to 1"]),
        ({"calibration": Calibration(kind="table", scores=(-1e308, 1e308), confidences=(0.0, 1.0))}, ["1e+308", "at most 1e+30"]),
        ({"horizon": 0.0}, ["`horizon` is 0.0"]),
        ({"horizon": float("nan")}, ["`horizon`"]),
        ({"classes": ("none",)}, ["`classes`", "two"]),
        ({"classes": ("none", "power", "power")}, ["`classes`", "power, power"]),
    ],
)
def test_inconsistent_values_are_refused(tmp_path: Path, changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(BundleError) as caught:
        tiny(tmp_path, **changes)
    assert all(part in str(caught.value) for part in parts), caught.value
    assert not (tmp_path / "model.tflite").exists()


def test_manifest_has_the_lowest_format_with_its_keys(tmp_path: Path) -> None:
    assert tiny(tmp_path / "older").manifest.format == 1
    newer = save(tmp_path / "newer", CONTRAST, b"no network")
    assert newer.manifest.format == 2 and Bundle.load(tmp_path / "newer").manifest == newer.manifest
    assert newer.manifest.input_shape == (1, 4 * 8) and newer.manifest.output_shape == (9,)
    edit(tmp_path / "newer", lambda m: m.update(format=1))
    assert "`format` is 1; expected 2, because `columns`, `reference`, `explains`, `relations`, `context` need it" in refusal(
        tmp_path / "newer"
    )


assert CONTRAST.reference is not None
REFERENCE = CONTRAST.reference
FIXED = replace(CONTRAST.scaling, spread=((1.0,) * 4,) * 3)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"columns": (CycleColumn(period_s=0.0, phase="sin"),)}, ["`columns[0]`", "`period_s` above 0"]),
        ({"columns": (CycleColumn(period_s=9.0, phase="sin", harmonic=0),)}, ["`columns[0]`", "`harmonic` of 1"]),
        ({"columns": (CycleColumn(period_s=9.0, phase="sin", offset_s=1e10),)}, ["`columns[0].offset_s`"]),
        ({"columns": (HingeColumn(channel=4, at=0.0),)}, ["`columns[0].channel` is 4", "0 to 3"]),
        ({"columns": (HingeColumn(channel=1, at=21.0),)}, ["`columns[0].at` is 21", "`clip`, 20"]),
        ({"columns": (LagColumn(column=0, rows=2.0), LagColumn(column=5, rows=2.0))}, ["`columns[1].column` is 5", "0 to 4"]),
        ({"columns": (LagColumn(column=0, rows=0.5),)}, ["`columns[0].rows` is 0.5"]),
        ({"reference": None, "scaling": FIXED}, ["`columns` are for a model with a `reference`"]),
        ({"reference": replace(REFERENCE, rows=0)}, ["`reference.rows` is 0"]),
        ({"reference": replace(REFERENCE, delay=0)}, ["`reference.delay` is 0; expected 1"]),
        ({"reference": replace(REFERENCE, hold_at=0.2)}, ["`reference.hold_at` is 0.2; expected 0.3 to 1"]),
        ({"reference": replace(REFERENCE, hold_rows=-1)}, ["`reference.hold_rows` is -1"]),
        ({"reference": replace(REFERENCE, min_rows=31)}, ["`reference.min_rows` is 31; expected 1 to 30"]),
        ({"reference": replace(REFERENCE, rows=600_000)}, ["600020 rows of 8 columns", "at most 4000000"]),
        ({"scaling": Scaling(kind="baseline")}, ["`scaling.kind` is `baseline`; expected `fixed`"]),
        ({"scaling": FIXED}, ["`scaling.spread` is invalid; expected none"]),
        ({"views": (View(every=1, steps=4),)}, ["`views` have several steps"]),
        ({"rows_after_gap": 2}, ["`rows_after_gap` is 2; expected none"]),
        ({"clip": 101.0}, ["`clip` is 101; expected at most 100"]),
        ({"classes": ("none", "power")}, ["`explains`", "`classes`"]),
        ({"explains": False}, ["`relations` are for a model that `explains`"]),
        ({"relations": ((1,),)}, ["`relations` has 1 entries; expected 4"]),
        ({"relations": ((0,), (), (), ())}, ["`relations[0]` is 0"]),
        ({"relations": ((1, 1), (), (), ())}, ["`relations[0]` is 1, 1"]),
        ({"relations": ((4,), (), (), ())}, ["`relations[0]` is 4"]),
        ({"imputation": ((0.0,) * 8,) * 3}, ["`imputation` is invalid; expected 4 rows of 8 numbers"]),
        ({"imputation": ((0.0,) * 4,) * 4}, ["`imputation` is invalid; expected 4 rows of 8 numbers"]),
        ({"imputation": ((1.0,) * 8,) * 4}, ["`imputation` is invalid", "0 for each channel itself"]),
        ({"imputation": ((0.0, *(1e31,) * 7),) * 4}, ["`imputation` is invalid; expected numbers of at most 1e+30"]),
        ({"imputation": ((0.0,) * 8,) * 4, "reference": None}, ["`imputation` is for a model with a `reference`"]),
        ({"context": ("speed",)}, ["`context` has `speed`", "current, flow, pressure, setpoint"]),
        ({"context": CONTRAST.names}, ["`context` has all channels"]),
        ({"policy": {"raise_at": 1.5}}, ["`policy.raise_at` is 1.5"]),
        ({"policy": {"hold": 5}}, ["`policy.hold` is an unknown option", "`hold_s`"]),
        ({"policy": {"votes": 7}}, ["`policy.votes` is 7", "`policy.of`"]),
    ],
)
def test_inconsistent_values_of_a_model_of_contrasts_are_refused(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(BundleError) as caught:
        contrast(**changes)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_policy_of_a_model_is_that_of_its_manifest_over_the_defaults() -> None:
    assert effective_policy(MANIFEST) == PolicyOptions()
    slow = msgspec.structs.replace(MANIFEST, policy={"hold_s": 900, "votes": 2})
    assert effective_policy(slow) == PolicyOptions(hold_s=900, votes=2)
    assert effective_policy(slow, over=PolicyOptions(hold_s=1, of=9)) == PolicyOptions(hold_s=900, votes=2, of=9)


def test_scaling_id_depends_on_the_columns_and_the_reference() -> None:
    others = [contrast(columns=()), contrast(reference=replace(REFERENCE, delay=9)), contrast(context=())]
    assert [other.manifest.scaling_id == contrast().manifest.scaling_id for other in others] == [False, False, True]


def test_channels_are_matched_in_any_order(tmp_path: Path) -> None:
    assert match_channels(tiny(tmp_path), ("speed", "flow", "current"), ("1/min", "l/min", "A")).tolist() == [2, 1]


def test_channel_without_a_unit_in_the_manifest_matches_any_unit(tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    current, flow = bundle.manifest.channels
    without = (replace(current, unit=""), flow)
    unitless = assemble(replace(bundle.manifest, channels=without), bundle.model)
    assert match_channels(unitless, ("current", "flow"), ("mA", "l/min")).tolist() == [0, 1]
    with pytest.raises(BundleError, match=r"no `current`; expected current, flow \(l/min\); received flow \(l/min\)"):
        match_channels(unitless, ("flow",), ("l/min",))


def test_mismatched_channels_are_refused(tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    with pytest.raises(BundleError, match=r"no `flow` in l/min.*expected current \(A\), flow \(l/min\); received current \(A\)"):
        match_channels(bundle, ("current",), ("A",))
    with pytest.raises(BundleError, match="`flow` in m³/h instead of l/min"):
        match_channels(bundle, ("current", "flow"), ("A", "m³/h"))


def test_score_is_calibrated_to_a_confidence() -> None:
    assert [Calibration().confidence(s) for s in (-0.5, 0.25, 2.0)] == [0.0, 0.25, 1.0]
    assert all(math.isnan(c.confidence(math.nan)) for c in (Calibration(), Calibration(kind="table", scores=(0, 1), confidences=(0, 1))))
    table = Calibration(kind="table", scores=(0.0, 10.0, 20.0), confidences=(0.1, 0.5, 0.9))
    assert [table.confidence(s) for s in (-5.0, 0.0, 5.0, 10.0, 15.0, 99.0)] == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.7, 0.9])


def test_confidence_may_fall_as_the_score_rises() -> None:
    table = Calibration(kind="table", scores=(10.0, 30.0, 50.0), confidences=(1.0, 0.5, 0.0))
    assert [table.confidence(s) for s in (0.0, 20.0, 30.0, 45.0, 125.0)] == pytest.approx([1.0, 0.75, 0.5, 0.125, 0.0])


def test_manifest_omits_fields_of_other_kinds_of_models(tmp_path: Path) -> None:
    tiny(tmp_path / "plain")
    assert not {"horizon", "classes"} & set(json.loads((tmp_path / "plain" / "manifest.json").read_text()))
    tiny(tmp_path / "life", horizon=30.0)
    assert Bundle.load(tmp_path / "life").manifest.horizon == 30.0
    tiny(tmp_path / "types", classes=("none", "power"))
    assert Bundle.load(tmp_path / "types").manifest.output_shape == (2,)


def test_shipped_manifest_is_rewritten_unchanged(tmp_path: Path) -> None:
    shipped = Bundle.load(SHIPPED)
    save(tmp_path, shipped.manifest, shipped.model, shipped.golden)
    assert (tmp_path / "manifest.json").read_bytes() == (SHIPPED / "manifest.json").read_bytes()


def test_baseline_survives_a_retrained_model_but_not_other_inputs() -> None:
    retrained = msgspec.structs.replace(MANIFEST, version="2.0.0", verdict_level=0.7)
    other = msgspec.structs.replace(MANIFEST, views=(View(every=1, steps=4), View(every=2, steps=4)))
    assert retrained.scaling_id == MANIFEST.scaling_id != other.scaling_id


def test_save_fills_in_the_digest(tmp_path: Path) -> None:
    bundle = save(tmp_path, MANIFEST, b"abc")
    assert bundle.manifest.digests["model.tflite"].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
