"""The form of a seal: pinned bytes, and what is none."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeml.auth.envelope import LONGEST, MessageSignature, bare, mac, seal, split
from edgeml.errors import AuthenticationError, MessageError
from edgeml.messages import MAX_PAYLOAD, decode, encode, topics
from gglocal.cli import signed_messages as other
from tests.edgeml.samples import SAMPLES

GOLDEN = Path(__file__).parents[1] / "golden" / "sealed-command.v1.hex"
KEY = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
BOOT = "5e1f0f1c-3c9a-4f0e-9d0a-1b2c3d4e5f60"
SENDER, NUMBER = "com.edgeml.AlertDispatcher", 1_234_567_890_123
COMMAND = encode(SAMPLES["command"])
SEALED = seal(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, COMMAND)


def test_the_bytes_on_the_wire_are_pinned() -> None:
    # A failure here means that components of different versions on one device refuse each other's messages.
    assert SEALED.hex() == GOLDEN.read_text().strip()
    assert split(SEALED) == (MessageSignature(SENDER, NUMBER, mac(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, COMMAND)), COMMAND)


def test_another_program_makes_the_same_proof() -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    text = f"edgeml1\n{topics.COMMANDS}\n{SENDER}\n{BOOT}\n{NUMBER}\n".encode() + COMMAND
    command = [openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{KEY.hex()}", "-hex"]
    said = subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().split()[-1]
    assert said[:32] == mac(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, COMMAND)


def test_gglocal_seals_by_the_same_specification(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(KEY + b"\n")
    made = other.seal(tmp_path / "k", topics.COMMANDS, COMMAND)
    found, message = split(made)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found is not None and message == COMMAND == other.bare(made) == other.bare(SEALED)
    assert found.mac == mac(KEY, topics.COMMANDS, found.sender, boot, found.number, COMMAND)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_message_is_the_same_behind_its_seal(name: str) -> None:
    sealed = seal(KEY, topics.COMMANDS, SENDER, BOOT, NUMBER, encode(SAMPLES[name]))
    assert bare(sealed) == encode(SAMPLES[name]) and decode(sealed) == SAMPLES[name]


def test_without_a_seal_it_is_as_it_was() -> None:
    assert split(COMMAND) == (None, COMMAND) and bare(COMMAND) == COMMAND


def test_the_longest_message_stays_within_what_a_nucleus_takes() -> None:
    longest = seal(KEY, topics.COMMANDS_RELEASE, "s" * 64, BOOT, 2**63 - 1, bytes(MAX_PAYLOAD))
    assert len(longest) <= MAX_PAYLOAD + LONGEST < 7_000


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
def test_the_proof_is_over_all_of_it(change: dict) -> None:
    known = {"key": KEY, "topic": topics.COMMANDS, "sender": SENDER, "boot": BOOT, "number": NUMBER, "payload": COMMAND}
    assert mac(**known | change) != mac(**known)


MAC = "0" * 32
MALFORMED = {
    "nothing but the mark": b"edgeml1",
    "no line feed": f"edgeml1 a 1 {MAC}".encode(),
    "no sender": f"edgeml1  1 {MAC}\n".encode(),
    "a long sender": f"edgeml1 {'a' * 65} 1 {MAC}\n".encode(),
    "a sender in two words": f"edgeml1 a b 1 {MAC}\n".encode(),
    "a negative number": f"edgeml1 a -1 {MAC}\n".encode(),
    "a number with a zero before it": f"edgeml1 a 01 {MAC}\n".encode(),
    "a long number": f"edgeml1 a {'1' * 20} {MAC}\n".encode(),
    "a number in Arabic digits": f"edgeml1 a ١ {MAC}\n".encode(),
    "a short mac": f"edgeml1 a 1 {MAC[1:]}\n".encode(),
    "a mac in capitals": f"edgeml1 a 1 {'A' * 32}\n".encode(),
    "a later form": f"edgeml12 a 1 {MAC}\n".encode(),
    "a carriage return": f"edgeml1 a 1 {MAC}\r\n".encode(),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_begins_like_a_seal_and_is_none(name: str) -> None:
    with pytest.raises(AuthenticationError, match="not well formed"):
        split(MALFORMED[name] + b"{}")
    with pytest.raises(MessageError):
        decode(MALFORMED[name] + b"{}")


def test_random_bytes_raise_nothing_but_seal_errors() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        data = bytearray(SEALED)
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
