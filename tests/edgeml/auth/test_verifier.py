"""Verification of signed messages: the key, the number, the clock, and the reports on refused messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml.auth import verifier as module
from edgeml.auth.device_key import NAME, MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.messages import topics
from edgeml.timestamps import SECOND

TOPIC = topics.COMMANDS
STARTED = 5_000 * SECOND


class Device:
    """The clock that all verifiers of one device read."""

    def __init__(self, root: Path, boot: str = "b1") -> None:
        self.root, self.boot, self.now = root, boot, STARTED

    def verifier(self, name: str, **options: object) -> MessageVerifier:
        work = self.root / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        verifier = MessageVerifier(name, work, lambda: self.now, self.boot)
        verifier.configure(MessageAuthOptions(**options))  # type: ignore[arg-type]
        self.now += 1
        return verifier


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def signed(verifier: MessageVerifier, payload: bytes = b"m", topic: str = TOPIC) -> bytes:
    message = verifier.sign(topic, payload)
    assert message is not None
    return message


def accepted(verifier: MessageVerifier, topic: str, message: bytes) -> bytes | None:
    verified = verifier.verify(topic, message)
    return None if verified is None else verified[0]


def test_message_of_another_component_is_accepted_once(device: Device) -> None:
    one, two = device.verifier("com.edgeml.Inference"), device.verifier("com.edgeml.AlertDispatcher")
    message = signed(one)
    assert message != b"m"
    assert (accepted(two, TOPIC, message), accepted(two, TOPIC, message)) == (b"m", None)
    assert two.refused == {module.REPLAYED: 1}
    assert accepted(two, TOPIC, signed(one)) == b"m"


def test_message_age_is_that_of_its_signature(device: Device) -> None:
    one, two = device.verifier("com.edgeml.Inference"), device.verifier("com.edgeml.AlertDispatcher")
    message = signed(one)
    device.now += 28 * SECOND
    assert two.verify(TOPIC, message) == (b"m", 28.0)
    device.now -= SECOND // 2
    ahead = signed(one)
    device.now -= SECOND // 2
    assert two.verify(TOPIC, ahead) == (b"m", 0.0), "no message is from the future"
    assert two.verify(topics.STATUS, b"m") == (b"m", 0.0)


def test_numbers_increase_while_the_clock_does_not(device: Device) -> None:
    one, two = device.verifier("a"), device.verifier("b")
    (device.root / "work" / "b" / NAME).write_bytes((device.root / "work" / "a" / NAME).read_bytes())
    two.configure(MessageAuthOptions())
    assert [accepted(two, TOPIC, signed(one, bytes([n]))) for n in range(5)] == [bytes([n]) for n in range(5)]


def test_unsigned_topics_pass_messages_unchanged(device: Device) -> None:
    one = device.verifier("a")
    for topic in (topics.STATUS, topics.heartbeat("a"), "some/other"):
        assert one.sign(topic, b"m") == b"m" == accepted(one, topic, b"m")


@pytest.fixture
def two(device: Device) -> tuple[MessageVerifier, MessageVerifier]:
    """A sender and a receiver with the same key."""
    return device.verifier("com.edgeml.Inference"), device.verifier("com.edgeml.AlertDispatcher")


def test_unsigned_and_malformed_messages_are_refused(two: tuple[MessageVerifier, MessageVerifier]) -> None:
    assert accepted(two[1], TOPIC, b"m") is None and accepted(two[1], TOPIC, b"edgeml1 nonsense\nm") is None
    assert two[1].refused == {module.UNSIGNED: 1, module.MALFORMED: 1}


def test_message_with_another_key_topic_or_content_is_refused_as_forged(
    two: tuple[MessageVerifier, MessageVerifier], tmp_path: Path
) -> None:
    stranger = Device(tmp_path / "elsewhere").verifier("com.edgeml.Inference")
    forged = [signed(stranger), signed(two[0], topic=topics.COMMANDS_ACK), signed(two[0]) + b" "]
    assert [accepted(two[1], TOPIC, message) for message in forged] == [None] * 3
    assert two[1].refused == {module.FORGED: 3}


def test_recorded_message_is_refused_after_restart_of_receiver(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    recorded = signed(two[0])
    assert accepted(two[1], TOPIC, recorded) == b"m"
    device.now += SECOND
    again = device.verifier("com.edgeml.AlertDispatcher")
    assert accepted(again, TOPIC, recorded) is None and again.refused == {module.OLD: 1}
    device.now += SECOND
    assert accepted(again, TOPIC, signed(two[0])) == b"m"


def test_recorded_message_is_refused_after_restart_of_sender(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    recorded = signed(two[0])
    assert accepted(two[1], TOPIC, recorded) == b"m"
    device.now += SECOND
    again = device.verifier("com.edgeml.Inference")
    assert accepted(two[1], TOPIC, recorded) is None
    assert accepted(two[1], TOPIC, signed(again)) == b"m"


def test_recorded_message_is_refused_after_reboot_at_any_clock(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    recorded = signed(two[0])
    device.boot, device.now = "b2", STARTED - 1_000
    after = device.verifier("com.edgeml.AlertDispatcher")
    device.now = STARTED + 10
    assert accepted(after, TOPIC, recorded) is None and after.refused == {module.FORGED: 1}


def test_delayed_message_is_refused_when_too_old(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    held, later = signed(two[0]), signed(two[0])
    device.now += int((module.MAX_AGE_S - 1) * SECOND)
    assert accepted(two[1], TOPIC, held) == b"m"
    device.now += SECOND + 1
    assert accepted(two[1], TOPIC, later) is None and two[1].refused == {module.OLD: 1}


def test_number_ahead_of_the_clock_is_refused(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    device.now += 2 * SECOND
    early = signed(two[0])
    device.now -= 2 * SECOND
    assert accepted(two[1], TOPIC, early) is None and two[1].refused == {module.AHEAD: 1}


def test_senders_are_forgotten_when_their_messages_are_too_old(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SENDERS", 3)
    receiver = device.verifier("com.edgeml.AlertDispatcher")
    others = [device.verifier(f"s{n}") for n in range(4)]
    recorded = signed(others[0])
    assert accepted(receiver, TOPIC, recorded) == b"m"
    assert [accepted(receiver, TOPIC, signed(other)) for other in others[1:]] == [b"m", b"m", None]
    device.now += int(module.MAX_AGE_S * SECOND)
    assert accepted(receiver, TOPIC, signed(others[3])) == b"m"
    assert accepted(receiver, TOPIC, recorded) is None
    assert len(receiver._last_numbers) == 1


def test_optional_authentication_accepts_unsigned_messages_but_no_invalid_signature(
    two: tuple[MessageVerifier, MessageVerifier], tmp_path: Path
) -> None:
    lenient = two[1]
    lenient.configure(MessageAuthOptions(required=False))
    stranger = Device(tmp_path / "elsewhere").verifier("com.edgeml.Inference")
    message = signed(two[0])
    assert accepted(lenient, TOPIC, b"m") == accepted(lenient, TOPIC, message) == b"m"
    assert accepted(lenient, TOPIC, message) is None and accepted(lenient, TOPIC, signed(stranger)) is None
    assert lenient.sign(TOPIC, b"m") != b"m"


def test_missing_key_blocks_sending_and_receiving_until_it_exists(device: Device, tmp_path: Path) -> None:
    sender = device.verifier("com.edgeml.Inference")
    file = tmp_path / "key"
    keyless = device.verifier("com.edgeml.AlertDispatcher", key_file=str(file))
    assert keyless.sign(TOPIC, b"m") is None and accepted(keyless, TOPIC, signed(sender)) is None
    assert keyless.refused == {module.NO_KEY: 1}
    assert any(f"{file}: the device key cannot be read (No such file or directory)" in fault for fault in keyless.faults(0.0))
    assert keyless.sign(topics.STATUS, b"m") == b"m"
    file.write_bytes((device.root / "work" / "com.edgeml.Inference" / NAME).read_bytes())
    file.chmod(0o644)
    keyless.tick(100.0)
    assert f"chmod 600 {file}" in keyless.fault
    file.chmod(0o600)
    keyless.tick(100.0 + module.KEY_CHECK_S)
    assert keyless.fault == "" and accepted(keyless, TOPIC, signed(sender)) == b"m"


def test_optional_authentication_without_a_key_accepts_everything(device: Device) -> None:
    sender = device.verifier("com.edgeml.Inference")
    lenient = device.verifier("com.edgeml.AlertDispatcher", key_file="/nowhere", required=False)
    assert lenient.sign(TOPIC, b"m") == b"m" == accepted(lenient, TOPIC, b"m") == accepted(lenient, TOPIC, signed(sender))


def test_new_key_is_read_soon_after_the_first_message_with_it(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    one, other = two
    other.tick(100.0)
    path = device.root / "work" / "com.edgeml.AlertDispatcher" / NAME
    path.write_text("f" * 64)
    path.chmod(0o600)
    one.tick(200.0)
    assert accepted(other, TOPIC, signed(one)) is None  # it still has the old key
    other.tick(100.0 + module.QUICK_KEY_CHECK_S)
    assert accepted(other, TOPIC, signed(one)) == b"m"


def test_refused_messages_are_reported_with_throttling(two: tuple[MessageVerifier, MessageVerifier]) -> None:
    verifier = two[1]
    assert verifier.faults(0.0) == () and list(verifier.log_lines()) == []
    for _ in range(3):
        accepted(verifier, TOPIC, b"m")
    accepted(verifier, topics.RESULTS, b"edgeml1")
    ((sentence, kind), (other, _)) = verifier.log_lines()
    assert sentence.startswith(f"{TOPIC}: refused a message: it has no signature; ") and kind == f"{TOPIC} unsigned"
    assert other.startswith(f"{topics.RESULTS}: refused a message: it has a malformed signature line")
    assert list(verifier.log_lines()) == []
    report = ("4 messages were refused: 3 unsigned, 1 malformed; the latest on edgeml/results",)
    assert verifier.faults(1.0) == report
    accepted(verifier, TOPIC, b"m")
    assert verifier.faults(1.0 + module.COUNT_S - 1) == report
    later = ("5 messages were refused: 4 unsigned, 1 malformed; the latest on edgeml/commands",)
    assert verifier.faults(1.0 + module.COUNT_S) == later == verifier.faults(1.0 + module.COUNT_S + module.REPORT_S - 1)
    assert verifier.faults(1.0 + module.COUNT_S + module.REPORT_S) == ()
