"""Sealed messages on the command line, and what of a root is closed to other users."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gglocal.api.nucleus import Nucleus
from gglocal.cli.format import heard_lines
from gglocal.cli.main import main
from gglocal.cli.signed_messages import bare
from gglocal.errors import NucleusError

TOPIC = "edgeml/alerts/ack"
ACK = '{"type":"acknowledge","alarm":"1"}'


def keyed(nucleus: Nucleus) -> Path:
    """A key where a component would have made it."""
    path = nucleus.work_dir("com.example.A") / "messages.key"
    path.parent.mkdir(parents=True)
    path.write_text("f" * 64 + "\n")
    return path


def test_pub_seals_with_the_components_key_or_a_named_one(gglocal: Nucleus, tmp_path: Path) -> None:
    key, heard, root = keyed(gglocal), gglocal.listen(TOPIC), str(gglocal.root.path)
    for how in (["--seal"], ["--key", str(key)], ["--seal", "--base64"]):
        payload = base64.b64encode(ACK.encode()).decode() if "--base64" in how else ACK
        assert main(["pub", *how, TOPIC, payload, "--root", root]) == 0
        sealed = heard.get(10).payload
        assert sealed.startswith(b"edgeml1 gglocal:") and bare(sealed) == ACK.encode()
    gglocal.publish(TOPIC, b"x", sealed=True)
    assert bare(heard.get(10).payload) == b"x"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--seal"], "no component has made a messages.key there"),
        (["--key", "/nowhere/key"], "/nowhere/key: cannot be read"),
        (["--key", "/nowhere/key", "--json"], "only a binary local message can be sealed"),
        (["--key", "/nowhere/key", "--iot"], "only a binary local message can be sealed"),
        (["--topic", "edgeml/commands"], "does not belong on edgeml/commands, which carries command"),
        (["--topic", "edgeml/elsewhere"], "'edgeml/elsewhere' is not a topic of the suite; those are edgeml/sensors, "),
        (["--payload", '{"type": "acknowledge"}'], "malformed acknowledge message: Object missing required field `alarm`"),
        (["--payload", "hello"], "not a message of this suite"),
    ],
    ids=["no key", "no file", "json", "iot", "another topic", "no topic", "no alarm", "no message"],
)
def test_what_cannot_be_sealed_is_a_sentence(
    gglocal: Nucleus, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    topic, payload, heard = TOPIC, ACK, gglocal.listen("#")
    if arguments[0] in ("--topic", "--payload"):
        keyed(gglocal)
        topic, payload = (arguments[1], ACK) if arguments[0] == "--topic" else (TOPIC, arguments[1])
        arguments = ["--seal"]
    assert main(["pub", *arguments, topic, payload, "--root", str(gglocal.root.path)]) == 2
    assert sentence in capsys.readouterr().err
    gglocal.publish("end", b"")
    assert heard.get(10).topic == "end"  # nothing came before it


def test_without_a_key_a_program_cannot_seal(gglocal: Nucleus) -> None:
    with pytest.raises(NucleusError, match="no component has made"):
        gglocal.publish(TOPIC, b"x", sealed=True)


def test_a_sealed_message_is_shown_as_the_message_that_it_is() -> None:
    sealed = f"edgeml1 com.edgeml.Inference 12 {'0' * 32}\n".encode() + b'{"a":1}'
    answer = {"topic": "t", "payload": base64.b64encode(sealed).decode(), "sender": None, "at": 1.0}
    assert heard_lines(answer, False, False) == ['t {"a": 1}']
    assert f'"payload": "{answer["payload"]}"' in heard_lines(answer, True, False)[0]
    assert bare(b"edgeml1 is no seal\n{}") == b"edgeml1 is no seal\n{}"


def test_a_root_and_its_sockets_are_for_its_user_alone(gglocal_factory: Callable[..., Nucleus], tmp_path: Path) -> None:
    nucleus = gglocal_factory(root=tmp_path / "new" / "root")
    place = nucleus.root.path
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    for name in ("gg-ipc.socket", "control.socket"):
        assert stat.S_IMODE(nucleus.root.socket(name).stat().st_mode) == 0o600
