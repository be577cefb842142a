"""The installed command, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gglocal.api.control_server import send_request
from gglocal.api.nucleus import Nucleus
from gglocal.cli.main import main
from gglocal.errors import NucleusError
from gglocal.process.reaper import members
from tests.gglocal.recipes import RecipeFolder
from tests.patience import PATIENCE_S


def _gglocal(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "gglocal.cli.main", *arguments, "--root", str(root)]


def _call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_gglocal(root, *arguments), capture_output=True, text=True, timeout=PATIENCE_S)


def _run_arguments(folder: RecipeFolder, *names: str) -> list[str]:
    merges = [word for name in names for word in ("--merge", f"{name}=1.0.0")]
    return ["run", "--recipe-dir", str(folder.recipes), "--artifact-dir", str(folder.artifacts), *merges]


@pytest.fixture
def folder(tmp_path: Path) -> RecipeFolder:
    return RecipeFolder(tmp_path)


@pytest.fixture
def running(folder: RecipeFolder, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`gglocal run` with one component, which has printed `up` and started a process outside of its group."""
    folder.add("a", {"run": "setsid sleep 1000 & echo up; sleep 1000"}, config={"x": 1})
    process = subprocess.Popen(
        _gglocal(tmp_path / "root", *_run_arguments(folder, "a")), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "[a] up\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


def _pid(root: Path) -> int:
    return int(json.loads(_call(root, "component", "list", "--json").stdout)[0]["pid"])


def _family(pid: int) -> set[int]:
    """The processes of a component's session, and those with the same mark."""
    environ = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
    mark = next(item for item in environ if item.startswith(b"GGLOCAL_MARK=")).partition(b"=")[2].decode()
    return set(members({pid}, mark))


def _gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if not any((Path("/proc") / str(pid)).exists() and _is_alive(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def _is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)])
def test_run_leaves_no_process_behind(running: subprocess.Popen[str], folder: RecipeFolder, tmp_path: Path, number: int, code: int) -> None:
    family = _family(_pid(tmp_path / "root"))
    assert len(family) >= 2
    running.send_signal(number)
    assert running.wait(PATIENCE_S) == code
    assert _gone(family)
    folder.add("next", {"run": "echo again"})
    again = _call(tmp_path / "root", *_run_arguments(folder, "next"), "--exit-when-finished")
    assert (again.returncode, again.stdout) == (0, "[next] again\n")


def test_commands_reach_a_running_nucleus(running: subprocess.Popen[str], folder: RecipeFolder, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert [line.split() for line in _call(root, "component", "list").stdout.splitlines()] == [
        ["NAME", "VERSION", "STATE", "STARTS", "PID"],
        ["a", "1.0.0", "RUNNING", "1", str(_pid(root))],
    ]
    everything = _call(root, "component", "details", "a").stdout
    assert "Component Name: a" in everything and "State: RUNNING" in everything and 'Configuration: {"x": 1}' in everything
    details = json.loads(_call(root, "component", "details", "a", "--json").stdout)
    assert (details["state"], details["starts"], details["version"]) == ("RUNNING", 1, "1.0.0")
    assert json.loads(_call(root, "component", "restart", "a", "--json").stdout)[0]["name"] == "a"
    assert "FINISHED" in _call(root, "component", "stop", "a").stdout
    assert "stdout: up" in _call(root, "logs", "a").stdout
    folder.add("b", {"run": "true"})
    config = tmp_path / "config.yaml"
    config.write_text("b:\n  reset: [/old]\n  merge: {y: two}\n")
    deployed = _call(root, "deploy", "--recipe-dir", str(folder.recipes), "--merge", "b=1.0.0", "--config", str(config))
    assert "deployed: a, b" in deployed.stdout
    assert f"gglocal logs b --root {root}" in deployed.stderr and "gglocal logs a" not in deployed.stderr
    assert json.loads(_call(root, "component", "details", "b", "--json").stdout)["configuration"] == {"y": "two"}
    unknown = _call(root, "component", "details", "zzz")
    assert unknown.returncode == 2 and "component zzz is not deployed; deployed components: a, b" in unknown.stderr


@pytest.mark.parametrize(
    "publish, expected",
    [
        (["pub", "t/1", "hello"], b"hello"),
        (["pub", "t/1", "aGk=", "--base64"], b"hi"),
        (["pub", "t/1", '{"a": 1}', "--json"], b'{"a":1}'),
    ],
)
def test_pub_and_sub(running: subprocess.Popen[str], tmp_path: Path, publish: list[str], expected: bytes) -> None:
    root = tmp_path / "root"
    with subprocess.Popen(
        _gglocal(root, "sub", "t/#", "--count", "1", "--timeout", "20", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stderr is not None and listener.stdout is not None
        assert "subscribed to t/#" in listener.stderr.readline()
        result = _call(root, *publish)
        assert (result.returncode, result.stdout) == (0, "")
        assert result.stderr == f"published {len(expected)} bytes to t/1, received by 0 component subscriptions\n"
        received = json.loads(listener.stdout.readline())
        assert listener.wait(PATIENCE_S) == 0
    assert (received["topic"], received["text"].encode()) == ("t/1", expected)


@pytest.mark.parametrize("topic", ["t/#", "+/a", "#", "", "a/+/b"])
@pytest.mark.parametrize("how", [[], ["--iot"], ["--json"]])
def test_pub_rejects_a_topic_filter(tmp_path: Path, capsys: pytest.CaptureFixture[str], topic: str, how: list[str]) -> None:
    assert main(["pub", *how, topic, "{}", "--root", str(tmp_path / "root")]) == 2
    assert f"{topic!r} is not a topic" in capsys.readouterr().err


def test_unread_output_does_not_block_the_nucleus(folder: RecipeFolder, tmp_path: Path) -> None:
    folder.add("loud", {"run": "yes a long line of output | head -n 100000"})
    arguments = _gglocal(tmp_path / "root", *_run_arguments(folder, "loud"), "--exit-when-finished")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(PATIENCE_S) == 0
    assert sum(1 for _ in (tmp_path / "root" / "logs" / "loud.log").open()) > 100_000


def test_sub_prints_messages_to_iot_core(running: subprocess.Popen[str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    with subprocess.Popen(
        _gglocal(root, "sub", "cloud/+", "--iot", "--count", "1", "--timeout", "20"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stderr is not None and listener.stdout is not None
        assert "subscribed to cloud/+" in listener.stderr.readline()
        assert _call(root, "pub", "--iot", "cloud/a", "hello").stderr == "published 5 bytes to cloud/a on IoT Core\n"
        assert listener.stdout.readline() == "cloud/a hello\n"
        assert listener.wait(PATIENCE_S) == 0


def test_pub_publishes_to_iot_core(running: subprocess.Popen[str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert _call(root, "pub", "--iot", "cloud/a", "hello").returncode == 0
    assert _call(root, "pub", "--iot", "cloud/a", "/w==", "--base64").returncode == 0
    first, second = map(json.loads, (root / "iot-core.jsonl").read_text().splitlines())
    assert (first["text"], second["payload"]) == ("hello", "/w==")
    assert "payload" not in first and "text" not in second


def test_run_exits_when_all_components_have_finished(folder: RecipeFolder, tmp_path: Path) -> None:
    folder.add("good", {"run": 'echo "{configuration:/word}"'}, config={"word": "plain"})
    folder.add("bad", {"run": "exit 5"})
    config = json.dumps({"good": {"merge": {"word": "special"}}})
    good = _call(tmp_path / "root", *_run_arguments(folder, "good"), "--exit-when-finished", "--config", config)
    assert (good.returncode, good.stdout) == (0, "[good] special\n")
    bad = _call(tmp_path / "root", *_run_arguments(folder, "bad"), "--exit-when-finished")
    assert bad.returncode == 1 and "bad is BROKEN: run ended with exit code 5" in bad.stderr


def test_yaml_configuration_has_text_scalars_on_lite(folder: RecipeFolder, tmp_path: Path) -> None:
    folder.add("good", {"run": "echo '{configuration:/n}'"})
    (tmp_path / "config.yaml").write_text("good: {MERGE: {n: 1.50}}")
    done = _call(tmp_path / "root", *_run_arguments(folder, "good"), "--exit-when-finished", "--config", str(tmp_path / "config.yaml"))
    assert done.stdout == "[good] 1.50\n"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["run", "--merge", "a"], "--merge 'a' has no version"),
        (["run", "--recipe-dir", "/nowhere", "--merge", "a=1.0.0"], "/nowhere: recipe directory not found"),
        (["run"], "nothing to deploy; name a component with --merge NAME=VERSION"),
        (["run", "--iot-core", "http://x", "--merge", "a=1.0.0"], "unknown IoT Core backend 'http://x'"),
        (["run", "--config", "{", "--merge", "a=1.0.0"], "--config is not valid JSON"),
        (["component", "list"], "no nucleus runs in"),
        (["logs", "a"], "no log of a found"),
        (["pub", "t"], "pub requires either PAYLOAD or --file FILE"),
    ],
)
def test_command_errors_are_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], expected: str) -> None:
    assert main([*arguments, "--root", str(tmp_path / "root")]) == 2
    output = capsys.readouterr().err
    assert expected in output and "Traceback" not in output


def test_unknown_request_is_rejected_by_its_name(gglocal: Nucleus) -> None:
    with pytest.raises(NucleusError, match="unknown request 'fly'; known requests: components, restart, "):
        list(send_request(gglocal.root, {"command": "fly"}))


def test_lint_prints_problems_and_notes(capsys: pytest.CaptureFixture[str], folder: RecipeFolder) -> None:
    folder.add("good", {"run": "true"})
    assert main(["lint", str(folder.recipes)]) == 0
    folder.add("good", {"run": "true", "shutdown": "true"})
    assert main(["lint", str(folder.recipes)]) == 0  # a finding of the kind `ignored` is a note
    assert "note: " in (result := capsys.readouterr()).err and "step shutdown is ignored" in result.err and not result.out
    folder.add("bad", {"Run": "true"})
    assert main(["lint", str(folder.recipes)]) == 1
    assert "must be spelled run" in capsys.readouterr().out


def test_root_folder_is_read_from_the_environment(folder: RecipeFolder, tmp_path: Path) -> None:
    folder.add("good", {"run": "true"})
    command = _gglocal(tmp_path, *_run_arguments(folder, "good"), "--exit-when-finished")[:-2]
    subprocess.run(command, env={**os.environ, "GGLOCAL_ROOT": str(tmp_path / "there")}, check=True, timeout=PATIENCE_S)
    assert (tmp_path / "there" / "logs" / "good.log").exists()


@pytest.mark.parametrize("verbose", [False, True])
def test_pip_progress_is_logged_but_not_printed(folder: RecipeFolder, tmp_path: Path, verbose: bool) -> None:
    folder.add("a", {"install": "echo 'Collecting numpy'; echo 'ERROR: no numpy'", "run": "echo up"})
    ran = _call(tmp_path / "root", *_run_arguments(folder, "a"), "--exit-when-finished", *(["--verbose"] if verbose else []))
    expected = [*(["[a] Collecting numpy"] if verbose else []), "[a] ERROR: no numpy", "[a] up"]
    assert ran.stdout.splitlines() == expected
    assert "Collecting numpy" in (tmp_path / "root" / "logs" / "a.log").read_text()
