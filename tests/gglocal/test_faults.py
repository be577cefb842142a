"""Faults on demand: what a component with the real SDK sees of each."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import QOS, ServiceError, UnauthorizedError

from gglocal.api.nucleus import Nucleus
from gglocal.errors import NucleusError
from gglocal.faults import FAULTS
from gglocal.faults.base import usage
from gglocal.process.component import RUNNING
from gglocal.process.preload import compiler
from tests.gglocal.ipc_world import EVERYTHING, Inbox, binary
from tests.gglocal.recipes import Shelf
from tests.patience import PATIENCE_S

NAME = "com.test.One"


@pytest.fixture
def client(gglocal: Nucleus) -> Iterator[Callable[[], GreengrassCoreIPCClientV2]]:
    """Connects as a component that the test starts itself."""
    made: list[GreengrassCoreIPCClientV2] = []

    def make(name: str = NAME) -> GreengrassCoreIPCClientV2:
        env = gglocal.client_env(name, EVERYTHING)
        socket = env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
        made.append(GreengrassCoreIPCClientV2(client=connect(ipc_socket=socket, authtoken=env["SVCUID"])))
        return made[-1]

    yield make
    for each in made:
        each.close().exception(PATIENCE_S)


def until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def stopped(pid: int) -> bool:
    """Whether the kernel has stopped this process: state T, or D where it waits in vfork for a child that is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TD"


def test_subscriptions_die_without_a_word_when_the_broker_restarts(gglocal, client):
    one, inbox = client(), Inbox()
    one.subscribe_to_topic(topic="a", on_stream_event=inbox)
    one.publish_to_topic(topic="a", publish_message=binary(b"before"))
    assert inbox.payload() == b"before"
    gglocal.fault("pubsub-restart", down_s=0)
    one.publish_to_topic(topic="a", publish_message=binary(b"lost"))
    again = Inbox()
    one.subscribe_to_topic(topic="a", on_stream_event=again)
    one.publish_to_topic(topic="a", publish_message=binary(b"after"))
    assert again.payload() == b"after"
    assert inbox.empty()


def test_an_old_svcuid_is_refused_after_the_ipc_broker_has_restarted(gglocal, client):
    one, env = client(), gglocal.client_env("com.test.Two", EVERYTHING)
    socket = env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
    gglocal.fault("ipc-restart", down_s=0)
    with pytest.raises(Exception):  # noqa: B017 - awscrt has many kinds of them
        one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    with pytest.raises(Exception):  # noqa: B017
        connect(ipc_socket=socket, authtoken=env["SVCUID"], timeout=2)
    fresh = client("com.test.Two")
    fresh.publish_to_topic(topic="a", publish_message=binary(b"x"))


def test_a_component_that_exits_after_the_ipc_broker_restarted_comes_back_with_a_new_svcuid(gglocal, tmp_path):
    shelf = Shelf(tmp_path)
    # It ends badly when its first token is refused, as a component must; `first` tells which start this is.
    shelf.add("a", {"run": "echo token $SVCUID; if [ -e first ]; then sleep 1000; fi; touch first; read x < ../../go; exit 1"})
    go = gglocal.root.path / "go"
    subprocess.run(["mkfifo", go], check=True)
    gglocal.deploy(shelf.recipes, shelf.artifacts, {"a": "1.0.0"})
    gglocal.wait_for_state("a", "RUNNING")
    until(lambda: "token" in gglocal.tail("a"), "no token was printed")
    gglocal.fault("ipc-restart")
    go.write_text("go\n")
    gglocal.wait_until(lambda: gglocal.component("a").starts == 2)
    until(lambda: len(re.findall(r"stdout: token (\w+)", gglocal.tail("a"))) == 2, "no second token was printed")
    first, second = re.findall(r"stdout: token (\w+)", gglocal.tail("a"))
    assert first != second


def test_while_the_configuration_store_restarts_nothing_is_authorized_and_its_subscriptions_die(gglocal, client):
    one, changes = client(), Inbox()
    one.subscribe_to_configuration_update(component_name=NAME, key_path=[], on_stream_event=changes)
    with gglocal.fault("config-restart", for_s=0):
        with pytest.raises(UnauthorizedError):
            one.publish_to_topic(topic="a", publish_message=binary(b"x"))
        with pytest.raises(ServiceError):
            one.get_configuration()
    one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    fresh = Inbox()
    one.subscribe_to_configuration_update(component_name=NAME, key_path=[], on_stream_event=fresh)
    one.update_configuration(key_path=[], value_to_merge={"x": "1"}, timestamp=_now())
    assert fresh.take().configuration_update_event.key_path == ["x"]
    assert changes.empty()


def test_calls_are_refused_for_a_while(gglocal, client):
    one = client()
    gglocal.fault("refuse", operation="PublishToTopic", topic="a", error="UnauthorizedError", for_s=0.5)
    with pytest.raises(UnauthorizedError):
        one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    one.publish_to_topic(topic="b", publish_message=binary(b"x"))
    assert [each.name for each in gglocal.faults()] == ["refuse"]
    until(lambda: not gglocal.faults(), "the fault did not end by itself")
    one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    assert gglocal.refusals == []  # those are of accessControl alone


def test_an_answer_is_delayed_and_what_was_asked_is_not(gglocal, client):
    one, heard = client(), gglocal.listen("a")
    with gglocal.fault("delay-answers", by_s=2.0):
        begun = time.monotonic()
        answer = one.publish_to_topic_async(topic="a", publish_message=binary(b"x"))
        assert heard.get(PATIENCE_S).payload == b"x"
        assert not answer.done()
        answer.result(PATIENCE_S)
        assert time.monotonic() - begun >= 2.0
    begun = time.monotonic()
    one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    assert time.monotonic() - begun < 2.0


def test_deliveries_are_late_and_keep_their_order(gglocal, client):
    one, inbox = client(), Inbox()
    one.subscribe_to_topic(topic="a", on_stream_event=inbox)
    begun = time.monotonic()
    with gglocal.fault("delay-deliveries", by_s=0.5, component=NAME):
        one.publish_to_topic(topic="a", publish_message=binary(b"1"))
    one.publish_to_topic(topic="a", publish_message=binary(b"2"))
    assert [inbox.payload(), inbox.payload()] == [b"1", b"2"]
    assert time.monotonic() - begun >= 0.5
    one.publish_to_topic(topic="a", publish_message=binary(b"3"))
    assert inbox.payload() == b"3"


def test_iot_core_is_cut_off_and_back(gglocal, client):
    one, inbox = client(), Inbox()
    one.subscribe_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, on_stream_event=inbox)
    with gglocal.fault("iot-cut"):
        with pytest.raises(ServiceError):
            one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"x")
        with pytest.raises(ServiceError):
            one.subscribe_to_iot_core(topic_name="u", qos=QOS.AT_LEAST_ONCE, on_stream_event=Inbox())
    one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"y")
    assert inbox.take().message.payload == b"y"


def test_iot_core_takes_messages_and_loses_them(gglocal, client):
    one, inbox = client(), Inbox()
    one.subscribe_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, on_stream_event=inbox)
    with gglocal.fault("iot-lose"):
        one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"lost")
    one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"kept")
    assert inbox.take().message.payload == b"kept"
    assert '"lost"' not in gglocal.root.iot_record.read_text()


def test_a_component_is_killed_and_another_stands_still(gglocal, tmp_path):
    shelf = Shelf(tmp_path)
    shelf.add("a", {"run": "while true; do date +%s%N > beat; sleep 0.05; done"})
    gglocal.deploy(shelf.recipes, shelf.artifacts, {"a": "1.0.0"})
    beat = gglocal.work_dir("a") / "beat"
    # It writes before the nucleus has taken note of its process, and a signal needs that.
    gglocal.wait_for_state("a", RUNNING, timeout=PATIENCE_S)
    until(beat.exists, "it does not run")
    with gglocal.fault("pause", component="a"):
        until(lambda: stopped(gglocal.component("a").pid), "it does not stand still")
        before = beat.read_text()
        time.sleep(0.2)  # four beats of one that runs
        assert beat.read_text() == before
    until(lambda: beat.read_text() not in ("", before), "it does not go on")
    gglocal.fault("kill", component="a")
    gglocal.wait_until(lambda: gglocal.component("a").starts == 2)
    assert gglocal.component("a").exit_code == -signal.SIGKILL
    with pytest.raises(NucleusError, match="component b is not deployed"):
        gglocal.fault("kill", component="b")


PROGRAM = """
import os, sys, time
def told(what):
    print(what, flush=True)
told("up")
while True:
    try:
        with open("kept", "a") as file:
            file.write("x")
            file.flush()
            os.fsync(file.fileno())
        with open(os.environ["ELSEWHERE"], "w") as file:
            file.write("x")
        told(f"written {time.time() - time.monotonic():.0f}")
    except OSError as fault:
        told(f"failed {fault.errno} {os.path.exists('new')}")
    try:
        with open("new", "w"):
            os.unlink("new")
    except OSError as fault:
        told(f"not made {fault.errno}")
    time.sleep(0.05)
"""


@pytest.mark.skipif(compiler() is None, reason="faults in processes need a C compiler, and there is no cc")
def test_a_disk_is_full_and_a_clock_is_set_in_a_components_processes(gglocal_factory, tmp_path):
    nucleus, shelf = gglocal_factory(shim=True), Shelf(tmp_path)
    run = f"ELSEWHERE={tmp_path}/elsewhere exec {sys.executable} -u {{artifacts:path}}/a.py"
    shelf.add("a", {"run": run}, files={"a.py": PROGRAM})
    nucleus.deploy(shelf.recipes, shelf.artifacts, {"a": "1.0.0"})
    said = lambda: nucleus.tail("a", 8)  # noqa: E731
    until(lambda: "written" in said(), "it does not run")
    with nucleus.fault("disk-full", component="a"):
        until(lambda: "failed 28" in said() and "not made 28" in said(), "the disk is not full")
        until(lambda: "written" not in said(), "something was written")
    until(lambda: "failed" not in said(), "the disk stays full")
    apart = int(re.findall(r"written (\d+)", said())[-1])
    with nucleus.fault("clock-step", component="a", by_s=-1800.5):
        until(lambda: abs(int(re.findall(r"written (\d+)", said())[-1]) - apart + 1800) <= 1, "the clock was not set back")
    until(lambda: abs(int(re.findall(r"written (\d+)", said())[-1]) - apart) <= 1, "the clock was not set on again")
    with pytest.raises(NucleusError, match="component b is not deployed"):
        nucleus.fault("disk-full", component="b")


def test_without_the_shim_its_faults_say_what_is_needed(gglocal):
    with pytest.raises(NucleusError, match="gglocal run --shim"):
        gglocal.fault("disk-full", component="a")


def test_without_a_compiler_the_shim_says_what_is_needed(gglocal_factory, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NucleusError, match="no C compiler found, which faults in processes need; install one"):
        gglocal_factory(shim=True)


def test_wrong_faults_are_refused_in_a_sentence(gglocal):
    for name, options, sentence in (
        ("flood", {}, "unknown fault 'flood'; known faults: ipc-restart, "),
        ("pause", {}, "fault pause requires component; write component=…"),
        ("pause", {"component": "a", "at": 1}, "fault pause has no option 'at'; its options: for_s, component"),
        ("refuse", {"for_s": "soon"}, "option for_s of fault refuse is 'soon'; write a number"),
        ("refuse", {"for_s": "nan"}, "option for_s of fault refuse is 'nan'; write a number"),
        ("kill", {"component": "a", "signal": "1.5"}, "option signal of fault kill is '1.5'; write a whole number"),
        ("refuse", {"error": "Oops"}, "option error of fault refuse is 'Oops'; choose one of ServiceError, UnauthorizedError"),
    ):
        with pytest.raises(NucleusError) as told:
            gglocal.fault(name, **options)
        assert str(told.value).startswith(sentence)
    assert gglocal.faults() == []


def test_the_command_line_begins_lists_and_ends_faults(gglocal):
    def call(*words: str) -> str:
        command = [sys.executable, "-m", "gglocal.cli.main", "fault", *words, "--root", str(gglocal.root.path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    assert call() == "no active faults\n"
    assert call("refuse", "topic=a", "for_s=100") == "1 refuse topic=a for_s=100: returns an error from calls\n"
    assert call() == "1 refuse topic=a for_s=100\n"
    assert [each.name for each in gglocal.faults()] == ["refuse"]
    assert call("--end", "1") == ""
    assert gglocal.faults() == []
    assert call("pubsub-restart").startswith("2 pubsub-restart: drops local subscriptions")


def test_the_readme_has_every_fault_with_its_options():
    readme = (Path(__file__).parents[2] / "libs/gglocal/README.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| `([^|]*)` \|", readme, re.MULTILINE))
    assert {name: rows.get(name) for name in FAULTS} == {name: usage(fault.options) for name, fault in FAULTS.items()}


def _now():
    from datetime import datetime

    return datetime.now()  # noqa: DTZ005
