"""Files about the project keep up with it: the changelog, the hooks, the workflows and the commands that they name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeml_cli.build.package import Project
from edgeml_cli.verbs import VERBS

ROOT = Path(__file__).parents[1]
PACKAGES = ("edgeml", "edgeml_cli", "gglocal")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = [
    *(
        ROOT / name
        for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".pre-commit-config.yaml", "docs/extending.md", "docs/versioning.md")
    ),
    *sorted((ROOT / ".github").rglob("*.*")),
]


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_changelog_has_a_section_for_this_version_and_for_the_next() -> None:
    sections = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == "Unreleased" and Project.read(ROOT).version in sections


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_that_it_has_types(package: str) -> None:
    assert (ROOT / "libs" / package / "py.typed").is_file()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_runs_scripts_of_this_repository(workflow: Path) -> None:
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        assert re.match(r"(sudo )?(scripts/|\.ci/run|apt-get |diff )", command), (
            f"{command}: put it into a script, which people can run too"
        )


def test_workflows_test_every_supported_version_of_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["fast"]["strategy"]["matrix"]["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.10"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_hooks_run_what_is_in_the_checkout() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local", "a hook of another repository would be downloaded"
    assert {hook["entry"].split()[0] for hook in repository["hooks"]} == {".venv/bin/python", "scripts/test"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_named_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"scripts/([a-z][\w-]*)", text))
    assert named <= {script.name for script in (ROOT / "scripts").iterdir() if os.access(script, os.X_OK)}
    families = {verb.words.split()[0] for verb in VERBS if " " in verb.words}
    called = {words for words in re.findall(r"edgeml ([a-z]+ [a-z][a-z0-9-]*)", text) if words.split()[0] in families}
    assert called <= {verb.words for verb in VERBS}
