"""Local deployments, by the commands of greengrass-cli and by IPC operations."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import ResourceNotFoundError, ServiceError, UnauthorizedError

from gglocal.api.nucleus import Nucleus
from gglocal.cli.main import main
from tests.gglocal.recipes import RecipeFolder

SERVE = {"run": "echo up; exec sleep 1000"}
FAIL = {"run": "exit 7"}
MANAGE = {"aws.greengrass.Cli": {"all": {"operations": ["*"], "resources": ["*"]}}}


class Bench:
    """A nucleus, a recipe folder, and the command line for them."""

    def __init__(self, nucleus: Nucleus, folder: RecipeFolder, capsys: pytest.CaptureFixture[str], rolls_back: bool = True) -> None:
        self.nucleus, self.folder, self._capsys, self.rolls_back = nucleus, folder, capsys, rolls_back

    def call(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors of `gglocal`."""
        self._capsys.readouterr()
        code = main([*words, "--root", str(self.nucleus.root.path)])
        output = self._capsys.readouterr()
        return code, output.out, output.err

    def deploy(self, *words: str, wait: str = "60") -> tuple[int, str, str]:
        places = ("--recipeDir", str(self.folder.recipes), "--artifactDir", str(self.folder.artifacts))
        return self.call("deployment", "create", *places, "--wait", wait, *words)

    def versions(self) -> dict[str, str]:
        return {each.name: each.version for each in self.nucleus.components()}

    def config(self, name: str) -> Any:
        return self.nucleus.component(name).configuration


@pytest.fixture(params=["classic", "lite"])
def bench(request, gglocal_factory, tmp_path, capsys) -> Bench:
    return Bench(gglocal_factory(profile=request.param), RecipeFolder(tmp_path), capsys, rolls_back=request.param == "classic")


@pytest.fixture
def classic(gglocal_factory, tmp_path, capsys) -> Bench:
    return Bench(gglocal_factory(profile="classic"), RecipeFolder(tmp_path), capsys)


def test_deployment_adds_updates_and_removes_components(bench: Bench) -> None:
    bench.folder.add("a", SERVE)
    bench.folder.add("a", {"run": "echo new; exec sleep 1000"}, "1.1.0", needs={"lib": "HARD"})
    bench.folder.add("b", SERVE)
    bench.folder.add("lib", SERVE)
    code, out, _ = bench.deploy("--merge", "a=1.0.0", "-m", "b=1.0.0")
    assert code == 0 and "Local deployment submitted! Deployment Id: " in out and "Detailed Status: SUCCESSFUL" in out
    assert bench.versions() == {"a": "1.0.0", "b": "1.0.0"}
    starts = bench.nucleus.component("b").starts
    assert bench.deploy("--merge", "a=1.1.0")[0] == 0
    assert bench.versions() == {"lib": "1.0.0", "a": "1.1.0", "b": "1.0.0"} and bench.nucleus.component("b").starts == starts
    assert bench.deploy("--remove", "a")[0] == 0
    assert bench.versions() == {"b": "1.0.0"}  # and what only a needed
    assert bench.deploy("--remove", "b")[0] == 0 and bench.versions() == {}


def test_configuration_is_merged_reset_and_removed_with_its_component(bench: Bench) -> None:
    bench.folder.add("a", SERVE, config={"x": "one", "deep": {"y": "two", "z": "three"}})
    assert bench.deploy("--merge", "a=1.0.0")[0] == 0
    update = {"a": {"MERGE": {"x": "other", "deep": {"y": "changed"}, "new": "key"}, "RESET": ["/deep/z"]}}
    assert bench.deploy("--update-config", json.dumps(update))[0] == 0
    assert bench.config("a") == {"x": "other", "deep": {"y": "changed", "z": "three"}, "new": "key"}
    file = bench.folder.write("update.conf", json.dumps({"a": {"reset": ["/deep", "/new"]}}))
    assert bench.deploy("-c", str(file))[0] == 0
    assert bench.config("a") == {"x": "other", "deep": {"y": "two", "z": "three"}}
    bench.folder.add("b", SERVE)
    assert bench.deploy("--remove", "a", "--merge", "b=1.0.0")[0] == 0 and bench.deploy("--merge", "a=1.0.0")[0] == 0
    assert bench.config("a") == {"x": "one", "deep": {"y": "two", "z": "three"}}


def test_failed_deployment_is_rolled_back_on_classic_only(bench: Bench) -> None:
    bench.folder.add("a", SERVE, config={"x": "old"})
    bench.folder.add("a", FAIL, "1.1.0", config={"x": "old", "more": "1"})
    bench.folder.add("b", SERVE)
    bench.folder.add("c", SERVE)
    assert bench.deploy("--merge", "a=1.0.0", "--merge", "b=1.0.0")[0] == 0
    update = json.dumps({"a": {"MERGE": {"x": "new"}}, "b": {"MERGE": {"y": "new"}}})
    changed = json.dumps({"a": {"MERGE": {"x": "new"}}})
    code, out, _ = bench.deploy("--merge", "a=1.1.0", "--merge", "c=1.0.0", "--remove", "b", "-c", changed)
    assert code == 1 and "a is BROKEN: run ended with exit code 7" in out
    if bench.rolls_back:
        assert "FAILED_ROLLBACK_COMPLETE" in out
        assert bench.versions() == {"a": "1.0.0", "b": "1.0.0"} and bench.config("a") == {"x": "old"}
        assert {each.state for each in bench.nucleus.components()} == {"RUNNING"}
        # The next deployment starts from the restored state.
        assert bench.deploy("-c", update)[0] == 0
        assert bench.config("a") == {"x": "new"} and bench.config("b") == {"y": "new"}
    else:
        assert "FAILED_ROLLBACK_NOT_REQUESTED" in out
        assert bench.versions() == {"a": "1.1.0", "c": "1.0.0"} and bench.config("a") == {"x": "new", "more": "1"}


def test_do_nothing_policy_keeps_a_failed_deployment(classic: Bench) -> None:
    classic.folder.add("a", SERVE)
    classic.folder.add("a", FAIL, "1.1.0")
    assert classic.deploy("--merge", "a=1.0.0")[0] == 0
    code, out, _ = classic.deploy("--merge", "a=1.1.0", "--failure-handling-policy", "DO_NOTHING")
    assert code == 1 and "FAILED_ROLLBACK_NOT_REQUESTED" in out and classic.versions() == {"a": "1.1.0"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--merge", "absent=1.0.0"), "no recipe of absent found"),
        (("--merge", "a=9.0.0"), "no version of a satisfies all requirements"),
        (("--remove", "b"), "cannot remove b: not a root component; root components: a"),
        (("-c", '{"a": {"MERGE": {"x": {"deep": "map"}}}}'), "the configuration cannot be merged"),
        (("--merge", "filed=1.0.0"), "artifact s3://x/absent.zip not found"),
    ],
    ids=["no recipe", "no version", "not there", "conflict", "no artifact"],
)
def test_invalid_deployment_changes_nothing(classic: Bench, words, sentence) -> None:
    classic.folder.add("a", SERVE, config={"x": "old"})
    classic.folder.add("filed", SERVE, manifest={"Artifacts": [{"Uri": "s3://x/absent.zip"}]})
    assert classic.deploy("--merge", "a=1.0.0")[0] == 0
    before = classic.nucleus.component("a")
    code, out, _ = classic.deploy(*words)
    assert code == 1 and "FAILED_NO_STATE_CHANGE" in out and sentence in out
    assert classic.nucleus.component("a") == before


def test_queue_continues_after_a_deployment_that_could_not_be_saved(classic: Bench) -> None:
    classic.folder.add("a", SERVE)
    config = classic.nucleus.root.path / "config"
    away = config.rename(config.with_name("away"))  # every write of the configuration fails, as on a full disk
    code, out, _ = classic.deploy("--merge", "a=1.0.0")
    assert code == 1 and "FAILED_UNABLE_TO_ROLLBACK" in out and "FileNotFoundError" in out
    away.rename(config)
    assert classic.deploy("--merge", "a=1.0.0")[0] == 0 and classic.versions() == {"a": "1.0.0"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--merge", "a"), "has no version"),
        (("-c", "{"), "--update-config is not valid JSON"),
        (("-c", '{"a": 1}'), "the update of a must be a map"),
        (("-c", '{"a": {"MERG": {}}}'), "accepts only merge"),
    ],
    ids=["no version", "no json", "no map", "unknown key"],
)
def test_invalid_arguments_are_rejected_immediately(classic: Bench, words, sentence) -> None:
    code, out, err = classic.deploy(*words)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1


def test_greengrass_cli_commands_work(bench: Bench) -> None:
    bench.folder.add("a", SERVE)
    bench.folder.add("b", {"run": "echo careful >&2; exec sleep 1000"})
    _, out, _ = bench.deploy("--merge", "a=1.0.0", "--merge", "b=1.0.0")
    deployment = out.split("Deployment Id: ")[1].split()[0]
    code, out, _ = bench.call("deployment", "status", "-i", deployment)
    assert code == 0 and out.startswith(f"{deployment}: SUCCEEDED\n")
    assert bench.call("deployment", "list")[1].startswith(f"{deployment}: SUCCEEDED\n")
    assert "unknown local deployment x" in bench.call("deployment", "status", "--deploymentId", "x")[2]
    assert bench.call("component", "restart", "--names", "a,b")[0] == 0
    bench.nucleus.wait_until(lambda: [each.starts for each in bench.nucleus.components()] == [2, 2])
    assert "Version: 1.0.0" in bench.call("component", "details", "-n", "a")[1]
    assert bench.call("component", "stop", "-n", "b")[0] == 0 and bench.nucleus.component("b").state == "FINISHED"
    assert "no component named" in bench.call("component", "stop")[2]
    lines = bench.call("logs", "get", "--filter", "WARN", "--filter", "careful,absent")[1].splitlines()
    assert lines and all(line.startswith("[b] ") and "careful" in line for line in lines)
    assert "[a] " in bench.call("logs", "get")[1]
    assert "is not a regular expression" in bench.call("logs", "get", "--filter", "(")[2]


@pytest.fixture
def client(classic: Bench) -> Iterator[GreengrassCoreIPCClientV2]:
    """An SDK client of a component with management permissions."""
    env = classic.nucleus.client_env("manager", MANAGE)
    made = _client(env)
    yield made
    made.close()


def _client(env: dict[str, str]) -> GreengrassCoreIPCClientV2:
    return GreengrassCoreIPCClientV2(
        connect(
            ipc_socket=env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"],
            authtoken=env["SVCUID"],
        )
    )


def ended(client: GreengrassCoreIPCClientV2, deployment: str) -> Any:
    for _ in range(600):
        found = client.get_local_deployment_status(deployment_id=deployment).deployment
        if found.deployment_status_details is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{deployment} is {found.status}")


def test_management_operations_work_with_the_sdk(classic: Bench, client: GreengrassCoreIPCClientV2) -> None:
    classic.folder.add("a", SERVE, config={"x": 1})
    classic.folder.add("a", FAIL, "1.1.0")
    made = client.create_local_deployment(
        root_component_versions_to_add={"a": "1.0.0"},
        recipe_directory_path=str(classic.folder.recipes),
        artifacts_directory_path=str(classic.folder.artifacts),
        component_to_configuration={"a": {"MERGE": {"y": 2}}},
    ).deployment_id
    found = ended(client, made)
    assert (found.status, found.deployment_status_details.detailed_deployment_status) == ("SUCCEEDED", "SUCCESSFUL")
    (component,) = client.list_components().components
    assert (component.component_name, component.version, component.state) == ("a", "1.0.0", "RUNNING")
    assert client.get_component_details(component_name="a").component_details.configuration == {"x": 1, "y": 2}
    assert client.stop_component(component_name="a").stop_status == "SUCCEEDED"
    assert classic.nucleus.component("a").state == "FINISHED"
    assert client.restart_component(component_name="a").restart_status == "SUCCEEDED"
    assert classic.nucleus.wait_for_state("a", "RUNNING") == "RUNNING"
    bad = client.create_local_deployment(root_component_versions_to_add={"a": "1.1.0"}).deployment_id
    found = ended(client, bad)
    assert found.status == "FAILED" and found.deployment_status_details.detailed_deployment_status == "FAILED_ROLLBACK_COMPLETE"
    assert "a is BROKEN" in found.deployment_status_details.deployment_failure_cause
    assert [each.deployment_id for each in client.list_local_deployments().local_deployments] == [bad, made]
    for call in (client.get_component_details, client.restart_component, client.stop_component):
        with pytest.raises(ResourceNotFoundError):
            call(component_name="absent")
    with pytest.raises(ResourceNotFoundError):
        client.get_local_deployment_status(deployment_id="absent")


def test_management_operations_need_a_policy(classic: Bench) -> None:
    env = classic.nucleus.client_env(
        "neighbour",
        {
            "aws.greengrass.Cli": {
                "p": {
                    "operations": ["aws.greengrass#GetComponentDetails"],
                    "resources": ["a"],
                }
            }
        },
    )
    classic.folder.add("a", SERVE)
    assert classic.deploy("--merge", "a=1.0.0")[0] == 0
    client = _client(env)
    assert client.get_component_details(component_name="a").component_details.version == "1.0.0"
    for call, arguments in (
        (client.get_component_details, {"component_name": "b"}),
        (client.stop_component, {"component_name": "a"}),
        (client.restart_component, {"component_name": "a"}),
        (client.list_components, {}),
        (client.list_local_deployments, {}),
        (client.create_local_deployment, {}),
        (client.get_local_deployment_status, {"deployment_id": "x"}),
    ):
        with pytest.raises(UnauthorizedError):
            call(**arguments)
    client.close()


def test_lite_supports_no_management_operations(gglocal_factory) -> None:
    client = _client(gglocal_factory(profile="lite").client_env("manager", MANAGE))
    for call, arguments in (
        (client.list_components, {}),
        (client.get_component_details, {"component_name": "a"}),
        (client.restart_component, {"component_name": "a"}),
        (client.stop_component, {"component_name": "a"}),
        (client.create_local_deployment, {}),
        (client.list_local_deployments, {}),
        (client.get_local_deployment_status, {"deployment_id": "x"}),
    ):
        with pytest.raises(ServiceError):
            call(**arguments)
    client.close()


def test_watchers_are_called_when_a_snapshot_is_restored(tmp_path: Path) -> None:
    from gglocal.core.config_store import ConfigStore

    store = ConfigStore()
    store.merge("a", {"x": 1, "deep": {"y": 2, "z": 3}}, 1000)
    received: list[list[str]] = []
    store.subscribe("a", [], lambda _, path: received.append(path))
    store.subscribe("a", ["deep", "y"], lambda _, path: received.append(["only", *path]))
    before = store.snapshot()
    store.merge("a", {"x": 5, "deep": {"y": 6}, "new": 7}, 2000)
    store.reset("a", ["deep", "z"])
    received.clear()
    store.restore(before)
    assert store.snapshot() == before
    assert received == [["x"], ["deep", "y"], ["only", "deep", "y"], ["deep", "z"]]
    store.merge("a", {"x": 9}, 3000)
    assert received[-1] == ["x"]
