"""Help installs nothing, writes nothing and opens no connection, in a clone that was never used too."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from edgeml_cli import environments
from edgeml_cli.build.package import ROOT
from edgeml_cli.command import EXIT_CODES
from edgeml_cli.output import OPTIONS
from edgeml_cli.verbs import FAMILIES, VERBS, Verb

SCRIPTS = ("build", "demo", "edgeml", "env", "test")
PLAIN = ("env", "test")
"""Their help is the comment at their top."""
COMMANDS = [
    *(f"scripts/{name}" for name in SCRIPTS),
    *(f"scripts/edgeml {family}" for family in FAMILIES if family not in {verb.words for verb in VERBS}),
    *(f"scripts/edgeml {verb.words}" for verb in VERBS),
]
NO_ATHERIS = "scripts/edgeml dev fuzz"
"""Its module needs atheris, which its own first run installs."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as git has it: no environment, nothing built."""
    made = tmp_path_factory.mktemp("clone") / "edgeml"
    junk = shutil.ignore_patterns(".venv*", "greengrass-build", ".git", "__pycache__", "*.egg-info", ".*_cache", ".gglocal")

    def left_out(folder: str, names: list[str]) -> set[str]:
        return junk(folder, names) | ({"build"} if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, made, ignore=left_out, symlinks=True)
    return made


@pytest.fixture
def network() -> Iterator[tuple[dict[str, str], list[str]]]:
    """Variables that lead every client of an index or of AWS to this machine, and the connections that were opened."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            while True:
                try:
                    connection, peer = server.accept()
                except OSError:
                    return
                came.append(str(peer))
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield (
            {
                "http_proxy": address,
                "https_proxy": address,
                "PIP_INDEX_URL": f"{address}/simple",
                "AWS_ENDPOINT_URL": address,
                "PIP_RETRIES": "0",
            },
            came,
        )
        server.shutdown(socket.SHUT_RDWR)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir()
    } | {f"{path.relative_to(folder).as_posix()}/": (0, 0) for path in folder.rglob("*") if path.is_dir()}


def run(clone: Path, command: str, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    script, *words = command.split()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))} | variables
    return subprocess.run(
        [clone / script, *words, *arguments],
        cwd=clone.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(("command", "flag"), [*((each, "--help") for each in COMMANDS), ("scripts/edgeml", "-h"), ("scripts/demo", "-h")])
def test_help_in_a_clean_clone_changes_nothing(clone: Path, network: tuple[dict[str, str], list[str]], command: str, flag: str) -> None:
    before = state(clone.parent)
    ran = run(clone, command, network[0], flag)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    name = command.removeprefix("scripts/")
    # The second line of a script is its description.
    expected = (ROOT / command).read_text().splitlines()[1].removeprefix("# ") if name in PLAIN else f"usage: edgeml{_words(name)} "
    assert ran.stdout.startswith(expected)
    assert state(clone.parent) == before and network[1] == []


def _words(name: str) -> str:
    """The words of the usage line between `edgeml` and the options."""
    words = name.removeprefix("edgeml").strip()
    return f" {words}" if words else ""


def test_edgeml_alone_shows_the_families(clone: Path, network: tuple[dict[str, str], list[str]]) -> None:
    ran = run(clone, "scripts/edgeml", network[0])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert all(f"\n  {verb.words} " in ran.stdout and verb.summary in ran.stdout for verb in VERBS)
    assert all(f"{family}: {about}" in ran.stdout for family, about in FAMILIES.items() if family not in {verb.words for verb in VERBS})
    assert all(f"  {code} " in ran.stdout and meaning in ran.stdout for code, meaning in EXIT_CODES.items())


@pytest.fixture(scope="module")
def used(clone: Path) -> Iterator[Path]:
    """The clone with an environment: this interpreter, under the name that the scripts look for."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    yield clone
    shutil.rmtree(clone / ".venv")


@pytest.mark.parametrize("command", [f"scripts/edgeml {verb.words}" for verb in VERBS])
def test_help_with_an_environment_lists_the_options_and_changes_nothing(
    used: Path, network: tuple[dict[str, str], list[str]], command: str
) -> None:
    before = state(used.parent)
    ran = run(used, command, network[0], "--help")
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout.startswith(f"usage: {command.removeprefix('scripts/')} ")
    assert ("-h, --help" in ran.stdout) or command == NO_ATHERIS
    assert all(option in ran.stdout for option in OPTIONS)
    about = ran.stdout.split("\n\n")[1]
    assert about.rstrip().endswith((".", ":", ")", "`")), "a sentence without its end"
    assert state(used.parent) == before and network[1] == []


def requirements(extras: tuple[str, ...]) -> set[str]:
    """The distributions that pyproject.toml declares, and those of some extras; their own needs are not counted: they may change."""
    names = environments.requirements(extras)
    return names | {part for whole, part in (("boto3", "botocore"), ("awsiotsdk", "awscrt")) if whole in names}


def imported(module: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    """(file, third-party name) of what importing a module imports at once; what stands in a function is imported when it is needed."""
    places = (ROOT / "libs", ROOT / "components", ROOT)
    file = module.replace(".", "/")
    path = next((each for place in places for each in (place / file / "__init__.py", place / f"{file}.py") if each.is_file()), None)
    if path is None or module in seen:
        return
    seen.add(module)
    if path.name == "__init__.py" and f"{module}.__main__" not in seen and len(seen) == 1:
        yield from imported(f"{module}.__main__", seen)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    for node in [each for each in tree.body if not (isinstance(each, ast.If) and "TYPE_CHECKING" in ast.unparse(each.test))]:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (parent, node.module or "")))
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            first = name.split(".")[0]
            if any((place / first).is_dir() for place in places) and first not in ("build",):
                parts = name.split(".")
                for end in range(1, len(parts) + 1):
                    yield from imported(".".join(parts[:end]), seen)
            elif first not in sys.stdlib_module_names:
                yield path.relative_to(ROOT).as_posix(), first


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_verb_declares_its_imports(verb: Verb) -> None:
    declared, owners = requirements(verb.extras) if verb.venv else set(), packages_distributions()
    missing = {
        (path, name)
        for path, name in imported(verb.module, set())
        if not {each.lower().replace("_", "-") for each in owners.get(name, [name])} & declared
    }
    assert missing == set(), f"{verb.command} has the extras {verb.extras}"


def selections() -> list[tuple[str, str]]:
    """Each `scripts/test ARGUMENT...` in the documents."""
    texts = [path for path in (ROOT / "README.md", *sorted(ROOT.glob("*/**/*.md"))) if not path.is_relative_to(ROOT / "build")]
    return [
        (path.relative_to(ROOT).as_posix(), line.strip())
        for path in texts
        if ".venv" not in path.parts
        for line in re.findall(r"scripts/test ([^`#\n]+)", path.read_text(encoding="utf-8"))
        if not line.startswith(("some ", "fast", "coverage"))
    ]


@pytest.mark.parametrize(("path", "arguments"), selections())
def test_selection_in_a_document_matches_tests(path: str, arguments: str) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *shlex.split(arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and re.search(r"^\d+(/\d+)? tests collected", ran.stdout, re.M), f"{path}: {ran.stdout[-300:]}"


def test_waiting_for_anothers_lock_is_announced(clone: Path) -> None:
    (clone / "build").mkdir()
    try:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(["flock", clone / "build" / "env.lock", "cat"], text=True, **pipes) as held:
            assert held.stdin is not None and held.stdout is not None
            held.stdin.write("held\n")
            held.stdin.flush()
            assert held.stdout.readline() == "held\n"  # the lock is taken
            with subprocess.Popen([clone / "scripts" / "env"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as waiting:
                assert waiting.stderr is not None
                assert "another command is making an environment of this checkout; waiting for it" in waiting.stderr.readline()
                waiting.kill()
            held.stdin.close()
    finally:
        shutil.rmtree(clone / "build")
