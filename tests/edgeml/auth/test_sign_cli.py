"""How people and machines' own programs are believed: by the library's command, by gglocal's, and by the lines in the document."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeml.auth import gglocal_messages
from edgeml.auth.device_key import NAME, MessageAuthOptions
from edgeml.auth.envelope import bare
from edgeml.auth.verifier import MessageVerifier
from edgeml.messages import MAX_PAYLOAD, Acknowledge, Command, decode, encode, topics
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
ACK = '{"type": "acknowledge", "alarm": "a1", "by": "Ada"}'


@pytest.fixture
def guard(tmp_path: Path) -> MessageVerifier:
    made = MessageVerifier("com.edgeml.AlertDispatcher", tmp_path)
    made.configure(MessageAuthOptions())
    return made


def say(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edgeml.auth.sign_cli", *arguments]
    return subprocess.run(
        command, input=given, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT / "libs")}, timeout=PATIENCE_S
    )


def test_what_a_person_says_is_believed_once(guard: MessageVerifier, tmp_path: Path) -> None:
    for given, argument in ((b"", ACK), (ACK.encode(), "-")):
        said = say(topics.ALERTS_ACK, argument, "--key", str(tmp_path / NAME), given=given)
        assert (said.returncode, said.stderr, bare(said.stdout)) == (0, b"", ACK.encode())
        message = guard.open(topics.ALERTS_ACK, said.stdout)
        assert message is not None and decode(message) == Acknowledge(alarm="a1", by="Ada")
        assert guard.open(topics.ALERTS_ACK, said.stdout) is None


REFUSED = {
    "no message": (topics.ALERTS_ACK, "{}", "unknown type"),
    "a topic without seals": (topics.STATUS, ACK, "'edgeml/status' is a topic without seals; those with are edgeml/alerts, "),
    "too long": (topics.ALERTS_ACK, ACK[:-2] + "x" * MAX_PAYLOAD + '"}', "bytes, at most 6800 can be sent"),
    "a name that is none": (topics.ALERTS_ACK, ACK, "'A B' is no name of a sender"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_said_is_one_sentence(guard: MessageVerifier, tmp_path: Path, name: str) -> None:
    topic, message, sentence = REFUSED[name]
    sender = ("--as", "A B") if "name" in name else ()
    said = say(topic, message, "--key", str(tmp_path / NAME), *sender)
    assert said.returncode == 2 and said.stdout == b""
    assert sentence in said.stderr.decode() and said.stderr.count(b"\n") == 1


def test_without_the_key_nothing_is_said(tmp_path: Path) -> None:
    said = say(topics.ALERTS_ACK, ACK, "--key", str(tmp_path / "absent"))
    assert said.returncode == 2 and b"the core's key cannot be read (No such file or directory)" in said.stderr


def test_gglocal_finds_the_key_that_the_components_made(tmp_path: Path) -> None:
    work = tmp_path / "work" / "com.edgeml.Inference"
    work.mkdir(parents=True)
    guard = MessageVerifier("com.edgeml.Inference", work)
    guard.configure(MessageAuthOptions())
    said = gglocal_messages.sign(topics.ALERTS_ACK, ACK.encode(), None, tmp_path / "work")
    assert guard.open(topics.ALERTS_ACK, said) == ACK.encode()


def test_the_lines_for_a_machines_own_program_do_what_the_document_says(guard: MessageVerifier, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code) == 1
    machine: dict = {}
    place = "/greengrass/v2/work/com.edgeml.AlertDispatcher/messages.key"
    assert place in code[0]
    exec(code[0].replace(place, str(tmp_path / NAME)), machine)
    stop = encode(Command(id="c1", asset="press", action="stop"))
    sealed = guard.seal(topics.COMMANDS, stop)
    assert sealed is not None
    assert machine["opened"](topics.COMMANDS, sealed) == stop
    forged = [sealed, stop, b"", b"\xff\n", b"edgeml1\n{}", sealed + b" ", sealed.replace(b"edgeml1 com", b"edgeml1 org")]
    assert [machine["opened"](topics.COMMANDS, message) for message in forged] == [None] * len(forged)
    later = guard.seal(topics.COMMANDS, stop)
    assert machine["opened"](topics.COMMANDS_ACK, later) is None and machine["opened"](topics.COMMANDS, later) == stop
    answer = machine["sealed"](topics.COMMANDS_ACK, b"{}")
    assert (guard.open(topics.COMMANDS_ACK, answer), guard.open(topics.COMMANDS_ACK, answer)) == (b"{}", None)
