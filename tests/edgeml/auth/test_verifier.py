"""What a guard believes: the key, the number, the clock, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml.auth import verifier as g
from edgeml.auth.device_key import NAME, MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.messages import topics
from edgeml.timestamps import SECOND

TOPIC = topics.COMMANDS
BEGUN = 5_000 * SECOND


class Device:
    """The clock that all guards of one device read."""

    def __init__(self, root: Path, boot: str = "b1") -> None:
        self.root, self.boot, self.now = root, boot, BEGUN

    def guard(self, name: str, **options: object) -> MessageVerifier:
        work = self.root / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        made = MessageVerifier(name, work, lambda: self.now, self.boot)
        made.configure(MessageAuthOptions(**options))  # type: ignore[arg-type]
        self.now += 1
        return made


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def sealed(guard: MessageVerifier, payload: bytes = b"m", topic: str = TOPIC) -> bytes:
    message = guard.seal(topic, payload)
    assert message is not None
    return message


def test_what_one_component_says_another_believes_once(device: Device) -> None:
    one, two = device.guard("com.edgeml.Inference"), device.guard("com.edgeml.AlertDispatcher")
    message = sealed(one)
    assert message != b"m"
    assert (two.open(TOPIC, message), two.open(TOPIC, message)) == (b"m", None)
    assert two.refused == {g.REPLAYED: 1}
    assert two.open(TOPIC, sealed(one)) == b"m"


def test_a_message_is_as_old_as_its_seal(device: Device) -> None:
    one, two = device.guard("com.edgeml.Inference"), device.guard("com.edgeml.AlertDispatcher")
    message = sealed(one)
    device.now += 28 * SECOND
    assert two.open_aged(TOPIC, message) == (b"m", 28.0)
    device.now -= SECOND // 2
    ahead = sealed(one)
    device.now -= SECOND // 2
    assert two.open_aged(TOPIC, ahead) == (b"m", 0.0), "none is from the future"
    assert two.open_aged(topics.STATUS, b"m") == (b"m", 0.0)


def test_numbers_grow_although_the_clock_stands(device: Device) -> None:
    one, two = device.guard("a"), device.guard("b")
    (device.root / "work" / "b" / NAME).write_bytes((device.root / "work" / "a" / NAME).read_bytes())
    two.configure(MessageAuthOptions())
    assert [two.open(TOPIC, sealed(one, bytes([n]))) for n in range(5)] == [bytes([n]) for n in range(5)]


def test_only_topics_with_seals_have_them(device: Device) -> None:
    one = device.guard("a")
    for topic in (topics.STATUS, topics.heartbeat("a"), "some/other"):
        assert one.seal(topic, b"m") == b"m" == one.open(topic, b"m")


@pytest.fixture
def two(device: Device) -> tuple[MessageVerifier, MessageVerifier]:
    """A sender and a receiver with the same key."""
    return device.guard("com.edgeml.Inference"), device.guard("com.edgeml.AlertDispatcher")


def test_unsealed_and_malformed_are_refused(two: tuple[MessageVerifier, MessageVerifier]) -> None:
    assert two[1].open(TOPIC, b"m") is None and two[1].open(TOPIC, b"edgeml1 nonsense\nm") is None
    assert two[1].refused == {g.UNSEALED: 1, g.MALFORMED: 1}


def test_another_key_another_topic_and_other_bytes_are_forgeries(two: tuple[MessageVerifier, MessageVerifier], tmp_path: Path) -> None:
    stranger = Device(tmp_path / "elsewhere").guard("com.edgeml.Inference")
    forged = [sealed(stranger), sealed(two[0], topic=topics.COMMANDS_ACK), sealed(two[0]) + b" "]
    assert [two[1].open(TOPIC, message) for message in forged] == [None] * 3
    assert two[1].refused == {g.FORGED: 3}


def test_a_recording_is_refused_after_a_restart_of_the_receiver(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    recording = sealed(two[0])
    assert two[1].open(TOPIC, recording) == b"m"
    device.now += SECOND
    again = device.guard("com.edgeml.AlertDispatcher")
    assert again.open(TOPIC, recording) is None and again.refused == {g.OLD: 1}
    device.now += SECOND
    assert again.open(TOPIC, sealed(two[0])) == b"m"


def test_a_recording_is_refused_after_a_restart_of_the_sender_that_goes_on_with_higher_numbers(
    device: Device, two: tuple[MessageVerifier, MessageVerifier]
) -> None:
    recording = sealed(two[0])
    assert two[1].open(TOPIC, recording) == b"m"
    device.now += SECOND
    again = device.guard("com.edgeml.Inference")
    assert two[1].open(TOPIC, recording) is None
    assert two[1].open(TOPIC, sealed(again)) == b"m"


def test_a_recording_from_before_a_reboot_is_refused_whatever_the_clock_says(
    device: Device, two: tuple[MessageVerifier, MessageVerifier]
) -> None:
    recording = sealed(two[0])
    device.boot, device.now = "b2", BEGUN - 1_000
    after = device.guard("com.edgeml.AlertDispatcher")
    device.now = BEGUN + 10
    assert after.open(TOPIC, recording) is None and after.refused == {g.FORGED: 1}


def test_what_was_held_back_is_refused_when_it_is_old(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    held, later = sealed(two[0]), sealed(two[0])
    device.now += int((g.FRESH_S - 1) * SECOND)
    assert two[1].open(TOPIC, held) == b"m"
    device.now += SECOND + 1
    assert two[1].open(TOPIC, later) is None and two[1].refused == {g.OLD: 1}


def test_a_number_ahead_of_the_clock_is_refused(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    device.now += 2 * SECOND
    early = sealed(two[0])
    device.now -= 2 * SECOND
    assert two[1].open(TOPIC, early) is None and two[1].refused == {g.AHEAD: 1}


def test_senders_are_forgotten_when_their_messages_are_too_old_to_be_believed(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(g, "SENDERS_KEPT", 3)
    home = device.guard("com.edgeml.AlertDispatcher")
    others = [device.guard(f"s{n}") for n in range(4)]
    recording = sealed(others[0])
    assert home.open(TOPIC, recording) == b"m"
    assert [home.open(TOPIC, sealed(other)) for other in others[1:]] == [b"m", b"m", None]
    device.now += int(g.FRESH_S * SECOND)
    assert home.open(TOPIC, sealed(others[3])) == b"m"
    assert home.open(TOPIC, recording) is None
    assert len(home._last) == 1


def test_not_required_it_takes_what_has_no_seal_but_a_seal_must_be_right(
    two: tuple[MessageVerifier, MessageVerifier], tmp_path: Path
) -> None:
    lenient = two[1]
    lenient.configure(MessageAuthOptions(required=False))
    stranger = Device(tmp_path / "elsewhere").guard("com.edgeml.Inference")
    message = sealed(two[0])
    assert lenient.open(TOPIC, b"m") == lenient.open(TOPIC, message) == b"m"
    assert lenient.open(TOPIC, message) is None and lenient.open(TOPIC, sealed(stranger)) is None
    assert lenient.seal(TOPIC, b"m") != b"m"


def test_without_a_key_nothing_is_sent_or_taken_until_there_is_one(device: Device, tmp_path: Path) -> None:
    sender = device.guard("com.edgeml.Inference")
    file = tmp_path / "key"
    mute = device.guard("com.edgeml.AlertDispatcher", key_file=str(file))
    assert mute.seal(TOPIC, b"m") is None and mute.open(TOPIC, sealed(sender)) is None
    assert mute.refused == {g.KEYLESS: 1}
    assert any(f"{file}: the core's key cannot be read (No such file or directory)" in fault for fault in mute.faults(0.0))
    assert mute.seal(topics.STATUS, b"m") == b"m"
    file.write_bytes((device.root / "work" / "com.edgeml.Inference" / NAME).read_bytes())
    file.chmod(0o644)
    mute.tick(100.0)
    assert f"chmod 600 {file}" in mute.fault
    file.chmod(0o600)
    mute.tick(100.0 + g.KEY_S)
    assert mute.fault == "" and mute.open(TOPIC, sealed(sender)) == b"m"


def test_without_a_key_and_not_required_everything_passes_unproved(device: Device) -> None:
    sender = device.guard("com.edgeml.Inference")
    loose = device.guard("com.edgeml.AlertDispatcher", key_file="/nowhere", required=False)
    assert loose.seal(TOPIC, b"m") == b"m" == loose.open(TOPIC, b"m") == loose.open(TOPIC, sealed(sender))


def test_a_new_key_is_taken_up_at_once_when_messages_of_it_come(device: Device, two: tuple[MessageVerifier, MessageVerifier]) -> None:
    one, other = two
    other.tick(100.0)
    path = device.root / "work" / "com.edgeml.AlertDispatcher" / NAME
    path.write_text("f" * 64)
    path.chmod(0o600)
    one.tick(200.0)
    assert other.open(TOPIC, sealed(one)) is None  # it does not know yet, and doubts
    other.tick(100.0 + g.DOUBT_S)
    assert other.open(TOPIC, sealed(one)) == b"m"


def test_what_is_refused_is_said_without_noise(two: tuple[MessageVerifier, MessageVerifier]) -> None:
    guard = two[1]
    assert guard.faults(0.0) == () and list(guard.news()) == []
    for _ in range(3):
        guard.open(TOPIC, b"m")
    guard.open(topics.RESULTS, b"edgeml1")
    ((sentence, kind), (other, _)) = guard.news()
    assert sentence.startswith(f"{TOPIC}: a message is refused: it has no seal; ") and kind == f"{TOPIC} unsealed"
    assert other.startswith(f"{topics.RESULTS}: a message is refused: it begins like a seal")
    assert list(guard.news()) == []
    said = ("4 messages were refused: 3 unsealed, 1 malformed; the latest on edgeml/results",)
    assert guard.faults(1.0) == said
    guard.open(TOPIC, b"m")
    assert guard.faults(1.0 + g.COUNT_S - 1) == said
    more = ("5 messages were refused: 4 unsealed, 1 malformed; the latest on edgeml/commands",)
    assert guard.faults(1.0 + g.COUNT_S) == more == guard.faults(1.0 + g.COUNT_S + g.SAID_S - 1)
    assert guard.faults(1.0 + g.COUNT_S + g.SAID_S) == ()
