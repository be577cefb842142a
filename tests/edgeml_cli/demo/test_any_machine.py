"""The commands of the README and of the tutorial, from a machine's history to an alarm of the deployed model, as they are written."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeml_cli.site.markdown import blocks
from edgeml_cli.verbs import find
from tests.conftest import REPOSITORY

DOCUMENTS = ("README.md", "docs/tutorials/any-machine.md")
SHORTER: dict[str, list[str]] = {"data simulate": ["--days", "14"], "model train": ["--quick"], "demo": ["--headless"]}
"""Options that the test adds, so that it takes less time."""
FOLDERS = ("build/ahu", "build/models")


def commands(document: str) -> list[str]:
    """The command lines about the air handling unit, up to the demo."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    lines = [line[2:] for block in blocks(text) if block.language == "console" for line in block.body.splitlines()]
    found = [line for line in lines if "build/ahu" in line]
    assert found[-1].split()[1] == "demo"
    return found


def run(line: str, folder: Path, place: Path) -> tuple[str, dict[str, Any]]:
    """Run a command line with its files in `folder`; returns its output, and the JSON object of its last line, if it is one."""
    for each in FOLDERS:
        line = line.replace(each, str(folder / Path(each).name))
    verb, arguments = find(shlex.split(line)[1:])
    assert verb is not None, line
    added = [*SHORTER.get(verb.words, []), *(["--out", str(place)] if verb.words == "demo" else [])]
    path = os.pathsep.join(str(REPOSITORY / part) for part in ("libs", "components", "."))
    started = [sys.executable, "-m", verb.module, *verb.prefix, *arguments, *added]
    ended = subprocess.run(
        started, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=600
    )
    assert ended.returncode == 0, f"{line}\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}"
    last = ended.stdout.splitlines()[-1]
    return ended.stdout, json.loads(last) if last.startswith("{") else {}


def test_readme_has_four_commands() -> None:
    assert [line.split()[1] for line in commands("README.md")] == ["data", "model", "model", "demo"]


def test_tutorial_and_readme_have_the_same_commands() -> None:
    readme, tutorial = ([line.removeprefix("scripts/") for line in commands(document)] for document in DOCUMENTS)
    assert all(ours.startswith(theirs) for ours, theirs in zip(tutorial, readme, strict=True))


@pytest.mark.training
def test_commands_lead_from_a_history_to_an_alarm(place: Path, tmp_path: Path) -> None:
    simulate, train, evaluate, deploy = commands(DOCUMENTS[1])
    run(simulate, tmp_path, place)
    _, trained = run(train, tmp_path, place)
    assert trained["bundle"] == str(tmp_path / "models" / "air_handling_unit") and trained["signed"]
    assert (tmp_path / "models" / "air_handling_unit-component" / "configuration.yaml").is_file()
    _, evaluated = run(evaluate, tmp_path, place)
    assert evaluated["found"] == 1 and evaluated["false_alarms"] == 0
    assert len((tmp_path / "ahu" / "predictions.csv").read_text().splitlines()) == evaluated["rows"] + 1
    out, counts = run(deploy, tmp_path, place)
    assert counts["rows"] == counts["results"] == evaluated["rows"] and counts["lost_messages"] == 0
    [alarm] = counts["alarms"]
    assert alarm["asset"] == "air-handling-unit" and "filter_pressure_drop" in alarm["why"]
    assert "after the onset of the fault" in out
