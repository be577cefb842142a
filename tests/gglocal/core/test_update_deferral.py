"""Components that put a deployment off, with the real client, on the classic nucleus."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import InvalidArgumentsError, ServiceError

from gglocal.api.nucleus import Nucleus
from tests.gglocal.ipc_world import EVERYTHING, Inbox, binary
from tests.gglocal.recipes import Shelf
from tests.patience import PATIENCE_S


class Guard:
    """A component that is asked before updates."""

    def __init__(self, nucleus: Nucleus, name: str = "com.test.Guard") -> None:
        env = nucleus.client_env(name, EVERYTHING)
        socket = env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
        self.client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=socket, authtoken=env["SVCUID"]))
        self.inbox = Inbox()

    def subscribe(self) -> None:
        self.client.subscribe_to_component_updates(on_stream_event=self.inbox)

    def asked(self) -> str:
        """The deployment that it is asked about."""
        event = self.inbox.take().pre_update_event
        assert event.is_ggc_restarting is False
        return event.deployment_id

    def told(self) -> str:
        return self.inbox.take().post_update_event.deployment_id

    def answer(self, deployment: str, after_ms: int) -> None:
        self.client.defer_component_update(deployment_id=deployment, recheck_after_ms=after_ms, message="busy")


@pytest.fixture
def nucleus(gglocal_factory: Callable[..., Nucleus], tmp_path) -> Nucleus:
    """Runs version 1.0.0 of `a`; 1.1.0 lies ready."""
    made = gglocal_factory(profile="classic")
    shelf = Shelf(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        shelf.add("a", {"run": f"echo {version}; sleep 1000"}, version)
    made.deploy(shelf.recipes, shelf.artifacts, {"a": "1.0.0"})
    made.wait_for_state("a", "RUNNING")
    return made


def deploy(nucleus: Nucleus, tmp_path, version: str = "1.1.0") -> Future[list[str]]:
    shelf = Shelf(tmp_path)
    return ThreadPoolExecutor(1).submit(nucleus.deploy, shelf.recipes, shelf.artifacts, {"a": version})


def test_a_deployment_waits_until_nobody_minds(nucleus, tmp_path):
    guard = Guard(nucleus)
    guard.subscribe()
    deploying = deploy(nucleus, tmp_path)
    deployment = guard.asked()
    guard.answer(deployment, 700)
    begun = time.monotonic()
    assert guard.asked() == deployment
    assert time.monotonic() - begun > 0.5
    assert not deploying.done() and nucleus.component("a").version == "1.0.0"
    guard.answer(deployment, 0)
    assert guard.told() == deployment
    assert deploying.result(PATIENCE_S) == ["a"]
    assert nucleus.component("a").version == "1.1.0"
    with pytest.raises(ServiceError):
        guard.answer(deployment, 0)


def test_a_deployment_that_touches_nothing_asks_nobody(nucleus, tmp_path):
    guard = Guard(nucleus)
    guard.subscribe()
    assert deploy(nucleus, tmp_path, "1.0.0").result(PATIENCE_S) == ["a"]
    assert guard.inbox.empty()


def test_who_does_not_answer_does_not_mind(nucleus, tmp_path, monkeypatch):
    monkeypatch.setattr(nucleus._nucleus.engine.core.update_deferral, "_timeout_s", 0.3)
    silent = Guard(nucleus)
    silent.subscribe()
    assert deploy(nucleus, tmp_path).result(PATIENCE_S) == ["a"]
    assert silent.asked() == silent.told()


def test_only_who_is_asked_can_put_it_off(nucleus):
    with pytest.raises(InvalidArgumentsError):
        Guard(nucleus).answer("some-deployment", 0)


def test_lite_has_neither_operation(gglocal):
    guard = Guard(gglocal)
    with pytest.raises(ServiceError):
        guard.subscribe()
    with pytest.raises(ServiceError):
        guard.answer("some-deployment", 0)
    guard.client.publish_to_topic(topic="t", publish_message=binary(b""))  # the call was refused, not the client
