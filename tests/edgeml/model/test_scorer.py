"""Scoring of rows: one result per row, and the reasons that prevent a decision; Inference's README 4 and 6 to 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeml.errors import BundleError
from edgeml.messages import AHEAD, BACKWARDS, GAP, MISSING, OUT_OF_RANGE, STUCK, ResultColumns
from edgeml.model.baseline import Baseline
from edgeml.model.bundle import Bundle
from edgeml.model.manifest import Calibration, Scaling
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import NO_NUMBER, AssetScorer
from tests.edgeml.tiny import SECOND, SHIPPED, Largest, normal, tiny


@pytest.fixture
def scorer(tmp_path: Path) -> AssetScorer:
    return AssetScorer(tiny(tmp_path), Largest())


def feed(scorer: AssetScorer, times: np.ndarray, values: np.ndarray, quality: np.ndarray) -> list[str]:
    """The reason of each row, empty for a decision."""
    result, reasons = scorer.feed(times, values, quality)
    check(result)
    return ["" if code == 0 else reasons[code - 1] for code in result.reason]


def check(result: ResultColumns) -> None:
    """Check an invariant of every batch: a decision has a score and a confidence, no decision has neither."""
    decided = result.reason == 0
    assert (np.isfinite(result.score) == decided).all()
    assert (np.isfinite(result.confidence) == decided).all()
    assert ((result.confidence[decided] >= 0) & (result.confidence[decided] <= 1)).all()
    assert (result.starts <= result.times).all()
    assert (result.latency_us >= 0).all()


def test_scorer_learns_and_then_decides(scorer: AssetScorer) -> None:
    times, values, quality = normal(50)
    assert feed(scorer, times[:20], values[:20], quality[:20]) == ["learning 20/30"] * 20
    assert scorer.baseline is None
    assert feed(scorer, times[20:], values[20:], quality[20:]) == ["learning 30/30"] * 10 + [""] * 20
    assert scorer.baseline is not None
    assert scorer.baseline.mean == pytest.approx(values[:30].mean(0), rel=1e-5)


def test_results_do_not_depend_on_the_size_of_batches(tmp_path: Path) -> None:
    times, values, quality = normal(120)
    values[60] = np.nan
    quality[80, 1] = STUCK
    times[90:] += 20 * SECOND
    whole, cut = AssetScorer(tiny(tmp_path), Largest()), AssetScorer(tiny(tmp_path), Largest())
    at_once = whole.feed(times, values, quality)[0]
    pieces = [cut.feed(times[i : i + 7], values[i : i + 7], quality[i : i + 7])[0] for i in range(0, 120, 7)]
    for name in ("times", "starts", "score", "confidence", "deviations"):
        assert np.array_equal(getattr(at_once, name), np.concatenate([getattr(p, name) for p in pieces]), equal_nan=True)


def test_result_does_not_depend_on_later_rows(tmp_path: Path) -> None:
    times, values, quality = normal(100)
    other = values.copy()
    other[70:] *= 3
    a, b = (AssetScorer(tiny(tmp_path), Largest()).feed(times, v, quality)[0] for v in (values, other))
    assert np.array_equal(a.score[:70], b.score[:70], equal_nan=True)
    assert not np.array_equal(a.score[70:], b.score[70:], equal_nan=True)


def test_scorer_with_a_saved_baseline_only_fills_its_window(tmp_path: Path) -> None:
    times, values, quality = normal(60)
    bundle = tiny(tmp_path)
    first = AssetScorer(bundle, Largest())
    feed(first, times[:40], values[:40], quality[:40])
    again = AssetScorer(bundle, Largest(), Baseline.from_dict(first.baseline.to_dict(), bundle.manifest))
    assert feed(again, times[40:], values[40:], quality[40:]) == ["window filling"] * 3 + [""] * 17


def test_restarted_scorer_reproduces_its_scores_exactly(tmp_path: Path) -> None:
    times, values, quality = normal(100)
    bundle = tiny(tmp_path)
    first = AssetScorer(bundle, Largest())
    expected = first.feed(times, values, quality)[0]
    again = AssetScorer(bundle, Largest(), first.baseline)
    got = again.feed(times[60:], values[60:], quality[60:])[0]
    assert np.array_equal(got.score[12:], expected.score[72:])


def test_baseline_of_other_inputs_is_refused(tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    other = Baseline(scaling_id="other", rows=1, mean=(0, 0), std=(1, 1), spread=((1, 1), (1, 1)))
    with pytest.raises(BundleError, match="a baseline of inputs other, model tiny requires"):
        AssetScorer(bundle, Largest(), other)


def test_fixed_scaling_learns_nothing(tmp_path: Path) -> None:
    scaling = Scaling(kind="fixed", mean=(5.0, 30.0), std=(0.1, 0.5), spread=((0.1, 0.5), (0.1, 0.5)))
    scorer = AssetScorer(tiny(tmp_path, scaling=scaling), Largest())
    times, values, quality = normal(10)
    assert feed(scorer, times, values, quality) == ["window filling"] * 3 + [""] * 7
    scorer.reset()
    assert scorer.baseline is not None


def test_reset_restarts_learning(scorer: AssetScorer) -> None:
    times, values, quality = normal(80)
    feed(scorer, times[:40], values[:40], quality[:40])
    scorer.reset()
    assert scorer.baseline is None
    assert feed(scorer, times[40:50], values[40:50], quality[40:50]) == ["learning 10/30"] * 10


def test_result_has_score_confidence_and_deviations(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    feed(scorer, times[:50], values[:50], quality[:50])
    baseline = scorer.baseline
    values[50:] = np.array(baseline.mean) + np.array(baseline.std) * [0.0, 4.0]
    result, _ = scorer.feed(times[50:], values[50:], quality[50:])
    assert result.score == pytest.approx(0.4, rel=1e-3)
    assert result.deviations[-1] == pytest.approx([0.0, 4.0], abs=0.01)
    assert result.starts[-1] == times[60 - 12]


@pytest.mark.parametrize(("code", "name"), [(MISSING, "missing"), (OUT_OF_RANGE, "out of range"), (STUCK, "stuck")])
def test_faulty_value_prevents_decisions_for_one_short_window(scorer: AssetScorer, code: int, name: str) -> None:
    times, values, quality = normal(60)
    quality[45, 1] = code
    values[45, 1] = np.nan if code == MISSING else 1e6
    reasons = feed(scorer, times, values, quality)
    assert reasons[40:] == [""] * 5 + [f"sensor: flow {name}"] * 4 + [""] * 11
    assert max(np.abs(x).max() for x in scorer._engine.inputs) <= 8.0


def test_faulty_value_affects_no_later_decision(tmp_path: Path) -> None:
    times, values, quality = normal(70)
    quality[45, 1] = OUT_OF_RANGE
    scores = []
    for wild in (31.0, 1e30):
        values[45, 1] = wild
        scorer = AssetScorer(tiny(tmp_path), Largest())
        scorer.feed(times, values, quality)
        scores.append(np.stack(scorer._engine.inputs))
    assert np.array_equal(scores[0], scores[1])


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_nan_counts_as_faulty_without_a_flag(scorer: AssetScorer, wild: float) -> None:
    times, values, quality = normal(60)
    values[45, 0] = wild
    assert feed(scorer, times, values, quality)[45:49] == ["sensor: current missing"] * 4


def test_learning_uses_good_rows_only(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    quality[5:15, 1], values[5:15, 1] = STUCK, 1e6
    reasons = feed(scorer, times, values, quality)
    assert reasons[:5] == ["learning 30/30"] * 5 and reasons[5:15] == ["sensor: flow stuck"] * 10
    assert reasons[15:] == ["learning 30/30"] * 25 + [""] * 20
    assert scorer.baseline.mean[1] == pytest.approx(30.0, abs=0.5)


def test_short_gap_is_bridged(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    times[45:] += 4 * SECOND
    assert feed(scorer, times, values, quality)[30:] == [""] * 30


@pytest.mark.parametrize(("gap_s", "forgets"), [(5, False), (11, False), (12, True)])  # the longer view spans 12 s
def test_long_gap_restarts_the_window(scorer: AssetScorer, gap_s: int, forgets: bool) -> None:
    times, values, quality = normal(60)
    times[45:] += gap_s * SECOND
    quality[45] = GAP
    assert feed(scorer, times, values, quality)[40:] == [""] * 5 + ["gap: window filling"] * 3 + [""] * 12
    earlier = scorer._engine.inputs[15][:-1, 2:]
    assert (earlier == earlier[0]).all() == forgets, "steps from before the gap"


@pytest.mark.parametrize(("gap_s", "waits"), [(11, 1), (12, 3)])
def test_few_rows_suffice_after_a_gap_shorter_than_the_window(tmp_path: Path, gap_s: int, waits: int) -> None:
    scorer = AssetScorer(tiny(tmp_path, rows_after_gap=2), Largest())
    times, values, quality = normal(60)
    times[45:] += gap_s * SECOND
    assert feed(scorer, times, values, quality)[40:] == [""] * 5 + ["gap: window filling"] * waits + [""] * (15 - waits)


def test_window_that_was_not_full_before_a_gap_fills_after_it(tmp_path: Path) -> None:
    bundle = tiny(tmp_path, rows_after_gap=1)
    times, values, quality = normal(60)
    first = AssetScorer(bundle, Largest())
    feed(first, times, values, quality)
    scorer = AssetScorer(bundle, Largest(), first.baseline)
    times[2:] += 6 * SECOND
    assert feed(scorer, times[:6], values[:6], quality[:6]) == ["window filling"] * 2 + ["gap: window filling"] + [""] * 3


def test_score_is_the_mean_of_the_latest_outputs(tmp_path: Path) -> None:
    times, values, quality = normal(70)
    plain, smooth = AssetScorer(tiny(tmp_path), Largest()), AssetScorer(tiny(tmp_path, smooth_rows=3), Largest())
    quality[50, 1] = STUCK
    each, mean = (scorer.feed(times, values, quality)[0].score for scorer in (plain, smooth))
    assert mean[30] == each[30] and mean[33] == pytest.approx(each[31:34].mean())
    undecided = np.flatnonzero(np.isnan(each[40:])) + 40
    after = undecided[-1] + 1
    assert (np.isnan(mean) == np.isnan(each)).all() and mean[after] == each[after], "nothing from before rows without a decision"
    assert mean[after + 1] == pytest.approx(each[after : after + 2].mean())


@pytest.mark.parametrize("calibration", [Calibration(), Calibration(kind="table", scores=(0.0, 1.0), confidences=(0.9, 0.1))])
@pytest.mark.parametrize("answer", [np.nan, np.inf, -np.inf])
def test_output_that_is_not_finite_is_no_decision(tmp_path: Path, answer: float, calibration: Calibration) -> None:
    class Sometimes(Largest):
        def run(self, features: np.ndarray) -> float:
            super().run(features)
            return answer if len(self.inputs) == 5 else len(self.inputs) / 100

    scorer = AssetScorer(tiny(tmp_path, smooth_rows=3, calibration=calibration), Sometimes())
    times, values, quality = normal(40)
    result, reasons = scorer.feed(times, values, quality)
    check(result)
    assert [reasons[code - 1] for code in result.reason[34:35]] == [NO_NUMBER] and not result.reason[35:].any()
    # It is in no mean: the next score is that of new outputs alone.
    assert result.score[30:].tolist() == pytest.approx([0.01, 0.015, 0.02, 0.03, np.nan, 0.06, 0.065, 0.07, 0.08, 0.09], nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_extreme_readings_do_not_overflow_to_nan(tmp_path: Path) -> None:
    times, values, quality = normal(60)
    values[40, 1], values[41, 1] = 3e38, -3e38
    engine = Largest()
    result, _ = AssetScorer(tiny(tmp_path), engine).feed(times, values, quality)
    check(result)
    assert not result.reason[30:].any() and np.isfinite(engine.inputs).all()


def test_stop_right_after_a_gap_clears_the_window(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    times[45:] += 6 * SECOND
    values[45:50, 0] = 0.0
    feed(scorer, times, values, quality)
    earlier = scorer._engine.inputs[-1][:-3, 2:]
    assert (earlier == earlier[0]).all(), "no step from before the stop"


@pytest.mark.parametrize(("interval_s", "shown"), [(0.1, "0.1 s"), (10.0, "10 s")])
def test_rows_at_another_interval_are_refused_until_it_is_right(scorer: AssetScorer, interval_s: float, shown: str) -> None:
    times, values, quality = normal(60)
    reasons = feed(scorer, (times * interval_s).astype(np.int64), values, quality)
    assert reasons[20:] == [f"interval: one row per {shown}, expected 1 s for model tiny"] * 40
    assert scorer.baseline is None
    times, values, quality = normal(100)
    assert feed(scorer, times + 1000 * SECOND, values, quality)[-10:] == [""] * 10


def test_row_with_an_earlier_time_is_ignored(tmp_path: Path) -> None:
    times, values, quality = normal(60)
    scorer, undisturbed = AssetScorer(tiny(tmp_path), Largest()), AssetScorer(tiny(tmp_path), Largest())
    expected = undisturbed.feed(times, values, quality)[0]
    back = np.insert(times, 45, [times[40], times[44]])
    wild, flags = np.insert(values, 45, [[1e6, 1e6]] * 2, axis=0), np.insert(quality, 45, [[BACKWARDS] * 2] * 2, axis=0)
    result, reasons = scorer.feed(back, wild, flags)
    assert [reasons[code - 1] for code in result.reason[45:47]] == ["time running backwards"] * 2
    assert np.array_equal(np.delete(result.score, [45, 46]), expected.score, equal_nan=True)


def test_row_with_the_same_time_is_not_scored_twice(tmp_path: Path) -> None:
    times, values, quality = normal(60)
    scorer, undisturbed = AssetScorer(tiny(tmp_path), Largest()), AssetScorer(tiny(tmp_path), Largest())
    expected = undisturbed.feed(times, values, quality)[0]
    # The producer set no flag.
    twice = [np.insert(column, 50, column[49], axis=0) for column in (times, values, quality)]
    twice[1][50] = [1e6, 1e6]
    result, reasons = scorer.feed(*twice)
    assert reasons[result.reason[50] - 1] == "time running backwards"
    assert np.array_equal(np.delete(result.score, 50), expected.score, equal_nan=True)


def test_row_ahead_of_the_clock_is_ignored(tmp_path: Path) -> None:
    times, values, quality = normal(60)
    scorer, undisturbed = AssetScorer(tiny(tmp_path), Largest()), AssetScorer(tiny(tmp_path), Largest())
    expected = undisturbed.feed(times, values, quality)[0]
    ahead = np.insert(times, 45, times[44] + 10**9 * SECOND)
    wild, flags = np.insert(values, 45, [[1e6, 1e6]], axis=0), np.insert(quality, 45, [[AHEAD] * 2], axis=0)
    result, reasons = scorer.feed(ahead, wild, flags)
    assert reasons[result.reason[45] - 1] == "ahead of the clock"
    assert np.array_equal(np.delete(result.score, 45), expected.score, equal_nan=True)


def test_epoch_starts_with_a_new_window_and_keeps_the_baseline(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    feed(scorer, times, values, quality)
    baseline = scorer.baseline
    scorer.begin_epoch()
    earlier = times - 30 * SECOND
    reasons = feed(scorer, earlier, values, quality)
    assert reasons[:3] == ["gap: window filling"] * 3 and reasons[3:] == [""] * 57
    assert scorer.baseline is baseline
    # The same rows after a fresh start with that baseline give the same scores.
    fresh = AssetScorer(scorer.bundle, Largest(), baseline)
    fresh.feed(earlier, values, quality)
    assert np.array_equal(fresh._engine.inputs, scorer._engine.inputs[-57:])


def test_epoch_that_begins_during_learning_continues_it(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    feed(scorer, times[:20], values[:20], quality[:20])
    scorer.begin_epoch()
    reasons = feed(scorer, times[:20], values[20:40], quality[20:40])
    assert reasons[9] == "learning 30/30" and scorer.baseline is not None


def test_epoch_that_begins_during_settling_ends_it(scorer: AssetScorer) -> None:
    times, values, quality = normal(80)
    values[40:45] = 0.0
    feed(scorer, times[:46], values[:46], quality[:46])
    scorer.begin_epoch()
    reasons = feed(scorer, times[:30], values[50:80], quality[50:80])
    assert "" in reasons and reasons.count("stopped: settling after the start") == 0


def test_stopped_machine_settles_after_its_start(scorer: AssetScorer) -> None:
    times, values, quality = normal(80)
    values[45:55] = [0.0, 0.0]
    result, reasons = scorer.feed(times, values, quality)
    check(result)
    texts = ["" if code == 0 else reasons[code - 1] for code in result.reason]
    assert texts[40:55] == [""] * 5 + ["stopped"] * 10
    assert texts[55:] == ["stopped: settling after the start"] * 3 + ["window filling"] * 3 + [""] * 19
    assert max(np.abs(x).max() for x in scorer._engine.inputs) < 8.0, "no row of the standing machine is in any input"


def test_fault_before_a_stop_does_not_count_after_it(scorer: AssetScorer) -> None:
    times, values, quality = normal(80)
    values[40:45, 1] = 0.0
    values[45:50] = 0.0
    scorer.feed(times, values, quality)
    assert (np.abs(scorer._engine.inputs[14]) == 8.0).any()
    assert not any((np.abs(x) == 8.0).any() for x in scorer._engine.inputs[15:])


def test_short_stop_is_skipped(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    values[45, 0] = 0.0
    assert feed(scorer, times, values, quality)[44:47] == ["", "stopped", ""]


def test_faulty_reading_neither_stops_nor_starts(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    values[40:42, 0], quality[40:42, 0] = 0.0, STUCK
    values[50:60, 0] = 0.0
    values[55, 0], quality[55, 0] = np.nan, MISSING
    reasons = feed(scorer, times, values, quality)
    assert reasons[40:50] == ["sensor: current stuck"] * 5 + [""] * 5
    assert reasons[50:] == ["stopped"] * 10


def test_stopped_rows_are_not_learned(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    values[10:15] = 0.0
    reasons = feed(scorer, times, values, quality)
    assert reasons[10:18] == ["stopped"] * 5 + ["stopped: settling after the start"] * 3
    assert reasons[18:] == ["learning 30/30"] * 20 + [""] * 22
    assert scorer.baseline.mean[0] == pytest.approx(5.0, abs=0.1)


def test_each_step_is_timed(tmp_path: Path) -> None:
    ticks = iter(range(0, 10**9, 1500))
    scorer = AssetScorer(tiny(tmp_path), Largest(), clock_ns=lambda: next(ticks))
    result, _ = scorer.feed(*normal(32))
    assert result.latency_us[[0, 31]].tolist() == [[1.5, 0.0], [1.5, 1.5]]


def test_empty_batch_has_an_empty_result(scorer: AssetScorer) -> None:
    result, reasons = scorer.feed(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), np.zeros((0, 2), np.uint8))
    assert len(result.times) == 0 and reasons == ()


def test_shipped_model_is_fast() -> None:
    bundle = Bundle.load(SHIPPED)
    rng = np.random.default_rng(0)
    values = rng.normal(10, 1, (900, 8)).astype(np.float32)
    result, _ = AssetScorer(bundle, open_engine(bundle)).feed(np.arange(900) * SECOND, values, np.zeros((900, 8), np.uint8))
    # Far above the time of a row, so that a busy machine does not fail the test, and far below that of a mistake.
    assert np.median(result.latency_us[result.reason == 0].sum(1)) < 2000


@pytest.mark.parametrize(("every_s", "fits"), [(0.3, False), (0.45, False), (0.55, True), (1.9, True), (2.1, False), (3.0, False)])
def test_interval_is_accepted_between_half_and_twice_the_expected_one(scorer: AssetScorer, every_s: float, fits: bool) -> None:
    _, values, quality = normal(80)
    times = np.round((1 + np.arange(80)) * every_s * SECOND).astype(np.int64)
    reasons = feed(scorer, times, values, quality)
    assert any(reason.startswith("interval: ") for reason in reasons) is not fits


def test_machine_that_stops_for_exactly_enough_rows_settles_after_it(scorer: AssetScorer) -> None:
    times, values, quality = normal(60)
    values[45:47, 0] = 0.0  # `for_rows` is 2
    reasons = feed(scorer, times, values, quality)
    assert reasons[45:50] == ["stopped"] * 2 + ["stopped: settling after the start"] * 3
