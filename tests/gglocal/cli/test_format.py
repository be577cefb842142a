"""Output for people: the table of components, and text payloads."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gglocal.cli.format import message_lines, published, table
from gglocal.payload_text import is_pip_progress, one_line, text_of


def _status(name: str, state: str, **changes: Any) -> dict[str, Any]:
    plain = {"version": "1.0.0", "detail": "", "starts": 1, "pid": 7, "configuration": {"accessControl": {"wall": "of JSON"}}}
    return plain | {"name": name, "state": state} | changes


def test_table_has_one_line_per_component() -> None:
    broken = _status("com.example.LongName", "BROKEN", starts=3, pid=None, detail="run ended with exit code 5")
    assert table([_status("a", "RUNNING"), broken]) == [
        "NAME                  VERSION  STATE    STARTS  PID",
        "a                     1.0.0    RUNNING  1       7",
        "com.example.LongName  1.0.0    BROKEN   3       -    run ended with exit code 5",
    ]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"plain", "plain"),
        ("3.9 σ\n\tbelow".encode(), "3.9 σ\n\tbelow"),
        (b"", ""),
        (b"\xff", None),
        (b"\x00\x01", None),
        (b"\x1b[2J", None),
        ("\x85".encode(), None),
        ("\u2028".encode(), None),
    ],
)
def test_text_payload_is_utf8_without_control_characters(payload: bytes, text: str | None) -> None:
    assert text_of(payload) == text


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("Collecting awscrt==0.36.1 (from -r requirements.lock (line 4))", True),
        ("  Downloading awscrt-0.36.1.whl (4.3 MB)", True),
        ("Ignoring numpy: markers 'python_version == \"3.10\"' don't match your environment", True),
        ("  Using cached numpy-2.4.6.whl (16.9 MB)", True),
        ("Installing collected packages: numpy", True),
        ("Successfully installed numpy-2.4.6", True),
        ("ERROR: No matching distribution", False),
        ("WARNING: Retrying (Retry(total=4))", False),
        ("INFO edgeml.runtime.install_venv: installing the packages of x", False),
        ("Collected 3 rows", False),
    ],
)
def test_pip_progress_lines_are_recognized(line: str, progress: bool) -> None:
    assert is_pip_progress(line) is progress


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n "a":1,\n "b":"σ"\n}', '{"a": 1, "b": "σ"}'),
        ("[1,2]", "[1, 2]"),
        ("{no json", "{no json"),
        ("1.50", "1.50"),
        ("", ""),
    ],
)
def test_json_text_is_printed_on_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_received_message_is_printed_as_text_json_or_base64() -> None:
    def answer(payload: bytes) -> dict[str, Any]:
        return {"topic": "t", "payload": base64.b64encode(payload).decode(), "sender": None, "at": 1.0}

    assert message_lines(answer(b'{"a":1}'), False, False) == ['t {"a": 1}']
    assert message_lines(answer(b"\xff"), False, False) == ["t base64:/w=="]
    assert message_lines(answer(b"hi"), False, True) == ["t aGk="]
    assert json.loads(*message_lines(answer(b"hi"), True, False)) == {**answer(b"hi"), "text": "hi", "value": None}
    assert json.loads(*message_lines(answer(b"\xff"), True, False))["text"] is None
    for text, value in ((b'{"a": [1, NaN]}', {"a": [1, None]}), (b"1e999", None), (b"[" * 100_000, None), (b"0", 0)):
        assert json.loads(*message_lines(answer(text), True, False))["value"] == value


def test_publish_result_names_size_topic_and_subscriptions() -> None:
    assert published({"topic": "t", "bytes": 1, "subscriptions": 2}) == "published 1 byte to t, received by 2 component subscriptions"
    assert published({"topic": "t", "bytes": 3, "subscriptions": None}) == "published 3 bytes to t on IoT Core"
