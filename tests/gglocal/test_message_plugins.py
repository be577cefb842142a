"""Message plugins that fail: one sentence each, and everything else works."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gglocal import message_plugins
from gglocal.cli.format import message_lines
from gglocal.errors import NucleusError

BROKEN = "def body(payload):\n    raise KeyError('x')\nvalue = lines = rejection = sign = lambda *arguments: body(b'')\n"
WORKS = """
body = lambda payload: payload.removeprefix(b"signed ")
value = lambda topic, payload: {"topic": topic}
lines = lambda topic, payload: [payload.hex()]
rejection = lambda topic, payload: "" if topic == "t" else "unknown topic"
sign = lambda topic, payload, key_file, work_dirs: b"signed " + payload
"""
PAYLOAD = b"signed \xff"
MESSAGE = {"topic": "t", "payload": base64.b64encode(PAYLOAD).decode(), "sender": None, "at": 1.0}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution whose modules are the only plugins."""

    def install(**sources: str | None) -> None:
        metadata = tmp_path / "application-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: application\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[application]\n" + "".join(f"{name} = {name}\n" for name in sources))
        for name, source in sources.items():
            if source is not None:
                (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    monkeypatch.setattr(message_plugins, "GROUP", "application")
    message_plugins.plugins.cache_clear()
    yield install
    message_plugins.plugins.cache_clear()


def test_failing_plugin_is_logged_and_the_next_one_decodes(installed: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    installed(absent_plugin=None, broken_plugin=BROKEN, working_plugin=WORKS)
    assert message_lines(MESSAGE, False, False) == ["t ff"]
    assert [line for line in caplog.messages if "absent_plugin" in line] == [
        "message plugin absent_plugin cannot be loaded (ModuleNotFoundError(\"No module named 'absent_plugin'\")); "
        "its payloads are shown undecoded"
    ]
    assert [line for line in caplog.messages if "broken_plugin" in line] == [
        f"message plugin broken_plugin failed in {function} (KeyError('x')); the message is shown without it"
        for function in ("body", "lines")
    ]
    assert json.loads(*message_lines(MESSAGE, True, False))["value"] == {"topic": "t"}
    assert message_plugins.rejection("t", PAYLOAD) == ""
    assert message_plugins.sign("t", b"x", key_file=None, work_dirs=Path()) == b"signed x"


def test_message_is_shown_undecoded_if_its_only_plugin_fails(installed: Callable[..., None]) -> None:
    installed(only_plugin=BROKEN)
    assert message_lines(MESSAGE, False, False) == [f"t base64:{MESSAGE['payload']}"]
    assert json.loads(*message_lines(MESSAGE, True, False))["value"] is None


def test_plugin_that_fails_signs_nothing(installed: Callable[..., None]) -> None:
    installed(unsound_plugin=BROKEN)
    assert message_plugins.rejection("t", b"x") == "message plugin unsound_plugin failed in rejection (KeyError('x'))"
    with pytest.raises(NucleusError, match=r"^message plugin unsound_plugin failed in sign \(KeyError\('x'\)\)$"):
        message_plugins.sign("t", b"x", key_file=None, work_dirs=Path())
