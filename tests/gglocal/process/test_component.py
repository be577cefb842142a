"""The lifecycle of components on a real nucleus."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gglocal.api.nucleus import Nucleus
from gglocal.errors import NucleusError
from gglocal.process.reaper import members
from tests.gglocal.recipes import RecipeFolder

Factory = Callable[..., Nucleus]


@pytest.fixture
def folder(tmp_path: Path) -> RecipeFolder:
    return RecipeFolder(tmp_path)


def _deploy(nucleus: Nucleus, folder: RecipeFolder, *names: str, **config: object) -> list[str]:
    return nucleus.deploy(folder.recipes, folder.artifacts, dict.fromkeys(names, "*"), config)


def _lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _line(path: Path, timeout: float = 20.0) -> str:
    """The first line of a file or FIFO that a component will write."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text().splitlines()[0]
        time.sleep(0.01)
    raise TimeoutError(f"{path} was not written")


HELLO = {"Message": "world"}
HELLO_RUN = 'python3 -u {artifacts:path}/hello_world.py "{configuration:/Message}"'
HELLO_FILES = {"hello_world.py": "import sys\nprint(f'Hello, {sys.argv[1]}!')\n"}


def test_hello_world_runs_to_its_end(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("com.example.HelloWorld", {"run": HELLO_RUN}, config=HELLO, files=HELLO_FILES)
    assert _deploy(gglocal, folder, "com.example.HelloWorld") == ["com.example.HelloWorld"]
    gglocal.wait_for_state("com.example.HelloWorld", "FINISHED")
    assert "stdout: Hello, world!" in gglocal.tail("com.example.HelloWorld")
    status = gglocal.component("com.example.HelloWorld")
    assert (status.version, status.state, status.exit_code, status.starts) == ("1.0.0", "FINISHED", 0, 1)


def test_configuration_is_merged_kept_and_reset(gglocal_factory: Factory, folder: RecipeFolder, tmp_path: Path) -> None:
    name = "com.example.HelloWorld"
    folder.add(name, {"run": HELLO_RUN}, config={"Message": "world", "deep": {"a": 1, "b": 2}}, files=HELLO_FILES)
    first = gglocal_factory(root=tmp_path / "root")
    _deploy(first, folder, name, **{name: {"merge": {"Message": "merged", "deep": {"b": 3}}}})
    first.wait_for_state(name, "FINISHED")
    assert first.component(name).configuration == {"Message": "merged", "deep": {"a": 1, "b": 3}}
    (first.work_dir(name) / "kept").write_text("x")
    first.stop()

    again = gglocal_factory(root=tmp_path / "root")
    _deploy(again, folder, name)
    again.wait_for_state(name, "FINISHED")
    assert "Hello, merged!" in again.tail(name) and (again.work_dir(name) / "kept").exists()
    _deploy(again, folder, name, **{name: {"reset": ["/Message"], "merge": {"deep": {"c": 4}}}})
    again.wait_until(lambda: again.component(name).starts == 2 and again.component(name).state == "FINISHED")
    assert again.component(name).configuration == {"Message": "world", "deep": {"a": 1, "b": 3, "c": 4}}


def test_steps_share_work_directory_and_environment(gglocal: Nucleus, folder: RecipeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/developer")
    monkeypatch.setenv("VIRTUAL_ENV", "/developer/venv")
    folder.add(
        "a",
        {
            "Setenv": {"ONE": "lifecycle", "TWO": "lifecycle {configuration:/x}"},
            "install": "pwd > installed_in",
            "run": {"Script": "env > environment && cat installed_in", "Setenv": {"ONE": "run {iot:thingName}"}},
        },
        config={"x": 5},
    )
    _deploy(gglocal, folder, "a")
    gglocal.wait_for_state("a", "FINISHED")
    env = dict(line.partition("=")[::2] for line in (gglocal.work_dir("a") / "environment").read_text().splitlines())
    assert (env["ONE"], env["TWO"]) == ("run gglocal", "lifecycle 5")
    assert env["AWS_IOT_THING_NAME"] == "gglocal" and env["GGC_VERSION"] == "2.6.0" and len(env["SVCUID"]) == 16
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "us-east-1"
    assert Path(env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]).is_socket()
    assert env["HOME"] == os.environ["HOME"] and "PYTHONPATH" not in env and "VIRTUAL_ENV" not in env
    assert (gglocal.work_dir("a") / "installed_in").read_text().strip() == str(gglocal.work_dir("a"))


def test_component_is_broken_after_three_errors(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("bad", {"run": "echo oh no >&2; exit 7"})
    _deploy(gglocal, folder, "bad")
    gglocal.wait_for_state("bad", "BROKEN")
    status = gglocal.component("bad")
    assert (status.starts, status.exit_code) == (3, 7)
    assert "run ended with exit code 7" in status.detail
    assert gglocal.log_file("bad").read_text().count("stderr: oh no") == 3
    with pytest.raises(NucleusError, match="bad is BROKEN, expected RUNNING"):
        gglocal.wait_for_state("bad", "RUNNING")


def test_errors_outside_the_window_do_not_count(gglocal_factory: Factory, folder: RecipeFolder) -> None:
    nucleus = gglocal_factory(error_reset=0.0)
    folder.add("bad", {"run": "exit 1"})
    _deploy(nucleus, folder, "bad")
    nucleus.wait_until(lambda: nucleus.component("bad").starts >= 4)


def test_broken_component_can_be_restarted(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("bad", {"run": "test -e mended && sleep 1000"})
    _deploy(gglocal, folder, "bad")
    gglocal.wait_for_state("bad", "BROKEN")
    (gglocal.work_dir("bad") / "mended").touch()
    gglocal.restart("bad")
    gglocal.wait_until(lambda: gglocal.component("bad").starts == 4 and gglocal.component("bad").state == "RUNNING")


def test_killed_component_restarts_within_a_second(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("a", {"run": "sleep 1000 & wait"})
    _deploy(gglocal, folder, "a")
    gglocal.wait_for_state("a", "RUNNING")
    before, began = gglocal.component("a").pid, time.monotonic()
    gglocal.kill("a", signal.SIGKILL)
    gglocal.wait_until(lambda: gglocal.component("a").starts == 2 and gglocal.component("a").state == "RUNNING")
    assert time.monotonic() - began < 1.0
    assert gglocal.component("a").pid != before
    assert "signal SIGKILL" in gglocal.log_file("a").read_text()


def test_failing_install_breaks_the_component(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("a", {"install": "exit 3", "run": "touch ran"})
    _deploy(gglocal, folder, "a")
    gglocal.wait_for_state("a", "BROKEN")
    assert gglocal.component("a").starts == 0 and not (gglocal.work_dir("a") / "ran").exists()


def test_install_is_limited_by_its_timeout(gglocal_factory: Factory, folder: RecipeFolder) -> None:
    folder.add("a", {"install": {"Script": "sleep 1000", "Timeout": "{configuration:/limit}"}, "run": "true"}, config={"limit": 0.1})
    nucleus = gglocal_factory(profile="classic")  # Nucleus Lite takes no variable there
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "ERRORED")
    assert "install exceeded its Timeout of 0.1 s" in nucleus.tail("a")


def test_hard_dependent_waits_for_and_restarts_with_its_dependency(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("base", {"startup": "read go < gate; sleep 1000 &"})
    folder.add("app", {"run": "sleep 1000"}, needs={"base": "HARD"})
    folder.add("other", {"run": "sleep 1000"}, needs={"base": "SOFT"})
    gglocal.work_dir("base").mkdir(parents=True)
    gate = gglocal.work_dir("base") / "gate"
    os.mkfifo(gate)
    assert _deploy(gglocal, folder, "app", "other")[0] == "base"
    gglocal.wait_for_state("base", "STARTING")
    gglocal.wait_for_state("app", "INSTALLED")
    assert gglocal.component("app").state == "INSTALLED"
    gate.write_text("go\n")
    for name in ("base", "app", "other"):
        gglocal.wait_for_state(name, "RUNNING")

    gglocal.restart("base")
    gglocal.wait_for_state("app", "INSTALLED")
    gate.write_text("go\n")
    gglocal.wait_until(lambda: gglocal.component("app").starts == 2 and gglocal.component("app").state == "RUNNING")
    assert gglocal.component("other").starts == 1


def test_finished_dependency_is_satisfied(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("once", {"run": "true"})
    folder.add("suite", {"install": "true"}, needs={"once": "HARD"})
    _deploy(gglocal, folder, "suite")
    gglocal.wait_for_state("suite", "FINISHED")


def test_stop_ends_detached_processes(gglocal_factory: Factory, folder: RecipeFolder) -> None:
    nucleus = gglocal_factory()
    # The first process leaves the process group, the second ignores SIGTERM.
    folder.add(
        "a",
        {
            "startup": (
                "setsid sh -c 'echo $$ > away; exec sleep 1000' & "
                "sh -c 'trap \"\" TERM; echo $$ > stubborn; while :; do sleep 1; done' & wait_for=1"
            )
        },
    )
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "RUNNING")
    pids = [int(_line(nucleus.work_dir("a") / name)) for name in ("away", "stubborn")]
    assert all(map(_lives, pids))
    nucleus.stop()
    assert not any(map(_lives, pids))


def test_lite_ignores_shutdown_with_a_log_line(gglocal_factory: Factory, folder: RecipeFolder) -> None:
    nucleus = gglocal_factory()
    folder.add("a", {"run": "sleep 1000", "shutdown": "touch was_shut_down"})
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "RUNNING")
    nucleus.stop()
    assert not (nucleus.work_dir("a") / "was_shut_down").exists()
    assert "step shutdown ignored: Nucleus Lite does not run it" in nucleus.log_file("a").read_text()


def test_classic_runs_shutdown_recover_and_skipif(gglocal_factory: Factory, folder: RecipeFolder) -> None:
    nucleus = gglocal_factory(profile="classic")
    folder.add(
        "a",
        {
            "Install": {"script": "touch installed", "SkipIf": "exists /"},
            "run": "test -e recovered && sleep 1000",
            "recover": "touch recovered",
            "shutdown": "touch was_shut_down",
        },
        manifest={"Platform": {"os": "/linux|darwin/"}},
    )
    _deploy(nucleus, folder, "a")
    nucleus.wait_until(lambda: nucleus.component("a").starts == 2 and nucleus.component("a").state == "RUNNING")
    assert not (nucleus.work_dir("a") / "installed").exists()
    (nucleus.work_dir("a") / "was_shut_down").unlink(missing_ok=True)
    nucleus.stop()
    assert (nucleus.work_dir("a") / "was_shut_down").exists()


@pytest.mark.parametrize("skip_if, ran", [("exists /", ""), ("!exists /", "run"), ("onpath sh", ""), ("onpath no-such-program", "run")])
def test_classic_skips_startup_and_run(gglocal_factory: Factory, folder: RecipeFolder, skip_if: str, ran: str) -> None:
    nucleus = gglocal_factory(profile="classic")
    startup = {"Script": "echo startup >> ran", "Skipif": "exists {work:path}"}
    folder.add("a", {"startup": startup, "run": {"Script": "echo run >> ran", "Skipif": skip_if}})
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "FINISHED")
    path = nucleus.work_dir("a") / "ran"
    assert (path.read_text().split() if path.exists() else []) == ran.split()
    assert "startup skipped: exists {work:path}" in nucleus.tail("a")


def test_classic_runs_recover_after_each_error(gglocal_factory: Factory, folder: RecipeFolder) -> None:
    nucleus = gglocal_factory(profile="classic")
    folder.add("a", {"run": "echo run >> order; exit 1", "recover": "echo recover >> order"})
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "BROKEN")
    assert (nucleus.work_dir("a") / "order").read_text().split() == ["run", "recover"] * 3


def test_changed_recipe_replaces_a_running_component(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("a", {"run": "sleep 1000"})
    folder.add("b", {"run": "sleep 1000"})
    _deploy(gglocal, folder, "a", "b")
    gglocal.wait_for_state("a", "RUNNING")
    folder.add("a", {"run": "sleep 2000"}, "1.1.0")
    _deploy(gglocal, folder, "a")
    gglocal.wait_until(lambda: gglocal.component("a").version == "1.1.0" and gglocal.component("a").state == "RUNNING")
    assert gglocal.component("b").starts == 1


@pytest.mark.parametrize("profile, restarts", [("lite", 2), ("classic", 1)])
def test_configuration_change_restarts_the_component_on_lite(
    gglocal_factory: Factory, folder: RecipeFolder, profile: str, restarts: int
) -> None:
    nucleus = gglocal_factory(profile=profile)
    folder.add("a", {"run": "sleep 1000"}, config={"x": 1})
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "RUNNING")
    _deploy(nucleus, folder, "a", a={"merge": {"x": 2}})
    nucleus.wait_until(lambda: nucleus.component("a").starts == restarts and nucleus.component("a").state == "RUNNING")
    assert nucleus.component("a").configuration == {"x": 2}


def test_long_root_path_moves_its_sockets(gglocal_factory: Factory, folder: RecipeFolder, tmp_path: Path) -> None:
    nucleus = gglocal_factory(root=tmp_path / ("deep" * 30) / "root")
    folder.add("a", {"run": "test -S $AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"})
    _deploy(nucleus, folder, "a")
    nucleus.wait_for_state("a", "FINISHED")


def test_root_folder_has_one_nucleus(gglocal_factory: Factory, tmp_path: Path) -> None:
    gglocal_factory(root=tmp_path / "root")
    with pytest.raises(NucleusError, match="already running in this root"):
        gglocal_factory(root=tmp_path / "root")


def test_component_in_another_language_runs(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("a", {"run": f"exec {sys.executable} -c 'import os; print(os.getcwd())'"})
    _deploy(gglocal, folder, "a")
    gglocal.wait_for_state("a", "FINISHED")
    assert f"stdout: {gglocal.work_dir('a')}" in gglocal.tail("a")


def test_members_finds_the_processes_of_a_session(gglocal: Nucleus, folder: RecipeFolder) -> None:
    folder.add("a", {"run": "sleep 1000 & sleep 1000 & wait"})
    _deploy(gglocal, folder, "a")
    gglocal.wait_for_state("a", "RUNNING")
    pid = gglocal.component("a").pid
    assert pid is not None and pid in members({pid}, "no such mark")


@pytest.mark.parametrize(
    "profile, script, state",
    [
        ("classic", "false", "BROKEN"),
        ("lite", "false", "RUNNING"),
        ("lite", "false || exit 1", "BROKEN"),
    ],
)
def test_lite_ignores_the_exit_code_of_startup(
    gglocal_factory: Factory, folder: RecipeFolder, profile: str, script: str, state: str
) -> None:
    folder.add("a", {"startup": script})
    nucleus = gglocal_factory(profile=profile)
    nucleus.deploy(folder.recipes, merge={"a": "1.0.0"})
    assert nucleus.wait_for_state("a", state) == state
