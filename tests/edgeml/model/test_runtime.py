"""Models of both kinds run, and a model that does not match its manifest is refused in one sentence."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeml.errors import BundleError
from edgeml.model.bundle import Bundle, assemble, save
from edgeml.model.manifest import View
from edgeml.model.runtime import ENGINES, Engine, open_engine, open_network
from tests.edgeml import networks
from tests.edgeml.contrast import MANIFEST as CONTRAST
from tests.edgeml.contrast import contrast
from tests.edgeml.tiny import MANIFEST, SHIPPED, tiny


@pytest.fixture
def foreign(shared: Path) -> Path:
    folder = shared / "models" / "mlperf-tiny"
    if not folder.is_dir():
        pytest.skip(f"no models of others in {folder}")
    return folder


def test_shipped_model_outputs_0_to_1_deterministically() -> None:
    engine = open_engine(Bundle.load(SHIPPED))
    features = np.random.default_rng(0).normal(0, 2, (20, 60, 16)).astype(np.float32).clip(-8, 8)
    first = [engine.run(x) for x in features]
    assert all(0.0 <= score <= 1.0 for score in first)
    assert [engine.run(x) for x in features] == first


def test_int8_and_float32_versions_of_a_network_agree(foreign: Path) -> None:
    x = np.random.default_rng(0).normal(0, 1, 640).astype(np.float32).cumsum() / 4
    as_float = open_network((foreign / "ad01_fp32.tflite").read_bytes())
    as_int8 = open_network((foreign / "ad01_int8.tflite").read_bytes())
    assert as_float.input_shape == as_int8.input_shape == (640,)
    a, b = as_float.invoke(x), as_int8.invoke(x)
    assert a.dtype == b.dtype == np.float32
    # One step of this model's int8 output is 0.36; it passes ten quantised layers.
    assert np.abs(a - b).mean() < 4 * 0.36 and np.corrcoef(a, b)[0, 1] > 0.95


@pytest.mark.parametrize("name", ["vww_96_int8.tflite", "kws_ref_model.tflite", "pretrainedResnet_quant.tflite"])
def test_third_party_models_run(foreign: Path, name: str) -> None:
    network = open_network((foreign / name).read_bytes())
    out = network.invoke(np.zeros(network.input_shape, np.float32))
    assert out.shape == network.output_shape and out.sum() == pytest.approx(1.0, abs=0.05)


def test_model_with_another_input_shape_is_refused(foreign: Path, tmp_path: Path) -> None:
    bundle = save(tmp_path, MANIFEST, (foreign / "ad01_int8.tflite").read_bytes())
    with pytest.raises(BundleError, match=r"input shape \(640\), the .* \(4, 4\)"):
        open_engine(bundle)


def test_shipped_model_with_another_manifest_is_refused(tmp_path: Path) -> None:
    shipped = Bundle.load(SHIPPED)
    views = (View(every=1, steps=30), View(every=10, steps=30))
    bundle = save(tmp_path, msgspec.structs.replace(shipped.manifest, views=views), shipped.model)
    with pytest.raises(BundleError, match=r"input shape \(60, 16\), the .* \(30, 16\)"):
        open_engine(bundle)


class Answers:
    """A network with a constant output."""

    kind, input_shape, step = "fixed", (4, 4), 0.0

    def __init__(self, *answer: float) -> None:
        self._answer, self.output_shape = np.array(answer, np.float32), (len(answer),)

    def invoke(self, values: np.ndarray) -> np.ndarray:
        return self._answer


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (n, 4, 4)).astype(np.float32)


def test_recurrent_model_is_reset_before_each_input(tmp_path: Path) -> None:
    bundle = save(tmp_path, MANIFEST, networks.recurrent())
    alone = [open_engine(bundle).run(each) for each in noise(5)]
    assert len(set(alone)) == 5
    engine = open_engine(bundle)
    assert [engine.run(each) for each in noise(5)] == alone
    assert [engine.run(each) for each in noise(5)[::-1]] == alone[::-1]


def test_test_of_recurrent_models_detects_a_kept_state() -> None:
    network = open_network(networks.recurrent())
    network._interpreter.reset_all_variables = lambda: None  # noqa: SLF001
    first, again = (float(network.invoke(noise(1)[0])) for _ in range(2))
    assert abs(first - again) > 0.01


def test_model_with_a_state_that_no_runtime_resets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="keeps a state in resource variables, which no runtime resets") as caught:
        open_engine(save(tmp_path, MANIFEST, networks.counting()))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_nondeterministic_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"returns \S+ and then \S+ for the same input: it keeps state or uses random numbers"):
        open_engine(save(tmp_path, MANIFEST, networks.drawing()))


def test_output_that_is_not_finite_is_no_score(tmp_path: Path) -> None:
    engine = open_engine(save(tmp_path, MANIFEST, networks.root()))
    assert engine.run(np.full((4, 4), 4, np.float32)) == 2.0
    assert math.isnan(engine.run(np.full((4, 4), -1, np.float32)))
    assert math.isnan(engine.run(np.full((4, 4), np.inf, np.float32)))
    classes = tiny(tmp_path / "c", classes=("none", "power", "wear"))
    for answer in ((0.25, np.nan, 0.75), (0.5, 0.5, np.inf)):
        assert math.isnan(Engine(Answers(*answer), classes).run(np.zeros((4, 4), np.float32)))


@pytest.mark.parametrize("model", ["int8", "float32"])
def test_nan_input_has_a_nan_score(tmp_path: Path, model: str) -> None:
    """int8 has no NaN, and max(0, x) is 0 for it."""
    engine = open_engine(Bundle.load(SHIPPED) if model == "int8" else save(tmp_path, MANIFEST, networks.positive()))
    features = np.zeros((60, 16) if model == "int8" else (4, 4), np.float32)
    assert math.isfinite(engine.run(features))
    features[1, 1] = np.nan
    assert math.isnan(engine.run(features))


def test_runtime_error_is_no_score(tmp_path: Path) -> None:
    class Fails(Answers):
        def invoke(self, values: np.ndarray) -> np.ndarray:
            raise RuntimeError("gather index out of bounds")

    assert math.isnan(Engine(Fails(0.5), tiny(tmp_path)).run(np.zeros((4, 4), np.float32)))


def test_score_of_a_classifier_is_1_minus_the_healthy_class(tmp_path: Path) -> None:
    bundle = tiny(tmp_path, classes=("none", "power", "wear"))
    engine = Engine(Answers(0.25, 0.5, 0.25), bundle)
    assert engine.run(np.zeros((4, 4), np.float32)) == 0.75
    assert engine.answer(np.zeros((4, 4), np.float32)).tolist() == [0.25, 0.5, 0.25]


def test_model_with_another_number_of_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"output shape \(2\), expected one probability per class \(none, power, wear\), \(3\)"):
        Engine(Answers(0.5, 0.5), tiny(tmp_path / "a", classes=("none", "power", "wear")))
    with pytest.raises(BundleError, match=r"output shape \(2\), expected one score, \(1\)"):
        Engine(Answers(0.5, 0.5), tiny(tmp_path / "b"))


def test_model_that_explains_returns_its_score_levels_and_relations() -> None:
    engine = open_engine(assemble(CONTRAST, networks.contrasts(4, 8, 3)))
    stretches = np.arange(32, dtype=np.float32).reshape(4, 8) / 10
    answer = engine.explain(stretches.reshape(1, 32))
    np.testing.assert_allclose(answer, [-2.4] * 5 + [-1.6] * 4, rtol=1e-5)
    assert engine.run(stretches.reshape(1, 32)) == answer[0] and engine.step == 0
    assert np.isnan(engine.explain(np.full((1, 32), np.nan, np.float32))).all()


def test_model_that_explains_with_another_number_of_outputs_is_refused() -> None:
    answers = Answers(0.5, 0.5)
    answers.input_shape = (1, 32)
    with pytest.raises(BundleError, match=r"output shape \(2\), expected the score, and a level and a relation per channel, \(9\)"):
        Engine(answers, contrast())  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_truncated_model_with_a_matching_digest_is_refused(tmp_path: Path, keep: float) -> None:
    shipped = Bundle.load(SHIPPED)
    bundle = save(tmp_path, shipped.manifest, shipped.model[: int(len(shipped.model) * keep)])
    with pytest.raises(BundleError, match="cannot run this model") as caught:
        open_engine(bundle)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot run this model"):
        open_engine(save(tmp_path, MANIFEST, b"no network"))


def test_unknown_engine_lists_the_valid_ones() -> None:
    with pytest.raises(BundleError, match=f"`onnx`.*{', '.join(ENGINES)}"):
        open_engine(Bundle.load(SHIPPED), "onnx")


def test_missing_runtime_is_reported_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(model: bytes, threads: int) -> None:
        raise ImportError("No module named 'nothing'")

    monkeypatch.setattr("edgeml.model.runtime.ENGINES", {"litert": absent, "tflite-runtime": absent})
    with pytest.raises(BundleError, match="no TFLite runtime.*install ai-edge-litert"):
        open_network(b"")


def test_next_runtime_is_used_if_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(model: bytes, threads: int) -> None:
        raise ImportError("No module named 'nothing'")

    shipped = Bundle.load(SHIPPED)
    monkeypatch.setattr("edgeml.model.runtime.ENGINES", {"litert": absent, "tflite-runtime": ENGINES[open_engine(shipped).kind]})
    assert open_engine(shipped).kind == "tflite-runtime"


def test_runtime_prints_nothing_and_is_imported_late() -> None:
    script = (
        "import sys, edgeml.model.runtime as e\n"
        "assert not {'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)\n"
        "from edgeml.model.bundle import Bundle; import numpy as np\n"
        f"e.open_engine(Bundle.load({str(SHIPPED)!r})).run(np.zeros((60, 16), np.float32))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
