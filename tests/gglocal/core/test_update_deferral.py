"""Components that defer a deployment on the classic nucleus, with the real SDK client."""

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
from tests.gglocal.recipes import RecipeFolder
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
        """The id of the deployment about which it is asked."""
        event = self.inbox.take().pre_update_event
        assert event.is_ggc_restarting is False
        return event.deployment_id

    def reported(self) -> str:
        return self.inbox.take().post_update_event.deployment_id

    def answer(self, deployment: str, after_ms: int) -> None:
        self.client.defer_component_update(deployment_id=deployment, recheck_after_ms=after_ms, message="busy")


@pytest.fixture
def nucleus(gglocal_factory: Callable[..., Nucleus], tmp_path) -> Nucleus:
    """A nucleus that runs version 1.0.0 of `a`; 1.1.0 is available."""
    made = gglocal_factory(profile="classic")
    folder = RecipeFolder(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        folder.add("a", {"run": f"echo {version}; sleep 1000"}, version)
    made.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    made.wait_for_state("a", "RUNNING")
    return made


def deploy(nucleus: Nucleus, tmp_path, version: str = "1.1.0") -> Future[list[str]]:
    folder = RecipeFolder(tmp_path)
    return ThreadPoolExecutor(1).submit(nucleus.deploy, folder.recipes, folder.artifacts, {"a": version})


def test_deployment_waits_until_every_component_consents(nucleus, tmp_path):
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
    assert guard.reported() == deployment
    assert deploying.result(PATIENCE_S) == ["a"]
    assert nucleus.component("a").version == "1.1.0"
    with pytest.raises(ServiceError):
        guard.answer(deployment, 0)


def test_deployment_without_restarts_asks_no_component(nucleus, tmp_path):
    guard = Guard(nucleus)
    guard.subscribe()
    assert deploy(nucleus, tmp_path, "1.0.0").result(PATIENCE_S) == ["a"]
    assert guard.inbox.empty()


def test_component_without_a_response_consents(nucleus, tmp_path, monkeypatch):
    monkeypatch.setattr(nucleus._nucleus.engine.core.update_deferral, "_timeout_s", 0.3)
    silent = Guard(nucleus)
    silent.subscribe()
    assert deploy(nucleus, tmp_path).result(PATIENCE_S) == ["a"]
    assert silent.asked() == silent.reported()


def test_only_subscribed_components_can_defer(nucleus):
    with pytest.raises(InvalidArgumentsError):
        Guard(nucleus).answer("some-deployment", 0)


def test_lite_supports_no_update_deferral(gglocal):
    guard = Guard(gglocal)
    with pytest.raises(ServiceError):
        guard.subscribe()
    with pytest.raises(ServiceError):
        guard.answer("some-deployment", 0)
    guard.client.publish_to_topic(topic="t", publish_message=binary(b""))  # the call was refused, not the client
