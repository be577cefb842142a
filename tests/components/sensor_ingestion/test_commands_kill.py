"""Killed with SIGKILL at each step of a command, in a real process: the machine acts once at most, and no answer is untrue."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from sensor_ingestion.checkpoint import Checkpoint
from sensor_ingestion.sources.simulator import SimulatorOptions
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("obedient.py")


def child(work: Path, kill_at: int, *ids: str, source: str = "press") -> subprocess.Popen[bytes]:
    work.mkdir(exist_ok=True)
    path = os.pathsep.join(str(ROOT / part) for part in ("libs", "components", "scripts", "."))
    command = [sys.executable, str(CHILD), str(work), str(kill_at), source, *ids]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lines(work: Path, name: str) -> list[str]:
    return (work / name).read_text().splitlines() if (work / name).exists() else []


def test_kill_at_each_step_neither_loses_nor_repeats_a_command(tmp_path: Path) -> None:  # 12, 34
    whole = tmp_path / "whole"
    assert child(whole, 0, "c1", "c1").wait(PATIENCE_S) == 0
    steps = lines(whole, "steps")
    assert lines(whole, "acks") == ["c1 executed", "c1 executed"] and len(lines(whole, "effects")) == 1
    # The order that everything hangs on.
    note, act, told, sent = (steps.index(step) for step in ("after COMMIT", "act", "after UPDATE", "edgeml/commands/ack"))
    saved = steps.index("after checkpoint", act)
    assert note < act < saved < told < sent
    outcomes = {}
    for kill_at in range(1, len(steps) + 1):
        work = tmp_path / str(kill_at)
        assert child(work, kill_at, "c1", "c1").wait(PATIENCE_S) == -signal.SIGKILL
        before = lines(work, "acks")
        assert child(work, 0, "c1").wait(PATIENCE_S) == 0
        effects, last = len(lines(work, "effects")), lines(work, "acks")[-1]
        outcomes[kill_at - 1] = (effects, last.split()[1])
        assert all(answer == last for answer in before), "an answer that was given is not taken back"
    executed, unknown = {(1, "executed")}, {(0, "unknown"), (1, "unknown")}
    # A step is named before it is done, but for those that say that it is done.
    for step, outcome in outcomes.items():
        wanted = unknown if note <= step < told else executed
        assert outcome in wanted, f"killed at step {step} ({steps[step]}): {outcome}"
    assert (0, "unknown") in outcomes.values() and (1, "unknown") in outcomes.values()


def test_machine_in_the_process_executes_once_at_any_kill(tmp_path: Path) -> None:  # 34
    whole = tmp_path / "whole"
    assert child(whole, 0, "c1", source="simulator").wait(PATIENCE_S) == 0
    steps = lines(whole, "steps")
    first = steps.index("after checkpoint")
    assert steps.count("after checkpoint") >= 3 and "after UPDATE" in steps
    for kill_at in range(first + 1, len(steps) + 1):
        work = tmp_path / str(kill_at)
        assert child(work, kill_at, "c1", source="simulator").wait(PATIENCE_S) == -signal.SIGKILL
        assert child(work, 0, "c1", source="simulator").wait(PATIENCE_S) == 0
        remembered = Checkpoint(work, "a", ["simulator", msgspec.to_builtins(SimulatorOptions())]).load()
        assert remembered is not None
        running = remembered.state["source"]["skid"]["now"]["running"]
        said = lines(work, "acks")[-1], running
        assert said == ("c1 executed", False), f"killed at step {kill_at - 1} ({steps[kill_at - 1]})"


def test_kill_at_random_instants_neither_loses_nor_repeats_a_command(tmp_path: Path) -> None:  # 12, 34
    chance = random.Random(4)
    ids = [f"c{i}" for i in range(150)]
    kills = 0
    while True:
        answered = {answer.split()[0] for answer in lines(tmp_path, "acks")}
        left = [id for id in ids if id not in answered]
        if not left:
            break
        begun = len(lines(tmp_path, "steps"))
        process = child(tmp_path, 0, *left)
        give_up = time.monotonic() + PATIENCE_S
        while process.poll() is None and len(lines(tmp_path, "steps")) == begun:
            assert time.monotonic() < give_up
            time.sleep(0.002)
        if kills < 15:
            time.sleep(chance.random() * 0.05)
            process.kill()
            kills += process.wait(PATIENCE_S) == -signal.SIGKILL
        else:
            assert process.wait(PATIENCE_S) == 0
    answers = [answer.split() for answer in lines(tmp_path, "acks")]
    # A child that is done before its instant comes, on a busy machine, is not killed.
    assert kills >= 5 and len(answers) == len(ids) == len({id for id, _ in answers})
    executed = {id for id, status in answers if status == "executed"}
    unknown = {id for id, status in answers if status == "unknown"}
    effects = lines(tmp_path, "effects")
    assert len(executed) + len(unknown) == len(ids) and len(unknown) <= kills
    assert len(effects) == len(set(effects)), "a command was executed twice"
    assert executed <= set(effects) <= executed | unknown
