"""Signed messages on the command line, and the permissions of a root folder."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gglocal import message_plugins
from gglocal.api.nucleus import Nucleus
from gglocal.cli.format import message_lines
from gglocal.cli.main import main
from gglocal.errors import NucleusError

TOPIC = "edgeml/alerts/ack"
ACK = '{"type":"acknowledge","alarm":"1"}'


def create_key(nucleus: Nucleus) -> Path:
    """Create a device key where a component would create it."""
    path = nucleus.work_dir("com.example.A") / "messages.key"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)
    path.write_text("f" * 64 + "\n")
    return path


def test_pub_signs_with_the_components_key_or_a_named_one(gglocal: Nucleus, tmp_path: Path) -> None:
    key, listener, root = create_key(gglocal), gglocal.listen(TOPIC), str(gglocal.root.path)
    for options in (["--sign"], ["--key", str(key)], ["--sign", "--base64"]):
        payload = base64.b64encode(ACK.encode()).decode() if "--base64" in options else ACK
        assert main(["pub", *options, TOPIC, payload, "--root", root]) == 0
        signed = listener.get(10).payload
        assert signed.startswith(b"edgeml1 gglocal:") and message_plugins.body(signed) == ACK.encode()
    gglocal.publish(TOPIC, b"x", signed=True)
    assert message_plugins.body(listener.get(10).payload) == b"x"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--sign"], "no component has created messages.key"),
        (["--key", "/nowhere/key"], "/nowhere/key: "),
        (["--key", "/nowhere/key", "--json"], "only a binary local message can be signed"),
        (["--key", "/nowhere/key", "--iot"], "only a binary local message can be signed"),
        (["--topic", "edgeml/commands"], "edgeml/commands, which carries command"),
        (["--topic", "edgeml/elsewhere"], "'edgeml/elsewhere' is not a topic of the suite; "),
        (["--payload", '{"type": "acknowledge"}'], "Object missing required field `alarm`"),
        (["--payload", "hello"], "the message was not signed and not published: "),
    ],
    ids=["no key", "no file", "json", "iot", "another topic", "no topic", "no alarm", "no message"],
)
def test_pub_reports_why_it_cannot_sign(gglocal: Nucleus, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    topic, payload, listener = TOPIC, ACK, gglocal.listen("#")
    if arguments[0] in ("--topic", "--payload"):
        create_key(gglocal)
        topic, payload = (arguments[1], ACK) if arguments[0] == "--topic" else (TOPIC, arguments[1])
        arguments = ["--sign"]
    assert main(["pub", *arguments, topic, payload, "--root", str(gglocal.root.path)]) == 2
    assert sentence in capsys.readouterr().err
    gglocal.publish("end", b"")
    assert listener.get(10).topic == "end"  # nothing was published before it


def test_publish_without_a_key_is_an_error(gglocal: Nucleus) -> None:
    with pytest.raises(NucleusError, match="no component has created"):
        gglocal.publish(TOPIC, b"x", signed=True)


def test_publish_without_a_message_plugin_is_an_error(gglocal: Nucleus, monkeypatch: pytest.MonkeyPatch) -> None:
    create_key(gglocal)
    monkeypatch.setattr(message_plugins, "plugins", tuple)
    with pytest.raises(NucleusError, match=r"no installed package signs messages; .* group gglocal\.messages"):
        gglocal.publish(TOPIC, b"x", signed=True)
    assert message_plugins.rejection(TOPIC, b"x") == "" and message_plugins.body(b"edgeml1 x") == b"edgeml1 x"


def test_sub_shows_a_signed_message_without_its_signature() -> None:
    signed = f"edgeml1 com.edgeml.Inference 12 {'0' * 32}\n".encode() + b'{"a":1}'
    answer = {"topic": "t", "payload": base64.b64encode(signed).decode(), "sender": None, "at": 1.0}
    assert message_lines(answer, False, False) == ['t {"a": 1}']
    assert f'"payload": "{answer["payload"]}"' in message_lines(answer, True, False)[0]
    assert message_plugins.body(b"edgeml1 is not a signature\n{}") == b"edgeml1 is not a signature\n{}"


def test_root_and_its_sockets_are_accessible_to_their_user_alone(gglocal_factory: Callable[..., Nucleus], tmp_path: Path) -> None:
    nucleus = gglocal_factory(root=tmp_path / "new" / "root")
    root = nucleus.root.path
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for name in ("gg-ipc.socket", "control.socket"):
        assert stat.S_IMODE(nucleus.root.socket(name).stat().st_mode) == 0o600
