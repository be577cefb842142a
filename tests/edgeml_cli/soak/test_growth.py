"""The statistics of a soak: a leak is detected and measured, noise and steps are not mistaken for one."""

from __future__ import annotations

import math
import random

import pytest

from edgeml_cli.verify.soak.growth import growth, is_flat
from edgeml_cli.verify.soak.processes import Usage
from edgeml_cli.verify.soak.run import Record, evaluate

HOUR = [number / 540 for number in range(405)]  # 45 minutes, each 5 s


def test_straight_line_has_its_slope_and_no_margin():
    found = growth([(at, 50 + 3 * at) for at in HOUR])
    assert found.per_hour == pytest.approx(3)
    assert found.margin == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_leak_under_noise_is_within_its_interval(seed):
    chance = random.Random(seed)
    found = growth([(at, 50 + 2 * at + chance.gauss(0, 0.3)) for at in HOUR])
    assert abs(found.per_hour - 2) <= 2 * found.margin
    assert 0 < found.margin < 0.5


def walk(seed: int, keeps: float = 0.95) -> list[tuple[float, float]]:
    """A flat figure whose noise lasts: each sample keeps most of the one before."""
    chance, level, points = random.Random(seed), 0.0, []
    for at in HOUR:
        level = keeps * level + chance.gauss(0, 0.1)
        points.append((at, 50 + level))
    return points


def test_interval_covers_the_truth_under_correlated_noise():
    # One that takes neighbouring samples as independent covers a fifth of these.
    assert sum(abs(found.per_hour) <= found.margin for found in (growth(walk(seed)) for seed in range(200))) >= 180


def test_too_few_points_give_an_infinite_margin():
    assert growth([]).margin == growth([(0, 1), (1, 2)]).margin == growth([(1, 1)] * 9).margin == math.inf


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], True),
        ([5] * 9, True),
        ([5, 9, 5, 7, 9, 5, 5, 9, 5], True),
        ([9, 9, 9, 5, 5, 5, 4, 4, 4], True),
        ([5, 6, 5, 7, 8, 9, 10, 10, 11], False),
        ([5, 6, 5, 6, 7, 7, 6, 7, 7], True),
        ([5, 6, 5, 6, 7, 7, 7, 7, 7], False),
    ],
)
def test_count_is_flat_until_its_minimum_exceeds_its_earlier_maximum(values, expected):
    assert is_flat(values) is expected


def record(leak_mib_h: float = 0.0, threads_more: int = 0, queued: float = 0.0) -> Record:
    made = Record()
    for number, at in enumerate(HOUR):
        size = 60 + leak_mib_h * at
        made.usages.append((at, Usage(size, size - 10, size - 20, size - 30, 9 + threads_more * (number > 300), 20)))
        made.queues["inbox"].append((at, round(queued * number)))
    return made


def test_flat_series_have_no_problems():
    figures, problems = evaluate(record(leak_mib_h=0.9), 0.25, 1.0)
    assert problems == []
    assert figures["rss_mib"]["growth_per_hour"] == 0.9
    assert (figures["threads"], figures["queue inbox"]) == ({"least": 9, "most": 9}, {"least": 0, "most": 0})


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (record(leak_mib_h=1.2), ["rss_mib grows by 1.20 ± 0.00 MiB per hour; at most 1 is allowed", "anonymous_mib grows by 1.20"]),
        (record(threads_more=1), ["threads has risen: from at most 9 to at least 10"]),
        (record(queued=0.5), ["queue inbox has risen: from at most"]),
        (Record(), ["rss_mib has 0 samples after the warm-up", "anonymous_mib has 0 samples"]),
    ],
)
def test_each_exceeded_bound_is_reported(made, words):
    _, problems = evaluate(made, 0.25, 1.0)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))
