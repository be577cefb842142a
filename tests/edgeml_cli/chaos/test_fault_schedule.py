"""The schedule of faults: determined by its seed, with all kinds, within the nucleus's limit of relaunches."""

from __future__ import annotations

from collections import Counter

from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.verify.chaos.fault_schedule import KINDS, MACHINE_FAULTS, MAX_RELAUNCHES, NEEDS_PRELOAD, RELAUNCHING, schedule
from gglocal.faults import FAULTS
from gglocal.faults.base import read_options
from gglocal.process.component import MAX_ERRORS

NAMES = list(COMPONENTS)


def test_schedule_is_determined_by_the_seed():
    assert schedule(1, 120, NAMES) == schedule(1, 120, NAMES)
    assert [each.options for each in schedule(1, 120, NAMES)] == [each.options for each in schedule(1, 120, NAMES)]
    assert schedule(1, 120, NAMES) != schedule(2, 120, NAMES)


def test_no_component_is_relaunched_more_than_twice():
    assert MAX_RELAUNCHES < MAX_ERRORS
    for seed in range(200):
        errors: Counter[str] = Counter()
        for fault in schedule(seed, 120, NAMES):
            if fault.name in RELAUNCHING:
                errors.update([fault.options["component"]] if fault.name == "kill" else NAMES)
        assert max(errors.values()) <= MAX_RELAUNCHES


def test_every_kind_occurs_and_faults_overlap():
    for seed in range(20):
        scheduled = schedule(seed, 120, NAMES)
        assert len(scheduled) >= 30
        assert {each.name for each in scheduled} >= set(KINDS)
        assert any(one.at < two.at < one.at + one.duration_s for one in scheduled for two in scheduled)
    assert set(KINDS) - set(MACHINE_FAULTS) | set(RELAUNCHING) == set(FAULTS)


def test_faults_that_need_a_compiler_are_skipped_without_one():
    assert {each.name for each in schedule(1, 120, NAMES, shim=False)} - set(RELAUNCHING) == set(KINDS) - set(NEEDS_PRELOAD)


def test_scheduled_options_are_valid():
    for seed in range(20):
        for fault in schedule(seed, 120, NAMES):
            if fault.name in MACHINE_FAULTS:
                assert isinstance(fault.options["by_s"], int)
                continue
            read_options(fault.name, FAULTS[fault.name].options, fault.options)
