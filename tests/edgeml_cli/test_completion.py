"""The completion scripts, in real shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgeml_cli import completion, main
from edgeml_cli.verbs import FAMILIES, VERBS

pytestmark = pytest.mark.usefixtures("this_interpreter")


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main.main(["completion", shell]) == 0
    path = folder / f"completion.{shell}"
    path.write_text(capsys.readouterr().out)
    return path


def completed(path: Path, *words: str) -> set[str]:
    """The words that bash offers for a command line; the last one is being typed."""
    listed = " ".join(f"'{word}'" for word in ("edgeml", *words))
    program = f"source '{path}'; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _edgeml; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    ran = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return set(ran.stdout.split())


def test_bash_completes_families_verbs_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("bash", tmp_path, capsys)
    assert completed(path, "") == {*FAMILIES, "--help"}
    assert completed(path, "mo") == {"model"}
    assert completed(path, "model", "") == {verb.words.split()[1] for verb in VERBS if verb.family == "model"}
    assert completed(path, "model", "p") == {"parity", "package"}
    assert completed(path, "fleet", "publish", "--wi") == {"--without-gdk"}
    assert {"--fault", "--seed", "--json", "--quiet"} <= completed(path, "demo", "--")
    assert completed(path, "completion", "") == {"bash", "zsh", "fish"}
    assert completed(path, "model", "sign", "some") == set()  # bash offers files then


def test_bash_takes_the_script_for_a_path_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("bash", tmp_path, capsys)
    ran = subprocess.run(["bash", "--norc", "-c", f"source '{path}'; complete -p edgeml"], capture_output=True, text=True, check=True)
    assert ran.stdout == "complete -o default -F _edgeml edgeml\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(shell, tmp_path, capsys)
    text = path.read_text()
    assert all(verb.summary.replace("'", "'\\''") in text for verb in VERBS if " " in verb.words)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", path], check=True)


def test_options_are_left_out_where_a_module_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", fail)
    assert completion.options(VERBS[0]) == ["--help", "--json", "--quiet"]
