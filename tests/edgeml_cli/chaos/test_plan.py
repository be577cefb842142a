"""Which faults are drawn: the same for a seed, all kinds, never more relaunches than a nucleus bears."""

from __future__ import annotations

from collections import Counter

from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.verify.chaos.fault_schedule import KINDS, MACHINE_FAULTS, MAX_RELAUNCHES, NEEDS_PRELOAD, RELAUNCHING, schedule
from gglocal.faults import FAULTS
from gglocal.faults.base import read_options
from gglocal.process.component import MAX_ERRORS

NAMES = list(COMPONENTS)


def test_a_seed_gives_the_same_faults_and_another_gives_others():
    assert schedule(1, 120, NAMES) == schedule(1, 120, NAMES)
    assert [each.options for each in schedule(1, 120, NAMES)] == [each.options for each in schedule(1, 120, NAMES)]
    assert schedule(1, 120, NAMES) != schedule(2, 120, NAMES)


def test_no_component_is_made_to_relaunch_more_often_than_twice():
    assert MAX_RELAUNCHES < MAX_ERRORS
    for seed in range(200):
        errors: Counter[str] = Counter()
        for strike in schedule(seed, 120, NAMES):
            if strike.name in RELAUNCHING:
                errors.update([strike.options["component"]] if strike.name == "kill" else NAMES)
        assert max(errors.values()) <= MAX_RELAUNCHES


def test_every_kind_comes_in_a_run_and_faults_overlap():
    for seed in range(20):
        strikes = schedule(seed, 120, NAMES)
        assert len(strikes) >= 30
        assert {each.name for each in strikes} >= set(KINDS)
        assert any(one.at < two.at < one.at + one.lasts_s for one in strikes for two in strikes)
    assert set(KINDS) - set(MACHINE_FAULTS) | set(RELAUNCHING) == set(FAULTS)


def test_without_a_compiler_what_needs_one_is_left_out():
    assert {each.name for each in schedule(1, 120, NAMES, shim=False)} - set(RELAUNCHING) == set(KINDS) - set(NEEDS_PRELOAD)


def test_every_drawn_option_is_one_of_the_fault():
    for seed in range(20):
        for strike in schedule(seed, 120, NAMES):
            if strike.name in MACHINE_FAULTS:
                assert isinstance(strike.options["by_s"], int)
                continue
            read_options(strike.name, FAULTS[strike.name].options, strike.options)
