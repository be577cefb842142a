"""The window of a model of contrasts equals a slow computation from the manifest's definitions, in blocks of any size."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from edgeml.messages import BACKWARDS, MISSING, STUCK, ResultColumns
from edgeml.model.bundle import Bundle
from edgeml.model.derived_columns import DerivedColumns
from edgeml.model.manifest import Reference, Stopped
from edgeml.model.scorer import AFTER_GAP, FILLING, AssetScorer
from tests.edgeml.contrast import MANIFEST, SECOND, Contrasts, SlowContrast, contrast, normal, slow_columns, slow_imputed

REFERENCE = MANIFEST.reference
assert REFERENCE is not None


def reasons(result: tuple[ResultColumns, tuple[str, ...]]) -> list[str]:
    columns, texts = result
    return ["" if code == 0 else texts[code - 1] for code in columns.reason]


def history(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with noise, shifts that raise the confidence, faulty values, dead channels and gaps."""
    random = np.random.default_rng(seed)
    times, values, quality = normal(n, seed)
    for _ in range(4):
        first, length = random.integers(60, n), random.integers(3, 90)
        values[first : first + length, random.integers(4)] += random.choice([-1, 1]) * random.uniform(2, 40)
    quality[random.random(quality.shape) < random.choice([0.0, 0.02, 0.3])] = MISSING
    for _ in range(2):
        first, length = random.integers(0, n), random.integers(1, 60)
        quality[first : first + length, : random.integers(1, 5)] = STUCK
    gaps = np.zeros(n, np.int64)
    gaps[random.integers(1, n, 3)] = random.integers(1, 40, 3) * SECOND
    return times + gaps.cumsum(), values, quality


def slow(bundle: Bundle, times: np.ndarray, values: np.ndarray, quality: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The inputs and the confidences, NaN without a decision."""
    manifest, engine = bundle.manifest, Contrasts(bundle.manifest)
    window, inputs, confidences = SlowContrast(manifest), [], []
    measured = [number for number, name in enumerate(manifest.names) if name not in manifest.context]

    def imputed(row: list[float]) -> list[float]:
        return slow_imputed(manifest, row, np.nan_to_num(window.reference()).tolist())

    rows = slow_columns(manifest, times.tolist(), values.astype(np.float64), quality == 0, imputed if manifest.imputation else None)
    for i, row in enumerate(rows):
        if i and times[i] - times[i - 1] > manifest.longest_gap_s * SECOND:
            window.interrupt()
        window.push(row)
        confidences.append(np.nan)
        if window.ready and 2 * sum(bool(quality[i, number]) for number in measured) <= len(measured):
            inputs.append(window.features())
            confidences[-1] = manifest.calibration.confidence(float(engine.run(inputs[-1])))
            window.decided(confidences[-1])
    return inputs, np.array(confidences, np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_inputs_equal_the_definition(seed: int) -> None:
    reference = msgspec.structs.replace(REFERENCE, hold_rows=(0, 7, 25)[seed % 3], delay=(1, 20, 50)[seed // 3 % 3])
    bundle = contrast(reference=reference)
    rows = history(seed)
    engine = Contrasts(bundle.manifest)
    result, _ = AssetScorer(bundle, engine).feed(*rows)
    inputs, confidences = slow(bundle, *rows)
    assert len(engine.inputs) == len(inputs) > 100
    np.testing.assert_allclose(np.stack(engine.inputs), np.stack(inputs), rtol=0, atol=2e-5)
    np.testing.assert_allclose(result.confidence, confidences, rtol=0, atol=2e-5)


def imputing(seed: int) -> tuple[tuple[float, ...], ...]:
    """Weights for the channels of the small model; none of a channel for itself, or of its hinge."""
    weights = np.random.default_rng(seed).uniform(-0.25, 0.25, (4, 8))
    weights[np.arange(4), np.arange(4)] = weights[0, 5] = 0
    return tuple(map(tuple, weights.tolist()))


@pytest.mark.parametrize("seed", range(8))
def test_imputed_inputs_equal_the_definition(seed: int) -> None:
    bundle = contrast(imputation=imputing(seed))
    rows = history(seed)
    engine = Contrasts(bundle.manifest)
    result, _ = AssetScorer(bundle, engine).feed(*rows)
    inputs, confidences = slow(bundle, *rows)
    assert len(engine.inputs) == len(inputs) > 100
    np.testing.assert_allclose(np.stack(engine.inputs), np.stack(inputs), rtol=0, atol=1e-4)
    np.testing.assert_allclose(result.confidence, confidences, rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_division_into_blocks_changes_no_bit(seed: int) -> None:
    times, values, quality = history(seed, 500)
    quality[450, 0] = BACKWARDS
    whole, cut = (AssetScorer(contrast(imputation=imputing(0) if seed % 2 else ()), Contrasts()) for _ in range(2))
    random, begin, epoch = np.random.default_rng(seed), 0, 300
    parts = []
    for end in (*sorted(random.choice(np.arange(1, epoch), 20, replace=False).tolist()), epoch):
        parts.append(cut.feed(times[begin:end], values[begin:end], quality[begin:end])[0])
        begin = end
    before = [whole.feed(times[:epoch], values[:epoch], quality[:epoch])[0]]
    for scorer in (whole, cut):
        scorer.begin_epoch()
    shifted = times - 10**12
    before.append(whole.feed(shifted[epoch:], values[epoch:], quality[epoch:])[0])
    parts += [cut.feed(shifted[i : i + 1], values[i : i + 1], quality[i : i + 1])[0] for i in range(epoch, 500)]
    for name in ("starts", "score", "confidence", "deviations", "levels", "relations"):
        ours, theirs = (np.concatenate([getattr(each, name) for each in results]) for results in (parts, before))
        assert ours.tobytes() == theirs.tobytes(), name


def test_columns_equal_the_definition() -> None:
    times, values, quality = history(3)
    columns = DerivedColumns(MANIFEST).all(times, values, quality)
    slowly = np.stack(list(slow_columns(MANIFEST, times.tolist(), values.astype(np.float64), quality == 0)))
    np.testing.assert_allclose(columns, slowly, atol=2e-5, rtol=0)


def test_model_without_derived_columns() -> None:
    rows = history(4)
    bundle = contrast(columns=())
    engine = Contrasts(bundle.manifest)
    AssetScorer(bundle, engine).feed(*rows)
    np.testing.assert_allclose(np.stack(engine.inputs), np.stack(slow(bundle, *rows)[0]), rtol=0, atol=2e-5)


def scored(bundle: Bundle, values: np.ndarray, quality: np.ndarray | None = None, scorer: AssetScorer | None = None) -> Any:
    n = len(values)
    times = normal(n)[0]
    return (scorer or AssetScorer(bundle, Contrasts(bundle.manifest))).feed(
        times, values, np.zeros((n, 4), np.uint8) if quality is None else quality
    )


def test_first_decision_waits_for_the_reference() -> None:
    found = reasons(scored(contrast(), normal(60)[1]))
    assert found == [FILLING] * 29 + [""] * 31  # the first row is due when 20 further ones have come, the tenth 9 rows later


def test_alarm_holds_the_reference_until_the_new_state_is_accepted() -> None:
    values = np.tile(np.float32(MANIFEST.scaling.mean), (300, 1))
    values[100:] += np.float32([0, 10, 0, 0])
    held, accepted = (scored(contrast(reference=msgspec.structs.replace(REFERENCE, hold_rows=rows)), values)[0] for rows in (0, 40))
    assert (held.confidence[100:] > 0.8).all()
    assert (accepted.confidence[100:140] > 0.8).all() and (accepted.confidence[140:] == 0).all()


def test_level_of_the_model_and_its_sign_are_the_deviations() -> None:
    values = normal(80)[1]
    values[70:] += np.float32([0, -8, 0, 0])
    result, _ = scored(contrast(), values)
    assert result.levels is not None and result.relations is not None
    assert np.isnan(result.levels[:29]).all() and np.isfinite(result.levels[29:]).all()
    stronger = np.where(np.abs(result.levels) >= np.abs(result.relations), result.levels, result.relations)
    assert np.array_equal(result.deviations, stronger.astype(np.float16), equal_nan=True)
    assert (result.deviations[70:, 1] < -1.5).all()


@pytest.mark.parametrize(("faulty", "reason"), [((0, 3), ""), ((0, 1), "sensor: current stuck"), ((1, 2), "sensor: flow stuck")])
def test_faulty_values_withhold_a_decision_from_half_of_the_measured_channels_on(faulty: tuple[int, ...], reason: str) -> None:
    quality = np.zeros((60, 4), np.uint8)
    quality[50:55, faulty] = STUCK
    found = reasons(scored(contrast(), normal(60)[1], quality))
    assert found[50:] == [reason] * 5 + [""] * 5


def test_faulty_channel_has_no_contrast_and_does_not_speak() -> None:
    values, quality = normal(120)[1], np.zeros((120, 4), np.uint8)
    values[60:, 1] = 1e6
    quality[60:, 1] = STUCK
    result, _ = scored(contrast(), values, quality)
    assert result.levels is not None and np.isnan(result.levels[60:, 1]).all() and (result.confidence[60:] < 0.7).all()


def test_reference_and_lags_survive_a_gap_and_a_stop_and_the_views_do_not() -> None:
    for stopped in (None, Stopped(channel="setpoint", below=0.0)):
        times, values, quality = normal(90)
        engine = Contrasts()
        scorer = AssetScorer(contrast(stopped=stopped), engine)
        if stopped is None:
            times[60:] += 1000 * SECOND
        else:
            values[58:60, 3] = -1
        found = reasons(scorer.feed(times, values, quality))
        assert found[60:] == [AFTER_GAP if stopped is None else FILLING] * 3 + [""] * 27
        before, after = (engine.inputs[number].reshape(4, 8) for number in (57 - 29, 57 - 28 + (2 if stopped is None else 0)))
        assert np.array_equal(after[2], after[3]) and not np.array_equal(before[2], before[3])  # the longest view is unknown
        assert np.abs(after[3, 6:] - before[3, 6:]).max() < 0.2


def test_epoch_begins_a_new_reference() -> None:
    times, values, quality = normal(90)
    scorer = AssetScorer(contrast(), Contrasts())
    scorer.feed(times[:60], values[:60], quality[:60])
    scorer.begin_epoch()
    found = reasons(scorer.feed(times[:60], values[:60], quality[:60]))
    assert found == [AFTER_GAP] * 29 + [""] * 31


def test_warm_scorer_continues_as_the_one_before_the_restart() -> None:
    times, values, quality = normal(260)
    values[180:] += np.float32([0, 30, 0, 0])
    bundle = contrast(reference=msgspec.structs.replace(REFERENCE, hold_rows=60))
    first, second = AssetScorer(bundle, Contrasts()), AssetScorer(bundle, Contrasts())
    first.feed(times[:210], values[:210], quality[:210])
    second.warm(times[:210], values[:210], quality[:210])
    ours, theirs = (each.feed(times[210:], values[210:], quality[210:])[0] for each in (first, second))
    assert ours.confidence.tobytes() == theirs.confidence.tobytes()
    assert (ours.confidence[:30] > 0.9).all() and (ours.confidence[30:] < 0.9).any()


def test_swapped_model_keeps_the_reference() -> None:
    times, values, quality = normal(80)
    scorer = AssetScorer(contrast(), Contrasts())
    scorer.feed(times[:60], values[:60], quality[:60])
    scorer.swap_model(contrast(version="2.0.0", explains=False, relations=()), Contrasts())
    result, _ = scorer.feed(times[60:], values[60:], quality[60:])
    assert (result.reason == 0).all() and result.levels is None and np.isfinite(result.deviations).all()


def test_engine_without_a_finite_number_gives_no_decision() -> None:
    class Silent(Contrasts):
        def explain(self, features: np.ndarray) -> np.ndarray:
            return np.full(9, np.inf)

    bundle = contrast()
    found = AssetScorer(bundle, Silent()).feed(*normal(40))
    assert set(reasons(found)) == {FILLING, "model: no finite answer"}


def test_extreme_readings_keep_the_sums_exact() -> None:
    times, values, quality = normal(200)
    wild = values.copy()
    wild[50:60] *= np.float32(1e30)
    results = []
    for each in (values, wild):
        scorer = AssetScorer(contrast(reference=Reference(rows=30, delay=20, hold_at=1.0, min_rows=10), columns=()), Contrasts())
        results.append(scorer.feed(times, each, quality)[0].score[120:])
    assert results[0].tobytes() == results[1].tobytes()
