"""Regression tests of inputs that fuzzing has found: each is accepted, or rejected with one sentence."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import pytest

from edgeml.config.schema import read
from edgeml.errors import MAX_FAULT_BYTES, MAX_FAULT_LENGTH, OptionsError
from edgeml.messages import MAX_PAYLOAD, Status, encode
from tests.edgeml.tiny import MANIFEST
from tests.fuzz import component_targets, edgeml_targets, gglocal_targets, training_targets
from tests.fuzz.edgeml_targets import EVERY_KIND, EveryKind, manifest_text
from tests.fuzz.mutate import tree_edited
from tests.fuzz.table import TARGETS
from tests.fuzz.target import outcome


def nested(levels: int, as_map: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if as_map else [value]
    return value


def manifest_with(**changes: Any) -> bytes:
    return manifest_text(msgspec.structs.replace(MANIFEST, **changes))


def checkpoint_with(*path: Any, value: Any) -> Any:
    tree = tree_edited(component_targets.checkpoint_trees()[0], ())
    one = tree
    for key in path[:-1]:
        one = one[key]
    one[path[-1]] = value
    return tree


def rows_with(table: str, row: int, column: int, value: Any) -> Any:
    tree = tree_edited(component_targets.dispatcher_rows()[0], ())
    tree[table][row][column] = value
    return tree


FOUND: dict[str, tuple[str, Any]] = {
    "half a character in a value": ("options", {**EVERY_KIND, "text": "\ud800"}),
    "half a character in a number": ("options", {**EVERY_KIND, "pairs": [["\ud800"]]}),
    "half a character in an unknown key": ("options", {**EVERY_KIND, "a\udfffb": 1}),
    "a list too deep to be walked": ("options", {**EVERY_KIND, "needed": nested(500)}),
    "a map too deep to be walked": ("options", {**EVERY_KIND, "anything": nested(500, True)}),
    "seconds beyond every number": ("options-policy", {"rewind_s": 1e308}),
    "a gap beyond every number": ("manifest", manifest_with(longest_gap_s=1e308)),
    "windows beyond every memory": ("manifest", manifest_with(views=(msgspec.structs.replace(MANIFEST.views[0], steps=2**40),))),
    "a baseline too deep": ("baseline", b"[" * 5000),
    "a checkpoint without quality": ("checkpoint-tree", {"stream": "s", "next": 0, "event_ns": 0, "source": {}}),
    "a checkpoint of other channels": ("checkpoint-tree", lambda: checkpoint_with("quality", "last", value=[1.0])),
    "a former checkpoint with half a payload": (
        "checkpoint-former",
        lambda: re.sub(rb'"(?=\]\])', b'a"', component_targets.former_checkpoints()[0]),
    ),
    "a checkpoint numbered by a map": ("checkpoint-tree", lambda: checkpoint_with("next", value={"a": 4})),
    "a checkpoint of a time beyond 64 bits": ("checkpoint-tree", lambda: checkpoint_with("quality", "since", 0, value=2**63)),
    "a skid with too few drifts": ("checkpoint-tree", lambda: checkpoint_with("source", "skid", "now", "drift", value=[])),
    "a skid with a speed of text": ("checkpoint-tree", lambda: checkpoint_with("source", "skid", "now", "speed", value="x")),
    "a skid with a wrong random state": ("checkpoint-tree", lambda: checkpoint_with("source", "skid", "random", "uinteger", value=-1)),
    "a checkpoint whose row is beyond 64 bits": ("checkpoint-tree", lambda: checkpoint_with("source", "start_ns", value=2**70)),
    "a start beyond 64 bits": (
        "options-sensors",
        {"assets": {"a": {"source": "simulator", "options": {"start_time": "9999-12-31T00:00:00Z", "speed": 0}}}},
    ),
    "tables of no text": (
        "journal",
        lambda: component_targets.journals()[0].replace(b"CREATE TABLE commands", b"CREATE TABLE\xff\xfe" + b"c" * 7),
    ),
    "a position that is text": ("dispatcher-rows", lambda: rows_with("stream_positions", 0, 2, "x")),
    "a policy that is no JSON": ("dispatcher-rows", lambda: rows_with("policies", 0, 3, "{")),
    "an alarm that is no JSON": ("dispatcher-rows", lambda: rows_with("alarms", 0, 2, "{")),
    "a command issued at a text": ("dispatcher-rows", lambda: rows_with("commands", 0, 4, "x")),
    "a memory that is null": ("dispatcher-rows", lambda: rows_with("key_values", 0, 1, None)),
    "a memory of another type": ("dispatcher-rows", lambda: rows_with("key_values", 0, 1, 5)),
    "a recipe too deep": ("recipe-tree", {"Lifecycle": nested(500)}),
    "a recipe whose aliases multiply": (
        "recipe",
        b"a0: &a0 [x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 9)) for level in range(1, 10)),
    ),
    "a recipe that holds itself": ("recipe", b"Manifests: &a [*a]\n"),
    "a recipe that takes long": ("recipe", b"a: " + b"[x, " * 40_000),
    "a configuration too deep": ("configuration", nested(500, True)),
    "a saved state of other shape": ("saved-state", b'{"configuration": {"com.x": [1]}}'),
    "a zip with an offset before its beginning": ("zip", lambda: gglocal_targets.zips()[0][:40] + gglocal_targets.zips()[0][60:]),
    "a version of 6,000 digits": ("version", "1.2." + "9" * 6000),
    "an index that is a digit and no number": ("variables", "{configuration:/a/b/²}"),
    "an index of 5,000 digits": ("variables", "{configuration:/a/b/" + "9" * 5000 + "}"),
    "a plan too deep": ("plan", b"[" * 3000),
    "a plan whose aliases multiply": (
        "plan",
        b"a0: &a0 [x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 9)) for level in range(1, 10)),
    ),
    "a card that is a number": ("prepared", b"1"),
    "a card without a version": ("prepared", b'{"plan": {}, "partitions": []}'),
    "a recording of the year 1010": ("skab", lambda: training_targets.SKAB.replace(b"2020-", b"1010-", 1)),
    "a report of the year 1010": ("reported-tree", {"type": "report", "results": [{"at": "1010-03-10", "verdict": ""}]}),
    "a zip with a file without a name": (
        "dataset-zip",
        bytes.fromhex(
            "504b0102140314000000000000002100622e7a6970504b0304140000000000000021008316dc8c01000000010000622e7a6970504b05060000000001"
            "00010033000000900000000000"
        ),
    ),
    "a configuration update whose number has 5,000 digits": ("configuration-updates", {"a": {"MERGE": "9" * 5000}}),
    "a fault's option with 400 digits": ("fault-options", {"name": "delay-answers", "options": {"for_s": 10**400}}),
    "a recording with a vertical tab": ("judged-recording", lambda: training_targets.SKAB.splitlines()[0] + b"\x0b\x0b0\n0-03-09 10:00:05"),
    "hyperparameters too deep": ("hyperparameters", '{"a": ' + "[" * 5000),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", FOUND)
def test_known_crashes_stay_fixed(what: str) -> None:
    name, value = FOUND[what]
    found = outcome(TARGETS[name], value() if callable(value) else value)
    assert found is None, f"{found.key}\n{found.trace}"


def test_bundle_memory_is_bounded_by_file_size() -> None:
    import tracemalloc

    tracemalloc.start(1)
    edgeml_targets.loaded(edgeml_targets.bundle_files()[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_faults_fit_into_status() -> None:
    with pytest.raises(OptionsError) as wrong:
        read(EveryKind, {"needed": "x" * 20_000, **{f"unknown-{number}": '\\"' * 5000 for number in range(500)}})
    faults = wrong.value.faults
    assert all(len(fault) <= MAX_FAULT_LENGTH + 3 for fault in faults)
    assert faults[-1].endswith("more faults; correct these first")
    assert len(encode(Status(component="com.edgeml.Inference", state="faulty", faults=tuple(faults)))) < MAX_PAYLOAD
    assert sum(len(fault.encode()) for fault in faults[:-1]) <= MAX_FAULT_BYTES


def test_fault_names_place_of_broken_character() -> None:
    with pytest.raises(OptionsError, match=r"`inner.word` is '\\ud800', which is not valid Unicode"):
        read(EveryKind, {"needed": 1, "inner": {"word": "\ud800"}})
    with pytest.raises(OptionsError, match="nested more than 50 deep"):
        read(EveryKind, {"needed": nested(60)})


def test_configuration_rejects_infinity() -> None:
    with pytest.raises(OptionsError, match="`number` is inf: expected a finite number"):
        read(EveryKind, json.loads(json.dumps({**EVERY_KIND, "number": math.inf})))
