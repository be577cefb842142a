"""`--json`, `--quiet` and the status line, the same for every command."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from edgeml_cli import main, output
from edgeml_cli.build.package import ROOT, Project
from edgeml_cli.output import Output, shaped
from edgeml_cli.verbs import Stdout, Verb
from tests.edgeml.tiny import SHIPPED
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("this_interpreter")


def test_json_is_the_last_line_of_a_command_that_prints_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["dev", "version", "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    version = Project.read(ROOT).version
    assert out.count("\n") == 1 and answer.pop("seconds") >= 0
    assert answer == {"command": "dev version", "exit_code": 0, "output": [version], "error": None}
    assert err == f"{version}\n"


def test_json_has_the_error_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["model", "sign", str(tmp_path), "--key", str(tmp_path / "no.key"), "--json"]) == 1
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["exit_code"] == 1 and "no.key" in answer["error"] and err == f"edgeml model sign: {answer['error']}\n"


@pytest.mark.parametrize("words", ["dev outage kill --times none", "fleet status --group"])
def test_json_is_there_when_a_command_fails_before_its_own_object(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*words.split(), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2 and answer["output"] == [] and answer["error"].startswith("error: ")


def test_json_keeps_the_own_object_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    verb, chosen = Verb("try", "none", "Try.", stdout="json"), Output(json=True)
    with shaped(verb, chosen):
        sys.stdout.write('line\n{"a": 1}\n')
    output.print_result(verb, chosen, 0, 0.0)
    assert capsys.readouterr().out == 'line\n{"a": 1}\n'


def test_quiet_keeps_results_and_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["dev", "version", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{Project.read(ROOT).version}\n"
    assert main.main(["model", "evaluate", "--quiet", "--data", str(tmp_path / "none"), "--bundle", str(SHIPPED)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("edgeml model evaluate: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("stdout", "chosen", "lines"),
    [
        ("result", Output(), ["line", '{"a": 1}']),
        ("result", Output(quiet=True), ["line", '{"a": 1}']),
        ("progress", Output(), ["line", '{"a": 1}']),
        ("progress", Output(quiet=True), []),
        ("json", Output(), ["line", '{"a": 1}']),
        ("json", Output(json=True), ["line", '{"a": 1}']),
        ("json", Output(quiet=True), ['{"a": 1}']),
        ("progress", Output(json=True), []),
    ],
)
def test_standard_output_follows_the_record(capsys: pytest.CaptureFixture[str], stdout: Stdout, chosen: Output, lines: list[str]) -> None:
    verb = Verb("try", "none", "Try.", stdout=stdout)
    with shaped(verb, chosen):
        sys.stdout.write("li")
        sys.stdout.write('ne\n{"a": 1}\n')
    assert capsys.readouterr().out.splitlines() == lines
    assert chosen.lines == (["line", '{"a": 1}'] if chosen.json and stdout != "json" else [])


def test_behind_two_hyphens_nothing_is_an_option_of_ours() -> None:
    chosen, rest = output.take(["a", "--quiet", "--", "--json"])
    assert (chosen.quiet, chosen.json, rest) == (True, False, ["a", "--", "--json"])


LONG = """
import sys
from edgeml_cli import status_line
from edgeml_cli.output import Output, shaped
from edgeml_cli.verbs import Verb
verb, chosen = Verb("try", "none", "Try.", status_line=True), Output(json="--json" in sys.argv)
with status_line.shown(verb, chosen), shaped(verb, chosen):
    print("edgeml try: why", file=sys.stderr)
    for number in range(3):
        print(f"line {number}", flush=True)
        status_line.steps("piece", number + 1, 3)
print(chosen.lines, chosen.errors)
"""


def in_a_terminal(*arguments: str, **variables: str) -> str:
    """The text that a process writes to its terminal."""
    leader, follower = pty.openpty()
    environ = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "PYTHONPATH": str(ROOT / "libs"), **variables}
    with subprocess.Popen(
        [sys.executable, "-c", LONG, *arguments], stdin=follower, stdout=follower, stderr=follower, env=environ
    ) as process:
        os.close(follower)
        parts = []
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the process has closed the terminal
                break
            if not part:
                break
            parts.append(part)
        assert process.wait(PATIENCE_S) == 0
    os.close(leader)
    return b"".join(parts).decode()


def test_a_terminal_shows_time_and_steps_and_keeps_the_lines() -> None:
    text = in_a_terminal()
    assert all(f"line {number}" in text for number in range(3))
    assert "edgeml try: piece" in text and "0:00:0" in text and "\x1b[3" in text


def test_json_in_a_terminal_keeps_the_lines_and_the_error() -> None:
    text = in_a_terminal("--json")
    assert "edgeml try: piece" in text and text.endswith("['line 0', 'line 1', 'line 2'] ['why']\r\n")


def test_no_color_is_respected_and_a_dumb_terminal_gets_plain_lines() -> None:
    uncoloured = in_a_terminal(NO_COLOR="1")
    assert "edgeml try: piece" in uncoloured and "\x1b[3" not in uncoloured and "\x1b[9" not in uncoloured
    assert in_a_terminal(TERM="dumb") == "edgeml try: why\r\nline 0\r\nline 1\r\nline 2\r\n[] []\r\n"


def test_without_a_terminal_there_are_plain_lines() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "libs")}
    ran = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, env=environ, check=True)
    assert (ran.stdout, ran.stderr) == ("line 0\nline 1\nline 2\n[] []\n", "edgeml try: why\n")
