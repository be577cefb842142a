"""Every command in the documents is run by a test, or its block names what it needs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edgeml_cli import environments, modules, verbs
from edgeml_cli.site import prose
from edgeml_cli.site.markdown import blocks
from gglocal.cli.main import _parser as gglocal_parser

ROOT = Path(__file__).resolve().parents[3]
NEEDS = {
    "Needs an AWS account",
    "Needs a core device",
    "Needs root, debootstrap and qemu-user-static",
    "Downloads public data",
    "Installs TensorFlow",
}
"""Titles of blocks that no test can run."""

RUN_BY = {
    "scripts/demo": "test_demo.py",
    "scripts/test": "test_scripts.py",
    "scripts/build": "test_build.py",
    "gglocal run": "test_own_sensor.py",
    "gglocal sub": "test_own_sensor.py",
    "gglocal pub": "test_own_sensor.py",
    "gglocal logs": "test_main.py",
    "gglocal deploy": "test_own_model.py",
    "edgeml data simulate": "test_simulate.py",
    "edgeml demo": "test_demo.py",
    "edgeml data prepare": "test_pipeline.py",
    "edgeml cloud estimate": "test_volume_estimate.py",
    "edgeml model evaluate": "test_command.py",
    "edgeml model package": "test_own_model.py",
    "edgeml model keygen": "test_signature.py",
    "edgeml model sign": "test_signature.py",
    "edgeml model verify": "test_signature.py",
    "edgeml device deploy": "test_local_nucleus.py",
    "edgeml dev version": "test_version.py",
    "edgeml dev chaos": "test_chaos_run.py",
    "edgeml dev fuzz": "test_fuzz.py",
    "edgeml dev outage": "test_outage.py",
    "edgeml dev soak": "test_soak_run.py",
}
"""Command -> the file of the tests that run it, with short durations and data of their own."""

SELF_TESTED = {"docs/extending.md"}
"""Documents with a test that runs all their blocks."""


class Typed(NamedTuple):
    """A command line in a document."""

    place: str
    needs: str
    line: str

    @property
    def words(self) -> list[str]:
        found = shlex.split(re.sub(r"(?:^sudo )|(?: > \S+$)", "", self.line))
        installed = found[0].startswith(".venv") or found[0] == "scripts/edgeml"
        return [Path(found[0]).name if installed else found[0], *found[1:]]

    @property
    def command(self) -> str:
        """The program with its verb."""
        words = self.words
        count = {"edgeml": 2 if words[1:2] == ["demo"] else 3, "gglocal": 2}.get(words[0], 1)
        return " ".join(words[:count])


def typed() -> Iterator[Typed]:
    for path in prose.files([ROOT / place for place in prose.DOCUMENTS]):
        if path.relative_to(ROOT).as_posix() in SELF_TESTED:
            continue
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.language == "console":
                for line in block.body.replace("\\\n", "").splitlines():
                    assert line.startswith("$ "), f"{path}: a console block holds commands after `$ `: {line}"
                    yield Typed(f"{path.relative_to(ROOT)}:{block.line}", block.title, " ".join(line[2:].split()))


COMMANDS = list(typed())


def test_documents_have_commands() -> None:
    assert len(COMMANDS) > 40


def test_block_with_a_title_names_a_known_need() -> None:
    assert [each for each in COMMANDS if each.needs and each.needs not in NEEDS] == []


def test_block_without_a_title_is_run_by_a_test() -> None:
    assert [each for each in COMMANDS if not each.needs and each.command not in RUN_BY] == []


def test_tests_that_run_commands_exist_and_are_used() -> None:
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(RUN_BY.values()) - files == set()
    assert set(RUN_BY) - {each.command for each in COMMANDS if not each.needs} == set()


def test_shell_blocks_are_console_blocks() -> None:
    for path in prose.files([ROOT / place for place in prose.DOCUMENTS]):
        languages = {block.language for block in blocks(path.read_text(encoding="utf-8"))}
        assert languages & {"sh", "bash", "shell"} == set(), f"{path}: write commands in a console block, after `$ `"


@pytest.mark.parametrize("each", [each for each in COMMANDS if each.words[0] == "gglocal"], ids=lambda each: each.place)
def test_gglocal_takes_the_command(each: Typed) -> None:
    gglocal_parser().parse_args(each.words[1:])


@pytest.mark.parametrize("each", [each for each in COMMANDS if each.words[0] == "edgeml"], ids=lambda each: each.place)
def test_edgeml_takes_the_command(each: Typed) -> None:
    verb, rest = verbs.find(each.words[1:])
    assert verb is not None, f"{each.place}: there is no command {each.command}"
    assert verb.aws <= (each.needs == "Needs an AWS account"), f"{each.place}: give the block the title `Needs an AWS account`"
    try:
        parser, _ = modules.parser_of(verb)
    except (ImportError, SystemExit):
        if not environments.missing(verb.extras):
            raise
        pytest.skip(f"{verb.command} needs the extras {', '.join(verb.extras)}")
    parser.parse_args([*verb.prefix, *rest])
