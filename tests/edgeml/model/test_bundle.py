"""Verification of bundles: errors have the expected and the actual value."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeml.errors import BundleError
from edgeml.model.bundle import MAX_FILE_BYTES, Bundle, match_channels, save
from edgeml.model.manifest import Calibration, Scaling, Stopped, View
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
    edit(tmp_path, lambda m: m.update(format=2, something="new"))
    text = refusal(tmp_path)
    assert "format 2" in text and "format 1" in text and "update" in text


@pytest.mark.parametrize("key", sorted(set(MANIFEST.__struct_fields__) - {"horizon", "classes", "rows_after_gap", "smooth_rows"}))
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


def test_channels_are_matched_in_any_order(tmp_path: Path) -> None:
    assert match_channels(tiny(tmp_path), ("speed", "flow", "current"), ("1/min", "l/min", "A")).tolist() == [2, 1]


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
