"""Golden windows: a model must give the confidences of its training machine, or it is refused."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from model_training import golden_samples as training

from edgeml.errors import BundleError
from edgeml.model import self_test
from edgeml.model.bundle import Bundle, assemble, save
from edgeml.model.manifest import Calibration, Channel
from edgeml.model.runtime import open_engine
from tests.edgeml import networks
from tests.edgeml.contrast import MANIFEST as CONTRAST
from tests.edgeml.models import trained, untrue
from tests.edgeml.tiny import MANIFEST, SHIPPED

FILES = Path(__file__).parents[1] / "files"


@pytest.fixture
def shipped() -> Bundle:
    return Bundle.load(SHIPPED)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped model with golden windows that were created on this machine, so that no rounding differs."""
    return Bundle.load(trained(tmp_path_factory.mktemp("local") / "b", "1.0.1"))


class Off:
    """The bundle's engine with wrong scores: off by `fixed`, and alternately by plus and minus `swing`."""

    def __init__(self, bundle: Bundle, fixed: float = 0.0, swing: float = 0.0) -> None:
        self._engine, self._fixed, self._swing = open_engine(bundle), fixed, swing
        self.step, self._seen = self._engine.step, {}

    def run(self, features: np.ndarray) -> float:
        turn = self._seen.setdefault(features.tobytes(), len(self._seen)) // 3 % 2
        return self._engine.run(features) + self._fixed + (self._swing if turn else -self._swing)

    def score(self, answer: np.ndarray) -> float:
        return self._engine.score(answer)


def held(bundle: Bundle) -> self_test.GoldenSet:
    assert bundle.golden is not None
    return msgspec.json.decode(bundle.golden, type=self_test.GoldenSet)


def test_shipped_model_passes_its_self_test(shipped: Bundle) -> None:
    """On any architecture and either runtime; edgeml dev test-arm64 runs this on 64-bit ARM."""
    result = self_test.verify(shipped, open_engine(shipped))
    assert result.windows == 13 and result.largest <= self_test.WITHIN and result.mean <= self_test.WITHIN_MEAN


def test_shipped_windows_are_on_both_sides_of_each_level_and_far_from_it(shipped: Bundle) -> None:
    golden = held(shipped)
    assert golden.levels == (0.3, 0.7, 0.93)
    confidences = [window.confidence for window in golden.windows]
    for level in golden.levels:
        for side in (-1, 1):
            assert self_test.WITHIN < min(d for c in confidences if (d := side * (c - level)) > 0) < 2 * self_test.WITHIN, (level, side)
    assert min(confidences) < 0.01 and max(confidences) > 0.99
    assert all(len(window.inputs) == shipped.manifest.smooth_rows for window in golden.windows)
    assert len(shipped.golden or b"") < 64_000


def test_chosen_windows_are_on_both_sides_of_a_level_beyond_rounding() -> None:
    confidences = np.array([0.0, 0.44, 0.47, 0.5, 0.53, 0.56, 0.62, 1.0])
    chosen = training.choose(confidences, np.full(8, 0.05), (0.5,))
    assert {1, 5} <= set(chosen)


def test_golden_windows_are_reproducible(tmp_path: Path) -> None:
    one, other = trained(tmp_path / "a", "1.0.1"), trained(tmp_path / "b", "1.0.1")
    assert (one / "golden.json").read_bytes() == (other / "golden.json").read_bytes()


def test_bundle_without_golden_windows_is_accepted(shipped: Bundle, tmp_path: Path) -> None:
    older = save(tmp_path / "b", shipped.manifest, shipped.model)
    assert list(older.manifest.digests) == ["model.tflite"]
    loaded = Bundle.load(tmp_path / "b")
    assert loaded.golden is None and self_test.verify(loaded, open_engine(loaded)).windows == 0


def test_confidences_are_smoothed_and_calibrated_as_on_a_device(shipped: Bundle) -> None:
    table = Calibration(kind="table", scores=(0.0, 0.5, 1.0), confidences=(0.0, 0.2, 1.0))
    manifest = msgspec.structs.replace(shipped.manifest, calibration=table)
    engine = open_engine(shipped)
    window = held(shipped).windows[7]
    inputs = np.stack([np.frombuffer(each, np.int8).reshape(60, 16) for each in window.inputs]) * np.float32(held(shipped).scale)
    score, known = self_test.confidence(manifest, engine, inputs)
    assert score == pytest.approx(np.mean([engine.run(each) for each in inputs]))
    assert known == pytest.approx(table.confidence(score)) != pytest.approx(score)


def test_steep_calibration_allows_two_steps_of_the_score(shipped: Bundle) -> None:
    engine = open_engine(shipped)
    steep = Calibration(kind="table", scores=(0.0, 0.5, 0.52, 1.0), confidences=(0.0, 0.1, 0.3, 1.0))
    manifest = msgspec.structs.replace(shipped.manifest, calibration=steep)
    assert self_test.allowed(manifest, engine, 0.25) == self_test.WITHIN
    assert self_test.allowed(manifest, engine, 0.51) == pytest.approx(2 * engine.step * 10)


# -- refusals


def refused(bundle: Bundle, engine: Any = None) -> str:
    with pytest.raises(BundleError) as caught:
        self_test.verify(bundle, engine or open_engine(bundle))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bundle_with_false_confidences_is_refused(tmp_path: Path) -> None:
    assert "golden window 1 of 13 has the confidence 0, expected 0.5 within 0.05 (across the level 0.3)" in refused(
        Bundle.load(untrue(tmp_path / "b", "1.0.1"))
    )


def test_model_trained_with_another_seed_is_refused(shipped: Bundle) -> None:
    sibling = (FILES / "sibling.tflite").read_bytes()
    assert "the model does not run here as it was evaluated" in refused(assemble(shipped.manifest, sibling, "sibling", shipped.golden))


@pytest.mark.parametrize("layer", range(14))
def test_model_with_one_altered_layer_is_refused(shipped: Bundle, layer: int) -> None:
    model = networks.altered(shipped.model, layer, 0.0)
    assert "the model does not run here as it was evaluated" in refused(assemble(shipped.manifest, model, "altered", shipped.golden))


@pytest.mark.parametrize("off", [0.06, -0.06])
def test_runtime_with_larger_errors_than_rounding_is_refused(local: Bundle, off: float) -> None:
    assert "within 0.05; " in refused(local, Off(local, swing=off))


@pytest.mark.parametrize("off", [0.02, -0.02])
def test_runtime_with_small_errors_in_every_window_is_refused(local: Bundle, off: float) -> None:
    assert "golden windows have confidences that differ by 0.0" in refused(local, Off(local, fixed=off))


def test_measured_rounding_is_accepted(local: Bundle) -> None:
    result = self_test.verify(local, Off(local, swing=0.01))  # type: ignore[arg-type]
    assert 0.005 < result.mean <= result.largest < 0.02


class Wrong:
    """An engine whose output is not finite."""

    step = 0.0

    def __init__(self, answer: float) -> None:
        self._answer = answer

    def run(self, features: np.ndarray) -> float:
        return self._answer


@pytest.mark.parametrize("answer", [np.nan, np.inf, -np.inf])
def test_output_that_is_not_finite_is_refused(shipped: Bundle, tmp_path: Path, answer: float) -> None:
    assert "golden window 1 of 13 has the confidence nan" in refused(shipped, Wrong(answer))
    with pytest.raises(BundleError, match="not a finite number"):
        self_test.add(trained(tmp_path / "b", "1.0.1"), [np.zeros((1, 60, 16), np.int8)], 1.0, Wrong(answer))  # type: ignore[arg-type]


def test_windows_are_scored_again_in_reverse_order(tmp_path: Path) -> None:
    """A model with a state reproduces the confidences only in the order in which they were recorded."""

    class Remembers:
        step, last = 0.0, 0.5

        def run(self, features: np.ndarray) -> float:
            answer, self.last = 0.5 + self.last / 50, float(features.mean())
            return answer

    manifest = msgspec.structs.replace(MANIFEST, min_rows=4)
    folder = tmp_path / "b"
    save(folder, manifest, b"no network")
    bundle = self_test.add(folder, [np.full((1, 4, 4), each, np.int8) for each in (-1, 0, 1)], 1.0, Remembers())  # type: ignore[arg-type]
    assert "the model keeps a state" in refused(bundle, Remembers())


# -- the file


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "golden.json has .* truncated"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"0.0", b"0.9")), "golden.json has the SHA-256 digest"),
    ],
)
def test_file_that_differs_from_the_manifest_is_refused(tmp_path: Path, spoil: Any, sentence: str) -> None:
    folder = trained(tmp_path / "b", "1.0.1")
    spoil(folder / "golden.json")
    with pytest.raises(BundleError, match=sentence):
        Bundle.load(folder)


HEAD = '"format":2,"scale":1.0,"within_mean":0.01,"levels":[]'


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "[" * 100_000,
        "\xff",
        '{"within":0.1,"windows":[]}',
        '{"within":0.1,"windows":[{"input":"AAAA","answer":[1]}]}',
        f'{{{HEAD},"windows":[]}}',
        f'{{{HEAD},"windows":[{{"inputs":["AAAA"],"score":0.5,"confidence":0.5,"within":0.05}}]}}',
        f'{{{HEAD},"windows":[{{"inputs":[],"score":0.5,"confidence":0.5,"within":0.05}}]}}',
        f'{{{HEAD},"windows":[{{"inputs":["AAAA"],"score":0.5,"confidence":0.5,"within":0.9}}]}}',
    ],
)
def test_invalid_file_is_refused_in_one_sentence(shipped: Bundle, text: str) -> None:
    assert "golden.json: " in (sentence := refused(assemble(shipped.manifest, shipped.model, "b", text.encode("latin-1")))), sentence
    assert sentence.endswith("; export the model again")


def test_windows_of_a_later_format_are_refused_with_the_remedy(shipped: Bundle) -> None:
    sentence = refused(assemble(shipped.manifest, shipped.model, "b", b'{"format":4,"other":1}'))
    assert sentence == "b: golden.json has format 4; this component supports up to 3; update it"


def test_windows_of_format_1_are_result_by_their_confidences(shipped: Bundle) -> None:
    text = (FILES / "golden.format1.json").read_bytes()
    older, engine = assemble(shipped.manifest, shipped.model, "older", text), open_engine(shipped)
    assert self_test.verify(older, engine).windows == 6
    local = json.loads(text)
    for window in local["windows"]:
        inputs = np.frombuffer(base64.b64decode(window["input"]), "<f4").reshape(60, 16)
        window["answer"] = [engine.run(inputs)]
    # Three int8 steps, which the bound in the file refuses: LiteRT on 64-bit ARM gives such an answer.
    near, far = deepcopy(local), deepcopy(local)
    near["windows"][2]["answer"][0] += 3 / 256
    far["windows"][2]["answer"][0] += 0.1
    bundle = assemble(shipped.manifest, shipped.model, "near", json.dumps(near).encode())
    assert self_test.verify(bundle, open_engine(bundle)).largest == pytest.approx(3 / 256)
    assert "golden window 3 of 6" in refused(assemble(shipped.manifest, shipped.model, "far", json.dumps(far).encode()))
    near["windows"][2]["answer"] = [0.5, 0.5]
    assert "an output has 2 numbers, expected 1" in refused(assemble(shipped.manifest, shipped.model, "b", json.dumps(near).encode()))


def test_model_of_other_channels_gets_windows_of_noise_near_its_levels(tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(MANIFEST, channels=(Channel(name="load", unit="N"), Channel(name="way", unit="mm")), stopped=None)
    folder = tmp_path / "b"
    save(folder, manifest, networks.positive())
    bundle = training.write(folder)
    confidences = [window.confidence for window in held(bundle).windows]
    assert self_test.verify(bundle, open_engine(bundle)).windows == len(confidences)
    for level in self_test.levels(manifest):
        assert any(0 < level - each < 0.1 for each in confidences) and any(0 < each - level < 0.1 for each in confidences)


def test_model_of_contrasts_gets_windows_near_its_levels_that_other_rounding_keeps(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    save(folder, msgspec.structs.replace(CONTRAST, policy={"raise_at": 0.8}), networks.contrasts(4, 8, 3))
    bundle = training.write(folder)
    golden = held(bundle)
    assert golden.format == 3 and golden.levels == (0.3, 0.5, 0.8)
    confidences = [window.confidence for window in golden.windows]
    for level in golden.levels:
        assert any(0 < level - each < 0.2 for each in confidences) and any(0 < each - level < 0.2 for each in confidences)
    assert self_test.verify(Bundle.load(folder), open_engine(bundle)) == self_test.SelfTestResult(len(confidences), 0.0, 0.0)
    assert "golden window" in refused(assemble(bundle.manifest, networks.contrasts(4, 8, 3, sign=-1), "b", bundle.golden))
