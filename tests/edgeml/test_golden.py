"""Golden windows: what the model answered where it was made is what it answers here, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeml import golden
from edgeml.bundle import Bundle, decode_manifest, save
from edgeml.engines import open_engine
from edgeml.errors import BundleError
from tests.edgeml.models import trained, untrue
from tests.edgeml.tiny import SHIPPED


def test_a_trained_bundle_brings_simulated_windows_and_answers_them_alike(tmp_path: Path) -> None:
    bundle = Bundle.load(trained(tmp_path / "b", "1.0.1"))
    assert golden.verify(bundle, open_engine(bundle)) == 6
    answers = [window["answer"][0] for window in json.loads((tmp_path / "b" / "golden.json").read_text())["windows"]]
    assert min(answers) < 0.1 and max(answers) > 0.9  # normal running, and a closing valve


def test_the_same_bundle_gets_the_same_windows(tmp_path: Path) -> None:
    one, other = trained(tmp_path / "a", "1.0.1"), trained(tmp_path / "b", "1.0.1")
    assert (one / "golden.json").read_bytes() == (other / "golden.json").read_bytes()


def test_a_bundle_without_them_is_as_before(tmp_path: Path) -> None:
    bundle = Bundle.load(SHIPPED)
    older = save(tmp_path / "b", bundle.manifest, bundle.model)
    assert list(older.manifest.digests) == ["model.tflite"]
    loaded = Bundle.load(tmp_path / "b")
    assert loaded.golden is None and golden.verify(loaded, open_engine(loaded)) == 0


def test_a_model_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.load(untrue(tmp_path / "b", "1.0.1"))
    with pytest.raises(BundleError, match=r"golden window 1 of 6 is answered with \S+ where 0\.5 within \S+ is wanted"):
        golden.verify(bundle, open_engine(bundle))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "golden.json has .* truncated"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"0.0", b"0.9")), "golden.json has the SHA-256 digest"),
    ],
)
def test_a_file_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path, spoil, sentence) -> None:
    folder = trained(tmp_path / "b", "1.0.1")
    spoil(folder / "golden.json")
    with pytest.raises(BundleError, match=sentence):
        Bundle.load(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"within":0.1,"windows":[]}', '{"within":0.1,"windows":[{"input":"AAAA","answer":[1]}]}'])
def test_a_file_that_holds_something_else_is_one_sentence(tmp_path: Path, text: str) -> None:
    manifest = decode_manifest((SHIPPED / "manifest.json").read_bytes(), "m")
    bundle = save(tmp_path / "b", manifest, (SHIPPED / "model.tflite").read_bytes(), text.encode())
    with pytest.raises(BundleError, match=r"golden\.json: .*; export the model again") as caught:
        golden.verify(bundle, open_engine(bundle))
    assert "\n" not in str(caught.value)


def test_an_answer_that_is_no_number_fits_nothing(tmp_path: Path) -> None:
    class Lost:
        step = 0.0

        def answer(self, features: np.ndarray) -> np.ndarray:
            return np.array([np.nan])

    folder = trained(tmp_path / "b", "1.0.1")
    with pytest.raises(BundleError, match="golden window 1"):
        golden.verify(Bundle.load(folder), Lost())  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="no number"):
        golden.add(folder, np.zeros((1, 60, 16), np.float32), Lost())  # type: ignore[arg-type]
