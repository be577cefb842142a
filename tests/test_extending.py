"""docs/extending.md: each checklist is followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgeml_cli.verbs import find

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "extending.md"
CHECKLISTS = {part.split("\n", 1)[0]: part for part in DOCUMENT.read_text(encoding="utf-8").split("\n## ")[1:]}
BLOCK = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)


def blocks(checklist: str) -> list[tuple[str, str, str]]:
    """(language, path of the file or empty, text) of each block, in order."""
    return [(language, path, textwrap.dedent(text)) for _, language, path, text in BLOCK.findall(checklist)]


def changed(text: str, change: str) -> str:
    """The text with a change applied at the only place that its lines without `+` show.

    Raises:
        ValueError: there is no such place, or several.
    """
    lines, edits = text.split("\n"), change.rstrip("\n").split("\n")
    shown = [(edit[:1], edit[1:]) for edit in edits if edit[:1] != "+"]

    def fits(at: int) -> bool:
        here = lines[at : at + len(shown)]
        return len(here) == len(shown) and all(
            line.startswith(wanted[:-1]) if wanted.endswith("…") else line == wanted for line, (_, wanted) in zip(here, shown, strict=True)
        )

    places = [at for at in range(len(lines)) if fits(at)]
    if len(places) != 1:
        raise ValueError(f"{len(places)} places look like this:\n{change}")
    at = places[0]
    new = []
    for edit in edits:
        if edit[:1] == "+":
            new.append(edit[1:])
        else:
            new += [lines[at]] if edit[:1] != "-" else []
            at += 1
    return "\n".join(lines[: places[0]] + new + lines[at:])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    made = tmp_path / "edgeml"
    kept = {"libs", "components", "model_training", "recipes", "scripts", "tests", "docs"}

    def left_out(folder: str, names: list[str]) -> set[str]:
        junk = {name for name in names if name == "__pycache__" or name.endswith(".egg-info")}
        return junk | ({name for name in names if (ROOT / name).is_dir() and name not in kept} if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, made, ignore=left_out, symlinks=True)
    return made


def run(copy: Path, command: str) -> None:
    """Run a command of a checklist in the copy, with this interpreter as its environment."""
    words = shlex.split(command)
    if words[0] == "edgeml":
        verb, arguments = find(words[1:])
        assert verb is not None, f"there is no {command}"
        started = [sys.executable, "-m", verb.module, *verb.prefix, *arguments]
    else:
        assert words[0] == "scripts/test"
        started = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[1:]]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    path = os.pathsep.join(str(copy / folder) for folder in ("libs", "components", "."))
    ended = subprocess.run(started, cwd=copy, env=environment | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"


def follow(steps: list[tuple[str, str, str]], copy: Path) -> None:
    for language, path, text in steps:
        if language == "console":
            for line in text.splitlines():
                run(copy, line.removeprefix("$ "))
        elif language == "diff":
            (copy / path).write_text(changed((copy / path).read_text(encoding="utf-8"), text), encoding="utf-8")
        else:
            assert not (copy / path).exists()
            (copy / path).parent.mkdir(exist_ok=True)
            (copy / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("title", CHECKLISTS)
def test_checklist_works_as_it_is_written(title: str, copy: Path) -> None:
    steps = blocks(CHECKLISTS[title])
    assert "console" in [language for language, _, _ in steps], "a checklist ends with the checks"
    follow(steps, copy)
    python = [str(copy / path) for language, path, _ in steps if path.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        ended = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *python], cwd=copy, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout


def test_all_examples_together_pass_mypy(copy: Path) -> None:
    steps = [step for checklist in CHECKLISTS.values() for step in blocks(checklist) if step[0] != "console"]
    follow(steps, copy)
    packages = [str(folder) for place in ("libs", "components") for folder in sorted((copy / place).iterdir()) if folder.is_dir()]
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *packages, "model_training"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout


def test_number_of_files_of_code_is_two() -> None:
    """As the table at the top says; the rest is generated, documentation or a test."""
    for title, checklist in CHECKLISTS.items():
        code = {path for _, path, _ in blocks(checklist) if path.endswith(".py") and not path.startswith("tests/")}
        assert len(code) == 2, title


def test_step_that_is_left_out_is_noticed(copy: Path) -> None:
    steps = [each for each in blocks(CHECKLISTS["Add a source"]) if not each[1].endswith(".md")]
    with pytest.raises(AssertionError, match="slope is not in the README"):
        follow(steps, copy)


def test_change_is_applied_at_its_only_place() -> None:
    text = "a\nb(1)\nc\nb(2)\n"
    assert changed(text, " c\n+d\n b(2)\n") == "a\nb(1)\nc\nd\nb(2)\n"
    assert changed(text, "-c\n+d\n") == "a\nb(1)\nd\nb(2)\n"
    assert changed(text, " a\n b(…\n+x\n") == "a\nb(1)\nx\nc\nb(2)\n"
    with pytest.raises(ValueError, match="2 places"):
        changed(text, " b(…\n+x\n")
    with pytest.raises(ValueError, match="0 places"):
        changed(text, " e\n+x\n")
