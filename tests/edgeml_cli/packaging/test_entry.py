"""How every command ends that is interrupted, or cannot use a file: in a sentence, and never in a stack trace."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from model_training import train
from model_training.anomaly.rig_recordings import Fault, simulate
from model_training.datasets.skab import COLUMNS
from model_training.evaluation.__main__ import main as evaluate

from edgeml_cli.build.package import ROOT
from edgeml_cli.main import READY
from tests.edgeml.tiny import SHIPPED
from tests.patience import PATIENCE_S

PATHS = os.pathsep.join(map(str, (ROOT / "libs", ROOT / "components", ROOT)))


DRIVER = """
import runpy, sys
from edgeml_cli import command
sys.exit(command.run("try", lambda: runpy.run_path(sys.argv[1], run_name="__main__") and None))
"""


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": PATHS, READY: "1"}}
    return subprocess.Popen([sys.executable, *arguments], text=True, **{**pipes, **options})  # type: ignore[call-overload, no-any-return]


def edgeml(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return start("-m", "edgeml_cli.main", *arguments, **options)


def ended(folder: Path, text: str) -> tuple[int, str, str]:
    (folder / "module.py").write_text(text)
    with start("-c", DRIVER, "module.py", cwd=folder) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("text", "code", "err"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit()", 0, ""),
        ("pass", 0, ""),
        ("import sys; sys.exit('why')", 1, "why\n"),
        ("open('nowhere/x', 'w')", 1, "try: nowhere/x: No such file or directory; check it, or name another file or folder\n"),
        ("raise KeyboardInterrupt", 130, "try: interrupted\n"),
    ],
)
def test_a_command_ends_in_a_sentence(tmp_path: Path, text: str, code: int, err: str) -> None:
    assert ended(tmp_path, text) == (code, "", err)


def test_a_fault_of_ours_keeps_its_stack_trace(tmp_path: Path) -> None:
    code, _, err = ended(tmp_path, "1 / 0")
    assert code == 1 and "ZeroDivisionError" in err


@pytest.mark.parametrize("words", ["--help", "model train --help", "data list", "dev version --json --quiet"])
def test_a_closed_output_ends_a_command_without_a_word(words: str) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"} | {"PYTHONPATH": PATHS, READY: "1"}
    reader, writer = os.pipe()
    os.close(reader)
    with edgeml(*words.split(), stdout=writer, env=environ) as process:
        os.close(writer)
        err = process.communicate(timeout=60)[1]
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("command", ["data prepare data --plan", "cloud estimate --config"])
def test_ctrl_c_ends_a_command_with_130(tmp_path: Path, command: str) -> None:
    """Each waits for what another writes into the file that it reads, so that the signal comes while it works."""
    os.mkfifo(tmp_path / "file", 0o600)
    with edgeml(*command.split(), str(tmp_path / "file"), cwd=tmp_path) as process:
        held = opened(tmp_path / "file", process)
        try:
            err = interrupted(process)
        finally:
            os.close(held)
    assert (process.returncode, err) == (130, f"edgeml {' '.join(command.split()[:2])}: interrupted\n")


def interrupted(process: subprocess.Popen[str]) -> str:
    """Its standard error once Ctrl-C has ended it. Pressed again, as people do: Python drops one that comes in a callback of its own."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            assert time.monotonic() < give_up, "it does not end"


def opened(fifo: Path, process: subprocess.Popen[str]) -> int:
    """The writing end of a FIFO, once the process has opened the other one; while it is held, the process waits for data."""
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as fault:
            assert fault.errno == errno.ENXIO and process.poll() is None, "it has ended without a look at the file"
        time.sleep(0.01)


def test_ctrl_c_ends_an_evaluation_with_130(tmp_path: Path) -> None:
    made = simulate(1, 1500, (Fault("valve", start_s=560, ramp_s=20),))
    (tmp_path / "valve1").mkdir()
    rows = [f"2024-03-01 10:{at // 60:02}:{at % 60:02};{';'.join(map(str, row))};{int(at > 560)};0" for at, row in enumerate(made.values)]
    (tmp_path / "valve1" / "0.csv").write_text(f"{';'.join(('datetime', *COLUMNS, 'anomaly', 'changepoint'))}\n" + "\n".join(rows))
    with edgeml("model", "evaluate", "--data", str(tmp_path), "--bundle", str(SHIPPED)) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("evaluate: ["):  # it has begun to judge
            assert process.poll() is None
        err = interrupted(process)
    assert process.returncode == 130 and err.endswith("edgeml model evaluate: interrupted\n") and "Traceback" not in err


@pytest.mark.parametrize("option", ["--predictions", "--result", "--report"])
def test_evaluate_looks_at_where_it_will_write_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    (tmp_path / "file").touch()
    code = evaluate(["--data", str(tmp_path / "nowhere"), "--bundle", str(SHIPPED), option, str(tmp_path / "file" / "x" / "y")])
    err = capsys.readouterr().err
    assert code == 1 and err.startswith(f"edgeml model evaluate: {tmp_path}/file/x") and "cannot be written (Not a directory)" in err


def test_evaluate_checks_the_packages_of_a_report_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert evaluate(["--data", str(tmp_path / "nowhere"), "--bundle", str(SHIPPED), "--report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "edgeml model evaluate: --report needs matplotlib, which is not installed; run `scripts/env report`, then this again\n"
    )


def test_train_looks_at_where_it_will_write_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert train.main(["anomaly", "--from", str(tmp_path), "--out", str(tmp_path / "file" / "x")], {}) == 1
    assert f"edgeml model train: {tmp_path}/file/x: cannot be written (Not a directory)" in capsys.readouterr().err
