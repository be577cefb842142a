"""Tests that are not marked `slow` start no process and open no connection. This file imports neither subprocess nor socket: it is fast."""

from __future__ import annotations

import asyncio
import imaplib
import importlib
import importlib.util
import os
import re
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests import fast

ROOT = Path(__file__).parents[1]


def fork() -> None:
    os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})


def shell() -> None:
    os.system("true")


def connect() -> None:
    imaplib.IMAP4("127.0.0.1", 1)


def listen() -> None:
    socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)


@pytest.mark.parametrize("act", [fork, shell, connect, listen])
def test_fast_test_is_refused(act: Callable[[], None], request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match="is a fast test, but causes"):
        act()
    assert fast.guard.refused.startswith(request.node.nodeid)
    fast.guard.watch(request.node.nodeid)  # this refusal was expected


def test_refusal_that_the_code_catches_is_remembered(request: pytest.FixtureRequest) -> None:
    with suppress(BaseException):
        shell()
    assert "os.system" in fast.guard.refused
    fast.guard.watch(request.node.nodeid)


def test_process_of_another_tests_thread_is_not_refused() -> None:
    guard, go, refused = fast.Guard(), threading.Event(), []

    def act() -> None:
        go.wait(10)
        try:
            guard("subprocess.Popen", ())
        except pytest.fail.Exception as failure:
            refused.append(failure)

    earlier = threading.Thread(target=act)
    earlier.start()
    guard.watch("a test")
    later = threading.Thread(target=act)
    later.start()
    go.set()
    earlier.join()
    later.join()
    assert len(refused) == 1
    guard.end()
    guard("subprocess.Popen", ())


def test_socket_pair_of_an_event_loop_is_not_refused() -> None:
    asyncio.run(asyncio.sleep(0))


def test_fixtures_of_the_table_exist() -> None:
    files = [*fast.HERE.rglob("*.py"), ROOT / "libs" / "gglocal" / "api" / "pytest_plugin.py"]
    defined = {name for path in files for name in re.findall(r"^def (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)}
    assert fast.FIXTURES.keys() <= defined


@pytest.mark.parametrize("name", fast.MODULES)
def test_modules_of_the_table_exist(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, so that it is a name in one
        found = False
    assert found or hasattr(importlib.import_module(module), attribute)


def test_file_is_slow_by_its_own_import_a_helpers_or_a_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = tmp_path / "tests"
    (tests / "a").mkdir(parents=True)
    monkeypatch.setattr(fast, "HERE", tests)
    (tests / "helper.py").write_text("def start() -> None:\n    import subprocess\n")
    (tests / "a" / "near.py").write_text("from gglocal.ipc import IpcServer\n")
    for name, text in {
        "own": "import socket",
        "helped": "from tests.helper import start",
        "relative": "from .near import server",
        "fast": "import json, tests.other",
    }.items():
        (tests / "a" / f"test_{name}.py").write_text(text + "\n")
    assert fast.reason(tests / "a" / "test_own.py", set()) == "uses sockets"
    assert fast.reason(tests / "a" / "test_helped.py", set()) == "starts processes"
    assert fast.reason(tests / "a" / "test_relative.py", set()) == "serves IPC on a socket"
    assert fast.reason(tests / "a" / "test_fast.py", {"tmp_path"}) is None
    assert fast.reason(tests / "a" / "test_fast.py", {"tmp_path", "venvs"}) == "installs the components' virtual environments"
