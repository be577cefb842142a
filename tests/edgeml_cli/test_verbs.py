"""The table of commands: every record has a module with a parser, and every command line is understood by the table alone."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeml_cli import environments, help_text, main, modules
from edgeml_cli.build.package import ROOT
from edgeml_cli.verbs import FAMILIES, TRAINING_VENV, VENV, VERBS, Verb, find, nearest

pytestmark = pytest.mark.usefixtures("this_interpreter")


def by_words(words: str) -> Verb:
    return next(verb for verb in VERBS if verb.words == words)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_a_verb_has_a_module_with_a_parser(verb: Verb) -> None:
    if verb.words == "dev fuzz":
        pytest.importorskip("atheris", reason="the first run of `edgeml dev fuzz` installs it")
    whole, leaf = modules.parser_of(verb)
    assert isinstance(whole, argparse.ArgumentParser) and leaf.prog == verb.command
    assert callable(modules.load(verb).main)
    shown = help_text.option_strings(leaf)
    assert {"--help", "--json", "--quiet"} <= set(shown) and len(shown) == len(set(shown))
    assert {option for option, _ in verb.option_extras} <= set(shown)


def test_records_are_whole() -> None:
    assert len({verb.words for verb in VERBS}) == len(VERBS)
    assert {verb.family for verb in VERBS} == set(FAMILIES)
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for verb in VERBS:
        assert verb.summary.endswith(".") and verb.venv in ("", VENV, TRAINING_VENV)
        assert {*verb.extras, *(extra for _, extra in verb.option_extras)} <= set(extras)
        assert verb.venv or not verb.extras
        assert all(environments.requirements([extra]) > environments.requirements([]) for extra in verb.extras)


def test_a_command_line_begins_with_a_verb() -> None:
    assert find(["model", "train", "anomaly", "--seed", "3"]) == (by_words("model train"), ["anomaly", "--seed", "3"])
    assert find(["demo", "--headless"]) == (by_words("demo"), ["--headless"])
    assert find(["model"]) == (None, ["model"]) and find([]) == (None, [])
    assert find(["trains", "x"]) == (None, ["trains", "x"])


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("model trian", ["model train"]),
        ("train", ["model train", "sagemaker train"]),
        ("deploy --group x", ["device deploy", "fleet deploy", "cloud deploy"]),
        ("fleet statsu", ["fleet status"]),
        ("demmo", ["demo"]),
        ("xyzzy", []),
    ],
)
def test_an_unknown_verb_names_the_nearest(typed: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert nearest(typed.split()) == names
    assert main.main(typed.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("edgeml: there is no command `") and err.count("\n") == 1
    assert all(f"`edgeml {name}`" in err for name in names) and ("did you mean" in err) == bool(names)


def test_an_option_may_need_an_extra() -> None:
    evaluate = by_words("model evaluate")
    assert main.needed_extras(evaluate, ["--data", "x"]) == []
    assert main.needed_extras(evaluate, ["--report=x"]) == main.needed_extras(evaluate, ["--report", "x"]) == ["report"]


PATTERN = re.compile(
    r"scripts/(chaos|cloud|deploy|evaluate|fleet|fuzz|lock|outage|package-model|parity|prepare|promote|publish|sagemaker|seals|sign|soak"
    r"|test-arm64|test-training|train|version)\b"
)
SKIPPED = {ROOT / "build", ROOT / "greengrass-build", ROOT / "docs" / "decisions"}


def texts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in (".ci", ".github")
        if hidden or path.is_symlink() or path in SKIPPED or path.suffix == ".egg-info" or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from texts(path)
        else:
            yield path


def test_nothing_names_a_script_that_is_gone() -> None:
    """Records of decisions are history."""
    found = []
    for path in texts(ROOT):
        if path != Path(__file__).resolve():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if PATTERN.search(line)]
    assert found == []


COMMAND = re.compile(r"(?<![\w./-])(?:scripts/)?edgeml ([a-z][a-z0-9-]*(?: [a-z][a-z0-9-]*)?)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def test_documents_name_commands_that_exist() -> None:
    documents = [path for path in texts(ROOT) if path.suffix == ".md"]
    pieces = {(path, piece) for path in documents for piece in CODE.findall(path.read_text(encoding="utf-8"))}
    found = {(path, words) for path, piece in pieces for words in COMMAND.findall(piece)}
    assert len(found) > 20
    wrong = {(path, words) for path, words in found if find(words.split())[0] is None and words not in FAMILIES}
    assert wrong == set()
