"""Signing by people and by a machine's own program: the library's command, gglocal's, and the code in the security document."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeml.auth import gglocal_messages
from edgeml.auth.device_key import NAME, MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.messages import MAX_PAYLOAD, Acknowledge, Command, decode, encode, strip_signature, topics
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
ACK = '{"type": "acknowledge", "alarm": "a1", "by": "Ada"}'


@pytest.fixture
def verifier(tmp_path: Path) -> MessageVerifier:
    created = MessageVerifier("com.edgeml.AlertDispatcher", tmp_path)
    created.configure(MessageAuthOptions())
    return created


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edgeml.auth.sign_cli", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT / "libs")}, timeout=PATIENCE_S
    )


def test_message_signed_by_the_command_is_accepted_once(verifier: MessageVerifier, tmp_path: Path) -> None:
    for stdin, argument in ((b"", ACK), (ACK.encode(), "-")):
        done = run(topics.ALERTS_ACK, argument, "--key", str(tmp_path / NAME), stdin=stdin)
        assert (done.returncode, done.stderr, strip_signature(done.stdout)) == (0, b"", ACK.encode())
        verified = verifier.verify(topics.ALERTS_ACK, done.stdout)
        assert verified is not None and decode(verified[0]) == Acknowledge(alarm="a1", by="Ada")
        assert verifier.verify(topics.ALERTS_ACK, done.stdout) is None


REFUSED = {
    "no message": (topics.ALERTS_ACK, "{}", "unknown message type"),
    "an unsigned topic": (topics.STATUS, ACK, "'edgeml/status' is not a signed topic; expected one of edgeml/alerts, "),
    "too long": (topics.ALERTS_ACK, ACK[:-2] + "x" * MAX_PAYLOAD + '"}', "bytes, the maximum is 6800"),
    "an invalid name": (topics.ALERTS_ACK, ACK, "'A B' is not a valid sender name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_input_is_refused_with_one_sentence(verifier: MessageVerifier, tmp_path: Path, name: str) -> None:
    topic, message, sentence = REFUSED[name]
    sender = ("--as", "A B") if "name" in name else ()
    done = run(topic, message, "--key", str(tmp_path / NAME), *sender)
    assert done.returncode == 2 and done.stdout == b""
    assert sentence in done.stderr.decode() and done.stderr.count(b"\n") == 1


def test_missing_key_is_reported(tmp_path: Path) -> None:
    done = run(topics.ALERTS_ACK, ACK, "--key", str(tmp_path / "absent"))
    assert done.returncode == 2 and b"the device key cannot be read (No such file or directory)" in done.stderr


def test_gglocal_finds_the_key_that_a_component_created(tmp_path: Path) -> None:
    work = tmp_path / "work" / "com.edgeml.Inference"
    work.mkdir(parents=True)
    verifier = MessageVerifier("com.edgeml.Inference", work)
    verifier.configure(MessageAuthOptions())
    signed = gglocal_messages.sign(topics.ALERTS_ACK, ACK.encode(), None, tmp_path / "work")
    verified = verifier.verify(topics.ALERTS_ACK, signed)
    assert verified is not None and verified[0] == ACK.encode()


def test_code_in_the_security_document_signs_and_verifies(verifier: MessageVerifier, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code) == 1
    machine: dict = {}
    place = "/greengrass/v2/work/com.edgeml.AlertDispatcher/messages.key"
    assert place in code[0]
    exec(code[0].replace(place, str(tmp_path / NAME)), machine)
    stop = encode(Command(id="c1", asset="press", action="stop"))
    signed = verifier.sign(topics.COMMANDS, stop)
    assert signed is not None
    assert machine["opened"](topics.COMMANDS, signed) == stop
    forged = [signed, stop, b"", b"\xff\n", b"edgeml1\n{}", signed + b" ", signed.replace(b"edgeml1 com", b"edgeml1 org")]
    assert [machine["opened"](topics.COMMANDS, message) for message in forged] == [None] * len(forged)
    later = verifier.sign(topics.COMMANDS, stop)
    assert machine["opened"](topics.COMMANDS_ACK, later) is None and machine["opened"](topics.COMMANDS, later) == stop
    answer = machine["sealed"](topics.COMMANDS_ACK, b"{}")
    verified = verifier.verify(topics.COMMANDS_ACK, answer)
    assert verified is not None and verified[0] == b"{}"
    assert verifier.verify(topics.COMMANDS_ACK, answer) is None
