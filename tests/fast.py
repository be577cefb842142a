"""Marks slow tests, and makes sure that the others start no process and use no network.

A test is marked `slow` if it uses a fixture of `FIXTURES`, or if its file imports a module of `MODULES`, itself or through a helper in
`tests/`. A test that is slow for another reason has the mark in its file. `scripts/test fast` runs all others.

While a test without the mark runs, in any run, an audit hook of Python refuses to start processes and to open sockets. So a new test that
does this without a mark fails.
"""

from __future__ import annotations

import ast
import importlib
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FIXTURES = {
    "gglocal_factory": "starts a local nucleus",
    "moto_url": "serves AWS's APIs on loopback",
    "venvs": "installs the components' virtual environments",
}
"""Fixture -> why tests that use it are slow."""
MODULES = {
    "edgeml_cli.demo.nucleus_session": "starts a local nucleus",
    "edgeml_cli.fleet.local_nucleus": "connects to a local nucleus",
    "edgeml_cli.verify.chaos.run": "starts a local nucleus",
    "edgeml_cli.verify.outage.crash_test": "forks processes",
    "edgeml_cli.verify.soak.run": "starts a local nucleus",
    "gglocal.api.nucleus": "starts a local nucleus",
    "gglocal.ipc.IpcServer": "serves IPC on a socket",
    "http.server": "serves HTTP on loopback",
    "moto.server": "serves AWS's APIs on loopback",
    "multiprocessing": "starts processes",
    "socket": "uses sockets",
    "subprocess": "starts processes",
}
"""Module, or a name in one -> why tests in files that import it are slow."""
REFUSED = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "subprocess.Popen",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
)
"""Audit events of processes and of the network, including sockets in the file system, by which a nucleus is reached."""
HERE = Path(__file__).parent


class Guard:
    """An audit hook for the tests of this process; Python has no way to remove one.

    Attributes:
        refused: the first refusal of the present test; the code under test may have caught the exception.
    """

    def __init__(self) -> None:
        self.refused = ""
        self._test = ""
        self._others: set[threading.Thread] = set()

    def watch(self, test: str) -> None:
        """A fast test begins. Threads that run already belong to fixtures of other tests."""
        self._others = set(threading.enumerate()) - {threading.current_thread()}
        self._test, self.refused = test, ""

    def end(self) -> None:
        """The test is over."""
        self._test = self.refused = ""

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._test or event not in REFUSED or threading.current_thread() in self._others:
            return
        refusal = f"{self._test} is a fast test, but causes {event}; mark it with @pytest.mark.slow(REASON), see tests/fast.py"
        self.refused = self.refused or refusal
        pytest.fail(refusal, pytrace=False)


guard = Guard()


def reason(path: Path, fixtures: set[str]) -> str | None:
    """Why a test in this file with these fixtures is slow; None: it is fast."""
    used = sorted(fixtures & FIXTURES.keys())
    imported = sorted(imports(path) & MODULES.keys())
    return FIXTURES[used[0]] if used else MODULES[imported[0]] if imported else None


@cache
def imports(path: Path) -> frozenset[str]:
    """Names of modules, and of what is imported from them, in a test file and the helpers in `tests/` that it imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join((HERE.name, *path.relative_to(HERE).parts[: -node.level])) if node.level else ""
            module = ".".join(part for part in (package, node.module) if part)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    helpers = {HERE.parent.joinpath(*name.split(".")).with_suffix(".py") for name in found if name.startswith(f"{HERE.name}.")}
    for helper in helpers:
        if helper.is_file() and helper not in (path, Path(__file__)):
            found |= imports(helper)
    return frozenset(found)


def pytest_configure() -> None:
    with suppress(ImportError):  # when boto3 first imports it, it binds a socket to see whether there is IPv6
        importlib.import_module("urllib3.util.connection")
    sys.addaudithook(guard)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        found = reason(item.path, set(getattr(item, "fixturenames", ())))
        if found:
            item.add_marker(pytest.mark.slow(found))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    if not (item.get_closest_marker("slow") or item.get_closest_marker("training")):
        guard.watch(item.nodeid)
    try:
        return (yield)
    finally:
        guard.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    result = yield
    if guard.refused:
        pytest.fail(guard.refused, pytrace=False)
    return result
