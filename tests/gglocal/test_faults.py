"""Injected faults, observed by components with the real SDK."""

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
from tests.gglocal.recipes import RecipeFolder
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


def test_pubsub_restart_drops_subscriptions_without_notice(gglocal, client):
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


def test_ipc_restart_revokes_every_svcuid(gglocal, client):
    one, env = client(), gglocal.client_env("com.test.Two", EVERYTHING)
    socket = env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
    gglocal.fault("ipc-restart", down_s=0)
    with pytest.raises(Exception):  # noqa: B017 - awscrt has many kinds of them
        one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    with pytest.raises(Exception):  # noqa: B017
        connect(ipc_socket=socket, authtoken=env["SVCUID"], timeout=2)
    fresh = client("com.test.Two")
    fresh.publish_to_topic(topic="a", publish_message=binary(b"x"))


def test_component_gets_a_new_svcuid_after_an_ipc_restart(gglocal, tmp_path):
    folder = RecipeFolder(tmp_path)
    # The component fails when its first token is refused; the file `first` marks the first start.
    folder.add("a", {"run": "echo token $SVCUID; if [ -e first ]; then sleep 1000; fi; touch first; read x < ../../go; exit 1"})
    go = gglocal.root.path / "go"
    subprocess.run(["mkfifo", go], check=True)
    gglocal.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    gglocal.wait_for_state("a", "RUNNING")
    until(lambda: "token" in gglocal.tail("a"), "no token was printed")
    gglocal.fault("ipc-restart")
    go.write_text("go\n")
    gglocal.wait_until(lambda: gglocal.component("a").starts == 2)
    until(lambda: len(re.findall(r"stdout: token (\w+)", gglocal.tail("a"))) == 2, "no second token was printed")
    first, second = re.findall(r"stdout: token (\w+)", gglocal.tail("a"))
    assert first != second


def test_config_restart_denies_authorization_and_drops_subscriptions(gglocal, client):
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


def test_refuse_returns_errors_for_a_while(gglocal, client):
    one = client()
    gglocal.fault("refuse", operation="PublishToTopic", topic="a", error="UnauthorizedError", for_s=0.5)
    with pytest.raises(UnauthorizedError):
        one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    one.publish_to_topic(topic="b", publish_message=binary(b"x"))
    assert [each.name for each in gglocal.faults()] == ["refuse"]
    until(lambda: not gglocal.faults(), "the fault did not end by itself")
    one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    assert gglocal.refusals == []  # those are of accessControl alone


def test_delay_answers_delays_the_response_only(gglocal, client):
    one, received = client(), gglocal.listen("a")
    with gglocal.fault("delay-answers", by_s=2.0):
        begun = time.monotonic()
        answer = one.publish_to_topic_async(topic="a", publish_message=binary(b"x"))
        assert received.get(PATIENCE_S).payload == b"x"
        assert not answer.done()
        answer.result(PATIENCE_S)
        assert time.monotonic() - begun >= 2.0
    begun = time.monotonic()
    one.publish_to_topic(topic="a", publish_message=binary(b"x"))
    assert time.monotonic() - begun < 2.0


def test_delay_deliveries_keeps_order(gglocal, client):
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


def test_iot_cut_disconnects_and_reconnects(gglocal, client):
    one, inbox = client(), Inbox()
    one.subscribe_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, on_stream_event=inbox)
    with gglocal.fault("iot-cut"):
        with pytest.raises(ServiceError):
            one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"x")
        with pytest.raises(ServiceError):
            one.subscribe_to_iot_core(topic_name="u", qos=QOS.AT_LEAST_ONCE, on_stream_event=Inbox())
    one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"y")
    assert inbox.take().message.payload == b"y"


def test_iot_lose_acknowledges_and_loses_messages(gglocal, client):
    one, inbox = client(), Inbox()
    one.subscribe_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, on_stream_event=inbox)
    with gglocal.fault("iot-lose"):
        one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"lost")
    one.publish_to_iot_core(topic_name="t", qos=QOS.AT_LEAST_ONCE, payload=b"kept")
    assert inbox.take().message.payload == b"kept"
    assert '"lost"' not in gglocal.root.iot_record.read_text()


def test_kill_and_pause_signal_a_component(gglocal, tmp_path):
    folder = RecipeFolder(tmp_path)
    folder.add("a", {"run": "while true; do date +%s%N > beat; sleep 0.05; done"})
    gglocal.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    beat = gglocal.work_dir("a") / "beat"
    # The component may write before the nucleus has registered its process, which a signal needs.
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
def test_disk_full_and_clock_step_act_in_a_components_processes(gglocal_factory, tmp_path):
    nucleus, folder = gglocal_factory(shim=True), RecipeFolder(tmp_path)
    run = f"ELSEWHERE={tmp_path}/elsewhere exec {sys.executable} -u {{artifacts:path}}/a.py"
    folder.add("a", {"run": run}, files={"a.py": PROGRAM})
    nucleus.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    output = lambda: nucleus.tail("a", 8)  # noqa: E731
    until(lambda: "written" in output(), "it does not run")
    with nucleus.fault("disk-full", component="a"):
        until(lambda: "failed 28" in output() and "not made 28" in output(), "the disk is not full")
        until(lambda: "written" not in output(), "something was written")
    until(lambda: "failed" not in output(), "the disk stays full")
    apart = int(re.findall(r"written (\d+)", output())[-1])
    with nucleus.fault("clock-step", component="a", by_s=-1800.5):
        until(lambda: abs(int(re.findall(r"written (\d+)", output())[-1]) - apart + 1800) <= 1, "the clock was not set back")
    until(lambda: abs(int(re.findall(r"written (\d+)", output())[-1]) - apart) <= 1, "the clock was not set on again")
    with pytest.raises(NucleusError, match="component b is not deployed"):
        nucleus.fault("disk-full", component="b")


def test_faults_in_processes_need_the_preload_library(gglocal):
    with pytest.raises(NucleusError, match="gglocal run --shim"):
        gglocal.fault("disk-full", component="a")


def test_preload_library_needs_a_compiler(gglocal_factory, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NucleusError, match="no C compiler found, which faults in processes need; install one"):
        gglocal_factory(shim=True)


def test_invalid_faults_are_rejected(gglocal):
    for name, options, sentence in (
        ("flood", {}, "unknown fault 'flood'; known faults: ipc-restart, "),
        ("pause", {}, "fault pause requires component; write component=…"),
        ("pause", {"component": "a", "at": 1}, "fault pause has no option 'at'; its options: for_s, component"),
        ("refuse", {"for_s": "soon"}, "option for_s of fault refuse is 'soon'; write a number"),
        ("refuse", {"for_s": "nan"}, "option for_s of fault refuse is 'nan'; write a number"),
        ("kill", {"component": "a", "signal": "1.5"}, "option signal of fault kill is '1.5'; write a whole number"),
        ("refuse", {"error": "Oops"}, "option error of fault refuse is 'Oops'; choose one of ServiceError, UnauthorizedError"),
    ):
        with pytest.raises(NucleusError) as reported:
            gglocal.fault(name, **options)
        assert str(reported.value).startswith(sentence)
    assert gglocal.faults() == []


def test_fault_command_starts_lists_and_ends_faults(gglocal):
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


def test_readme_lists_every_fault_with_its_options():
    readme = (Path(__file__).parents[2] / "libs/gglocal/README.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| `([^|]*)` \|", readme, re.MULTILINE))
    assert {name: rows.get(name) for name in FAULTS} == {name: usage(fault.options) for name, fault in FAULTS.items()}


def _now():
    from datetime import datetime

    return datetime.now()  # noqa: DTZ005
