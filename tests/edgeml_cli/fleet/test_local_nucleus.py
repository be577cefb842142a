"""`edgeml device deploy` on a running gglocal: directly, or through a fake greengrass-cli as on a core device."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from edgeml_cli.fleet import deployment_outcome, local_nucleus, nucleus_cli
from edgeml_cli.fleet.deploy import main
from tests.gglocal.recipes import RecipeFolder

SERVE = {"run": "exec sleep 1000"}


@pytest.fixture(params=["gglocal", "greengrass-cli"])
def place(request, gglocal_factory, tmp_path):
    """A nucleus, the options that select it, and a build."""
    nucleus = gglocal_factory(profile="classic")
    root = nucleus.root.path
    if request.param == "gglocal":
        return nucleus, ["--gglocal", str(root)], RecipeFolder(tmp_path / "build")
    command = tmp_path / "device" / "bin" / "greengrass-cli"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gglocal.cli.main "$@" --root {shlex.quote(str(root))}\n')
    command.chmod(0o755)
    return nucleus, ["--device-root", str(tmp_path / "device")], RecipeFolder(tmp_path / "build")


@pytest.mark.skipif(os.geteuid() != 0, reason="greengrass-cli is called with sudo, which may ask for a password")
def test_build_is_deployed_configured_and_removed(place, tmp_path, capsys) -> None:
    nucleus, where, shelf = place
    shelf.add("a", SERVE, config={"x": 1})
    shelf.add("a", {"run": "exit 7"}, "1.1.0", config={"x": 1})
    shelf.add("b", SERVE)
    local = ["device", *where, "--build", str(tmp_path / "build")]
    config = tmp_path / "config.yaml"
    config.write_text("a:\n  merge:\n    x: 2\n")
    assert main([*local, "--component", "a=1.0.0", "--component", "b=1.0.0", "--config", str(config)]) == 0
    assert "SUCCESSFUL" in capsys.readouterr().out
    assert nucleus.component("a").configuration == {"x": 2} and nucleus.component("b").state == "RUNNING"
    assert main([*local, "--component", "a=1.1.0"]) == 1
    said = capsys.readouterr().out
    assert "FAILED_ROLLBACK_COMPLETE" in said and "a is BROKEN" in said
    assert nucleus.component("a").version == "1.0.0"
    assert main([*local, "--remove", "b"]) == 0
    assert [each.name for each in nucleus.components()] == ["a"]
    assert main([*local, "--component", "absent=1.0.0"]) == 1
    assert "no recipe of absent found" in capsys.readouterr().out


def test_missing_build_or_nucleus_is_reported_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = ["device", "--component", "a=1.0.0", "--device-root", str(tmp_path / "device"), "--build", str(tmp_path / "build")]
    for before, sentence in (
        (lambda: None, "has no recipes; create it with edgeml build"),
        (lambda: RecipeFolder(tmp_path / "build"), "there is neither"),
        (lambda: (tmp_path / "root").mkdir(), "edgeml device deploy: no nucleus runs in"),
    ):
        before()
        assert main([*local, "--gglocal", str(tmp_path / "root")]) == 1
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1


NAME = "com.edgeml.AlertDispatcher"


@pytest.fixture
def dispatcher(place, venvs: dict[str, Path], built: Path):
    """The arguments for a deployment of the real component to a nucleus that has its packages."""
    nucleus, where, _ = place
    work = nucleus.work_dir(NAME)
    work.mkdir(parents=True)
    (work / "venv").symlink_to(venvs[NAME])
    if where[0] == "--device-root":
        (Path(where[1]) / "work").symlink_to(nucleus.root.work)
    return nucleus, ["device", *where, "--build", str(built)]


@pytest.mark.skipif(os.geteuid() != 0, reason="greengrass-cli is called with sudo, which may ask for a password")
@pytest.mark.parametrize("place", ["greengrass-cli"], indirect=True)
def test_deployment_succeeds_only_if_the_configuration_is_accepted(dispatcher, version, tmp_path, capsys) -> None:
    nucleus, local = dispatcher
    config = tmp_path / "config.yaml"
    config.write_text(f"{NAME}:\n  merge:\n    policy: {{raise_at: 0.95}}\n    report: {{interval_s: 5, enabled: false}}\n")
    assert main([*local, "--component", f"{NAME}={version}", "--config", str(config)]) == 0
    assert capsys.readouterr().out.endswith("the requested components are running with the requested configuration\n")
    # A configured component need not be named again. The deployment itself reports SUCCEEDED each time, so values are compared.
    config.write_text(f"{NAME}:\n  merge:\n    policy: {{raise_at: 0.1, nn: 5}}\n")
    assert main([*local, "--config", str(config)]) == 1
    said = capsys.readouterr().out
    assert "SUCCEEDED" in said and f"differs from the request: {NAME} rejects its configuration: `policy.nn` is an unknown option" in said
    assert "`policy.raise_at` is 0.1, which is not above" in said
    config.write_text(f"{NAME}:\n  reset: [/policy]\n")
    assert main([*local, "--config", str(config)]) == 0
    assert nucleus.component(NAME).configuration["policy"] == {"raise_at": 0.9, "clear_at": 0.3}


def test_configured_dependency_becomes_a_root_component(place, tmp_path, capsys) -> None:
    nucleus, where, shelf = place
    if where[0] == "--device-root" and os.geteuid() != 0:
        pytest.skip("greengrass-cli is called with sudo, which may ask for a password")
    shelf.add("lib", SERVE, config={"x": 1, "y": "z"})
    shelf.add("lib", SERVE, "1.1.0", config={"x": 1})
    shelf.add("top", SERVE, needs={"lib": "HARD"})
    local = ["device", *where, "--build", str(tmp_path / "build")]
    nucleus.deploy(shelf.recipes, shelf.artifacts, {"top": "1.0.0", "lib": "<1.1.0"}, remove=())
    nucleus.deploy(shelf.recipes, shelf.artifacts, remove=["lib"])
    config = tmp_path / "config.yaml"
    config.write_text("lib:\n  merge: {x: 2, deep: {a: [1, 2]}}\n")
    version = nucleus.component("lib").version
    assert main([*local, "--config", str(config)]) == 0
    assert nucleus.component("lib").configuration["x"] == 2 and nucleus.component("lib").version == version


class Flaky:
    """A fake greengrass-cli that fails intermittently, or whose nucleus ignores a part of the request."""

    def __init__(self, folder: Path, root: Path, script: str) -> None:
        self.path = folder / "bin" / "greengrass-cli"
        self.path.parent.mkdir(parents=True)
        real = f'{shlex.quote(sys.executable)} -m gglocal.cli.main "$@" --root {shlex.quote(str(root))}'
        self.path.write_text(f"#!/bin/sh\n{script.replace('REAL', real)}\n")
        self.path.chmod(0o755)


TRACE = """java.lang.RuntimeException: java.util.concurrent.ExecutionException: software.amazon.ServiceError: the file is being written
\tat com.aws.greengrass.cli.commands.DeploymentCommand.status(DeploymentCommand.java:172)
Caused by: java.util.concurrent.ExecutionException: software.amazon.ServiceError: the file is being written
\tat com.aws.greengrass.cli.adapter.Impl.get(Impl.java:166)
\t... 13 more
"""
UNKNOWN = TRACE.replace("ServiceError: the file is being written", "ResourceNotFoundError: Cannot find deployment")


@pytest.mark.skipif(os.geteuid() != 0, reason="greengrass-cli is called with sudo, which may ask for a password")
def test_failed_deployment_reports_the_logged_error(place, tmp_path, capsys) -> None:
    nucleus, where, shelf = place
    if where[0] == "--device-root":
        (Path(where[1]) / "logs").symlink_to(nucleus.root.path / "logs")
    shelf.add("old", SERVE)
    shelf.add(
        "model", {"install": "echo 'ERROR edgeml.model.install_bundle: model: the key is not trusted'; exit 1", "run": "exec sleep 1000"}
    )
    shelf.add("mute", {"install": "exit 1", "run": "exec sleep 1000"})
    local = ["device", *where, "--build", str(tmp_path / "build"), "--component", "old=1.0.0"]
    assert main([*local, "--component", "model=1.0.0"]) == 1
    assert capsys.readouterr().out.endswith(f"\nmodel: the key is not trusted (see {where[1]}/logs/model.log)\n")
    assert main([*local, "--component", "mute=1.0.0"]) == 1
    assert f"\nmute: see {where[1]}/logs/mute.log\n" in capsys.readouterr().out


CLASSIC = """2026-11-28T13:52:57.632Z [INFO] (Copier) m: stdout. INFO edgeml.model.install_bundle: the bundle is placed. {scriptName=install}
2026-11-28T13:52:57.718Z [INFO] (Copier) m: stdout. ERROR edgeml.model.install_bundle: m: /w: is signed with another key. {scriptName=install}
2026-11-28T13:52:58.000Z [WARN] (Copier) m: stderr. ERROR edgeml.runtime.install_venv: pip failed; is there 99.9? {scriptName=install}
2026-11-28T13:52:58.761Z [WARN] (Copier) m: stderr. ERROR edgeml.runtime.install_venv: pip failed. {scriptName=install, command=["python3 /tmp"]}
2026-11-28T13:52:58.777Z [WARN] (pool-3-thread-25) m: shell-runner-error. {scriptName=install, serviceName=m}
2026-11-28T13:52:58.999Z [INFO] stdout: ERROR edgeml.model.install_bundle: as gglocal writes it
"""


@pytest.mark.parametrize(
    ("lines", "since", "error"),
    [
        (slice(0, 2), 0, "m: /w: is signed with another key"),
        (slice(0, 5), 0, "pip failed"),
        (slice(0, 6), 0, "as gglocal writes it"),
        (slice(0, 2), 2e9, ""),
        (slice(0, 1), 0, ""),
        (slice(4, 5), 0, ""),
    ],
)
def test_last_error_in_a_log(lines, since, error) -> None:
    assert deployment_outcome.last_error("\n".join(CLASSIC.splitlines()[lines]), since) == error


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Deployment Failure Cause: Service a.b in broken state after deployment", ["a.b"]),
        ("a.b.c is BROKEN", ["a.b.c"]),
        ("a.b-c", []),
    ],
)
def test_components_mentioned_in_a_failure(text: str, named: list[str]) -> None:
    assert deployment_outcome.mentioned(["a.b", "a.b.c"], text) == named


@pytest.mark.skipif(os.geteuid() != 0, reason="greengrass-cli is called with sudo, which may ask for a password")
@pytest.mark.parametrize(
    ("exit_code", "lasting", "trace"),
    [
        (1, False, TRACE),
        (0, False, TRACE),
        (1, False, UNKNOWN),
        (1, True, TRACE),
    ],
    ids=["fails", "ends with 0", "not known yet", "lasting"],
)
def test_failed_status_call_is_retried(gglocal_factory, tmp_path, monkeypatch, capsys, exit_code, lasting, trace) -> None:
    monkeypatch.setattr(nucleus_cli, "RETRY_INTERVAL_S", 0.01)
    nucleus, shelf = gglocal_factory(profile="classic"), RecipeFolder(tmp_path / "build")
    shelf.add("a", SERVE)
    (tmp_path / "trace").write_text(trace)
    count, until = tmp_path / "count", 1000 if lasting else 3
    Flaky(
        tmp_path / "device",
        nucleus.root.path,
        (
            f'if [ "$2" = status ] && [ $(wc -c < {count}) -lt {until} ]\n'
            f"then printf x >> {count}; cat {tmp_path}/trace >&2; exit {exit_code}; fi\n"
            "exec REAL"
        ),
    )
    count.touch()
    local = ["device", "--device-root", str(tmp_path / "device"), "--build", str(tmp_path / "build"), "--component", "a=1.0.0"]
    assert main(local) == int(lasting)
    assert len(count.read_text()) == (nucleus_cli.MAX_ATTEMPTS if lasting else 3)
    if lasting:
        assert (
            capsys.readouterr().err == "edgeml device deploy: the nucleus rejected the request: the file is being written (ServiceError)\n"
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="greengrass-cli is called with sudo, which may ask for a password")
def test_ignored_configuration_is_detected(gglocal_factory, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(local_nucleus, "SETTLE_TIMEOUT_S", 1.0)
    nucleus, shelf = gglocal_factory(profile="classic"), RecipeFolder(tmp_path / "build")
    shelf.add("a", SERVE, config={"x": 1, "keep": True})
    # The configuration is dropped, and the deployment reports SUCCEEDED.
    Flaky(
        tmp_path / "device",
        nucleus.root.path,
        (
            'for each; do shift; [ "$each" = --update-config ] && { skip=1; continue; }\n'
            '[ "$skip" ] && { skip=; continue; }; set -- "$@" "$each"; done\n'
            "exec REAL"
        ),
    )
    config = tmp_path / "config.yaml"
    config.write_text("a:\n  merge: {x: 2, deep: {y: text}, keep: true}\n")
    local = ["device", "--device-root", str(tmp_path / "device"), "--build", str(tmp_path / "build"), "--config", str(config)]
    assert main([*local, "--component", "a=1.0.0"]) == 1
    said = capsys.readouterr().out
    assert 'differs from the request: a has a different configuration: x is 1, expected 2; deep.y is null, expected "text"\n' in said


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (TRACE, "the file is being written (ServiceError)"),
        ("java.lang.RuntimeException: Unable to connect\n\tat com.aws.x.Y.z(Y.java:1)\n", "Unable to connect (RuntimeException)"),
        ("a warning\ngglocal: no nucleus runs in /x\n", "no nucleus runs in /x"),
        ("Value for option '--merge' is wrong\nUsage: greengrass-cli [-hV]\n   [-a=Dir]\n", "Value for option '--merge' is wrong"),
        ("", ""),
    ],
)
def test_error_cause_in_command_output(text: str, cause: str) -> None:
    assert nucleus_cli.error_cause(text) == cause


@pytest.mark.parametrize(
    ("merge", "has", "differs"),
    [
        ({"n": 5}, {"n": 5.0}, []),
        ({"n": 5}, {"n": "5"}, []),
        ({"n": 0.5}, {"n": "0.5"}, []),
        ({"b": True}, {"b": "true"}, []),
        ({"b": True}, {"b": 1}, ["b"]),
        ({"x": None}, {"x": "null"}, []),
        ({"x": None}, {}, []),
        ({"x": {}}, {"x": {}}, []),
        ({"l": [1, {"a": 2}]}, {"l": [1.0, {"a": "2"}]}, []),
        ({"l": [1]}, {"l": [1, 2]}, ["l"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, ["a.c"]),
        ({"a": {"b": 1}}, None, ["a.b"]),
        ({"t": "5"}, {"t": 5}, ["t"]),
    ],
)
def test_device_is_compared_with_its_deployment(merge, has, differs) -> None:
    found = nucleus_cli.DeployedComponent("1.0.0", "RUNNING", "", has)
    told = list(deployment_outcome.differences("a", "1.0.0", {"merge": merge}, found))
    assert [each.split(" is ")[0] for sentence in told for each in sentence.partition(": ")[2].split("; ")] == differs
    assert list(deployment_outcome.differences("a", "2.0.0", {}, found)) == ["a is 1.0.0, expected 2.0.0"]
    assert list(deployment_outcome.differences("a", "", {}, None)) == ["a is not deployed"]
