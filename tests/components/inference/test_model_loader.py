"""Inference and the model component's bundles; behaviors 17 to 21 of its README."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeml.messages import ReplayRequest, ResultBlock, topics
from edgeml.model import install_bundle
from edgeml.model.install_bundle import install, installed, read_result
from tests.components.inference.kit import SHIPPED, Bench, batches, column, pump, reasons
from tests.edgeml.keys import PINNED, STRANGER, TRUSTED, edit
from tests.edgeml.models import trained, untrue
from tests.edgeml.tiny import SHIPPED as BUNDLE

OURS = {"required": True, "public_key": TRUSTED}
LONGER = [{"every": 1, "steps": 60}, {"every": 12, "steps": 60}]


class World:
    """A device's work directories: Inference's, and beside it the model component's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work, self.model = folder / "work" / "com.edgeml.Inference", folder / "work" / "com.edgeml.Model.PumpAnomaly"
        self.configured = trained(folder / "configured", "1.0.0")

    def bench(self, **options: object) -> Bench:
        return Bench(self.work, **{"bundle": str(self.configured), "signature": OURS, **options})

    def deploy(self, bundle: Path) -> None:
        install(bundle, self.model)

    def trained(self, version: str, **changes: object) -> None:
        self.deploy(trained(self.folder / "bundle", version, **changes))  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def tick(bench: Bench) -> None:
    bench.service.tick(bench.now)


def versions(blocks: list[ResultBlock]) -> set[str]:
    return {block.model_version for block in blocks}


def test_17_installed_model_replaces_the_configured_bundle(world):
    world.trained("1.1.0")
    assert versions(world.bench().feed(*batches(pump(50)))) == {"1.1.0"}
    assert versions(world.bench(model="").feed(*batches(pump(50)))) == {"1.0.0"}


def test_17_configured_bundle_runs_without_an_installed_model(world):
    assert versions(world.bench().feed(*batches(pump(50)))) == {"1.0.0"}


def test_18_new_version_is_used_from_the_next_batch_without_a_gap(world):
    bench, rows = world.bench(), pump(1200, fault_at=800)
    sent = batches(rows)
    before = bench.feed(*sent[:18])
    world.trained("1.1.0", other=True)
    tick(bench)
    after = bench.feed(*sent[18:])
    assert versions(before) == {"1.0.0"} and versions(after) == {"1.1.0"}
    assert {block.digest for block in before}.isdisjoint(block.digest for block in after)
    assert [block.seq for block in before + after] == list(range(len(before + after)))
    assert {block.stream for block in after} == {before[0].stream}
    assert not any(reasons(after))  # windows and baseline were kept
    np.testing.assert_array_equal(column(after, "starts")[0], column(before, "starts")[-1] + 50 * 10**9 - 49 * 10**9)
    # The same weights give the same score: the window was kept.
    same = World(world.folder / "same").bench()
    alone = same.feed(*sent)
    np.testing.assert_array_equal(column(alone, "deviations")[900:], column(after, "deviations"))


def test_18_learning_continues_with_a_new_version(world):
    bench, sent = world.bench(), batches(pump(500))
    bench.feed(*sent[:4])
    world.trained("1.1.0")
    tick(bench)
    blocks = bench.feed(*sent[4:])
    assert reasons(blocks)[0] == "learning 250/400" and reasons(blocks)[-1] == "" and versions(blocks) == {"1.1.0"}


def test_19_other_windows_refill(world):
    bench, rows = world.bench(), pump(1000)
    sent = batches(rows)
    before = bench.feed(*sent)
    world.trained("2.0.0", views=LONGER)
    bench.bus.take(topics.REPLAY)
    tick(bench)
    assert [message.topic for message in bench.bus.take(topics.REPLAY) if isinstance(message, ReplayRequest)] == [topics.SENSORS]
    again = bench.feed(*sent)
    assert versions(again) == {"2.0.0"} and {block.stream for block in again} != {before[0].stream}
    assert reasons(again)[-1] == ""
    assert len(list((world.work / "baselines").iterdir())) == 2  # one of other inputs was learned from the saved rows
    world.deploy(trained(world.folder / "older", "1.0.0"))
    tick(bench)
    back = bench.feed(*sent)
    assert versions(back) == {"1.0.0"} and not any(text.startswith("learning") for text in reasons(back))  # the old one was kept


def bad_signature(folder: Path) -> Path:
    return trained(folder, "1.1.0", STRANGER)


def unsigned(folder: Path) -> Path:
    return trained(folder, "1.1.0", None)


def cut(folder: Path) -> Path:
    trained(folder, "1.1.0")
    (folder / "model.tflite").write_bytes(b"short")
    return folder


def altered(folder: Path) -> Path:
    edit(trained(folder, "1.1.0"), verdict_level=0.9)
    return folder


def wrong_golden(folder: Path) -> Path:
    return untrue(folder, "1.1.0")


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


BAD = {
    "another key": (bad_signature, "is signed with the key"),
    "unsigned": (unsigned, "has no manifest.sig"),
    "truncated": (cut, "truncated"),
    "altered": (altered, "does not match its signature"),
    "golden": (wrong_golden, "golden window 1"),
    "empty": (empty, "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_20_bad_version_is_refused_and_the_old_one_continues(world, name, caplog):
    spoil, sentence = BAD[name]
    world.trained("1.0.5")
    bench, sent = world.bench(), batches(pump(600))
    before = bench.feed(*sent[:10])
    world.deploy(spoil(world.folder / "bad"))
    tick(bench)
    after = bench.feed(*sent[10:])
    assert versions(before + after) == {"1.0.5"} and {block.stream for block in after} == {before[0].stream} and not any(reasons(after))
    (fault,) = bench.service.status().faults
    assert sentence in fault and fault.startswith("com.edgeml.Model.PumpAnomaly: ") and "\n" not in fault
    assert read_result(world.work, installed(world.model)[1]) == fault  # for the model component's step, which fails with it
    errors = len([record for record in caplog.records if record.levelno >= logging.ERROR])
    tick(bench)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == errors == 1  # reported once, tried once
    # After a restart the one that worked last is there still, although the model component's own copy is gone.
    bench.restart()
    assert versions(bench.feed(*batches(pump(50), stream="t"))) == {"1.0.5"}
    assert sentence in bench.service.status().faults[0]
    # A rightly made version, here the older one, ends it.
    world.trained("1.0.4")
    tick(bench)
    assert versions(bench.feed(*batches(pump(50), stream="u"))) == {"1.0.4"} and bench.service.status().faults == ()
    assert read_result(world.work, installed(world.model)[1]) == ""


def test_20_saved_version_of_an_untrusted_key_gives_way_to_the_configured_bundle(world, caplog):
    world.trained("1.0.5")
    world.bench()
    bench = Bench(world.work, SHIPPED, signature=PINNED)
    assert {block.digest for block in bench.feed(*batches(pump(50)))} and len(bench.service.status().faults) == 1
    assert bench.service.status().faults[0].count("is signed with the key") == 2
    assert BUNDLE.is_dir() and "the configured bundle runs instead" in caplog.text


def test_18_unchanged_bundle_is_not_reopened_at_a_message(world, monkeypatch):
    world.trained("1.1.0")
    bench = world.bench()
    read: list[Path] = []
    original = install_bundle._read

    def counted(path: Path, *most: int) -> tuple[bytes, os.stat_result]:
        read.append(path)
        return original(path, *most)

    monkeypatch.setattr(install_bundle, "_read", counted)
    for batch in batches(pump(100), size=10):
        bench.feed(batch)
        tick(bench)
    assert read == []
    world.trained("1.2.0")
    read.clear()
    tick(bench)
    assert read[0] == world.model / install_bundle.POINTER and versions(bench.feed(*batches(pump(50), stream="u"))) == {"1.2.0"}


def test_21_swapping_models_does_not_grow_memory():
    command = [sys.executable, "-m", "tests.components.inference.swaps", "100"]
    root = Path(__file__).parents[3]
    path = os.pathsep.join(str(root / part) for part in ("libs", "components", "scripts", "."))
    ran = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=200)
    kib = [int(line.split()[3]) for line in ran.stdout.splitlines() if line.startswith("after ")]
    assert len(kib) == 10 and kib[-1] - kib[0] <= 5 * 1024
