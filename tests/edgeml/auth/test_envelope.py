"""The format of signed messages: pinned bytes, and malformed signature lines."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeml.auth.envelope import MessageSignature, mac, sign, split
from edgeml.errors import AuthenticationError, MessageError
from edgeml.messages import MAX_PAYLOAD, decode, encode, strip_signature, topics
from tests import independent_signer
from tests.edgeml.samples import SAMPLES

GOLDEN = Path(__file__).parents[1] / "golden" / "signed-command.v1.hex"
KEY = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
BOOT = "5e1f0f1c-3c9a-4f0e-9d0a-1b2c3d4e5f60"
SENDER, NUMBER = "com.edgeml.AlertDispatcher", 1_234_567_890_123
COMMAND = encode(SAMPLES["command"])
SIGNED = sign(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, COMMAND)


def test_wire_format_is_pinned() -> None:
    # A failure here means that components of different versions on one device refuse each other's messages.
    assert SIGNED.hex() == GOLDEN.read_text().strip()
    assert split(SIGNED) == (MessageSignature(SENDER, NUMBER, mac(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, COMMAND)), COMMAND)


def test_mac_equals_that_of_openssl() -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    text = f"edgeml1\n{topics.COMMANDS}\n{SENDER}\n{BOOT}\n{NUMBER}\n".encode() + COMMAND
    command = [openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{KEY.hex()}", "-hex"]
    output = subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().split()[-1]
    assert output[:32] == mac(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, COMMAND)


def test_independent_signer_follows_the_same_specification(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(KEY + b"\n")
    signed = independent_signer.sign(tmp_path / "k", topics.COMMANDS, COMMAND)
    found, message = split(signed)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found is not None and message == COMMAND == independent_signer.body(signed) == independent_signer.body(SIGNED)
    assert found.mac == mac(KEY, topics.COMMANDS, found.sender, boot, found.number, COMMAND)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_message_decodes_behind_its_signature(name: str) -> None:
    signed = sign(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, encode(SAMPLES[name]))
    assert strip_signature(signed) == encode(SAMPLES[name]) and decode(signed) == SAMPLES[name]


def test_unsigned_message_is_unchanged() -> None:
    assert split(COMMAND) == (None, COMMAND) and strip_signature(COMMAND) == COMMAND


def test_longest_signed_message_stays_within_the_limit_of_the_nucleus() -> None:
    longest = sign(KEY, topics.COMMANDS_RELEASE, "s" * 64, BOOT, 2**63 - 1, bytes(MAX_PAYLOAD))
    assert len(longest) <= MAX_PAYLOAD + 127 < 7_000


@pytest.mark.parametrize(
    "change",
    [
        {"key": b"x" * 64},
        {"topic": topics.COMMANDS_ACK},
        {"sender": "somebody"},
        {"boot": "another"},
        {"number": NUMBER + 1},
        {"payload": COMMAND + b" "},
    ],
    ids=lambda change: next(iter(change)),
)
def test_mac_covers_every_field(change: dict) -> None:
    known = {"key": KEY, "topic": topics.COMMANDS, "sender": SENDER, "boot": BOOT, "number": NUMBER, "payload": COMMAND}
    assert mac(**known | change) != mac(**known)


MAC = "0" * 32
MALFORMED = {
    "nothing but the mark": b"edgeml1",
    "no line feed": f"edgeml1 a 1 {MAC}".encode(),
    "no sender": f"edgeml1  1 {MAC}\n".encode(),
    "a long sender": f"edgeml1 {'a' * 65} 1 {MAC}\n".encode(),
    "a sender with a space": f"edgeml1 a b 1 {MAC}\n".encode(),
    "a negative number": f"edgeml1 a -1 {MAC}\n".encode(),
    "a number with a leading zero": f"edgeml1 a 01 {MAC}\n".encode(),
    "a long number": f"edgeml1 a {'1' * 20} {MAC}\n".encode(),
    "a number in Arabic digits": f"edgeml1 a ١ {MAC}\n".encode(),
    "a short mac": f"edgeml1 a 1 {MAC[1:]}\n".encode(),
    "a mac in capitals": f"edgeml1 a 1 {'A' * 32}\n".encode(),
    "a later form": f"edgeml12 a 1 {MAC}\n".encode(),
    "a carriage return": f"edgeml1 a 1 {MAC}\r\n".encode(),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_signature_line_is_refused(name: str) -> None:
    with pytest.raises(AuthenticationError, match="malformed signature line"):
        split(MALFORMED[name] + b"{}")
    with pytest.raises(MessageError):
        decode(MALFORMED[name] + b"{}")


def test_random_bytes_raise_only_authentication_errors() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        data = bytearray(SIGNED)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(100)] = chance.randrange(256)
        try:
            split(bytes(data[: chance.randrange(len(data) + 1)]))
        except AuthenticationError as fault:
            assert str(fault)


def test_only_status_and_heartbeat_are_not_signed() -> None:
    local = {topic.name for topic in topics.TOPICS if not topic.cloud}
    assert local - topics.SIGNED == {topics.STATUS, topics.HEARTBEAT}  # no component acts upon these
    assert local > topics.SIGNED  # in IoT Core, AWS's policies authenticate senders
