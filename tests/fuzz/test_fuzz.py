"""Short run of each target: its samples and mutations of them. `edgeml dev fuzz` is the long run."""

from __future__ import annotations

import tracemalloc
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.fuzz import mutate
from tests.fuzz.mutate import Edit
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Crash, Target, accepts, outcome, quiet

pytestmark = pytest.mark.slow("tries hundreds of inputs for each target")

EXAMPLES = 20
MAX_MEMORY = 64 * 2**20
"""Maximum memory for one input in bytes; no input here has more than 100,000 bytes."""

_NUMBER = st.integers(0, 2**16)
_RAW = st.sampled_from(mutate.RAW) | st.binary(max_size=4)
_EDIT = st.builds(Edit, st.sampled_from(mutate.OPERATIONS), _NUMBER, _NUMBER, _RAW, st.none())
_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | st.sampled_from(mutate.VALUES)
_VALUE = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_TREE_EDIT = st.builds(Edit, st.sampled_from(mutate.TREE_OPERATIONS), _NUMBER, _NUMBER, st.just(b""), _VALUE)


@pytest.fixture(autouse=True)
def silence() -> Any:
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("name", TARGETS)
def test_samples_are_accepted(name: str) -> None:
    target = TARGETS[name]
    for sample in target.samples():
        assert accepts(target, sample) or name in REFUSED_SAMPLES
        assert target.value(target.written(sample)) == sample


REFUSED_SAMPLES = ("prepared",)
"""Targets without a valid sample, because it would be large."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_mutated_samples_are_accepted_or_rejected(name: str) -> None:
    target = TARGETS[name]
    samples = list(target.samples())
    written = [target.written(sample) for sample in samples]

    @hypothesis.settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(_NUMBER, st.lists(_TREE_EDIT if target.takes == "tree" else _EDIT, min_size=1, max_size=5))
    def change(which: int, edits: list[Edit]) -> None:
        if target.takes == "tree":
            value = mutate.tree_edited(samples[which % len(samples)], edits)
        else:
            try:
                value = target.value(mutate.edited(written[which % len(written)], edits, written))
            except ValueError:
                return
        found = watched(target, value)
        assert found is None, f"{found.key}\n{found.trace}\nreproduce: {value!r:.2000}"

    change()


def watched(target: Target, value: Any) -> Crash | None:
    """As `outcome`; exceeding the memory limit is an error."""
    tracemalloc.start(1)
    try:
        found = outcome(target, value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if found is None and peak > MAX_MEMORY:
        return Crash("crash", f"{peak} bytes", "")
    return found


def test_watch_detects_crash_hang_and_memory_growth() -> None:
    def target(run: Any) -> Target:
        return Target((), "bytes", run, (KeyError,), list)

    def endless(data: bytes) -> None:
        while True:
            pass

    found = watched(target(lambda data: data[5]), b"")
    assert found is not None and found.key.startswith("IndexError in tests/fuzz/test_fuzz.py")
    hang = outcome(target(endless), b"", 0.2)
    assert hang is not None and hang.kind == "hang"
    large = watched(target(lambda data: bytearray(MAX_MEMORY)), b"")
    assert large is not None and "bytes" in large.key
    empty: dict[str, int] = {}
    assert watched(target(lambda data: empty["key"]), b"") is None
