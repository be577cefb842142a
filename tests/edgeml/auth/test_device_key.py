"""The device key: found, created once, and readable only by its owner."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgeml.auth import device_key
from edgeml.auth.device_key import HOMES, NAME, create, find, obtain
from edgeml.errors import AuthenticationError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def work(tmp_path: Path) -> list[Path]:
    """The work directories of a core, as the nucleus makes them."""
    homes = [tmp_path / "work" / name for name in HOMES]
    for home in homes:
        home.mkdir(parents=True, mode=0o700)
    return homes


def test_homes_are_the_components_of_the_suite() -> None:
    assert sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml") if "Suite" not in path.stem) == list(HOMES)


def test_first_component_creates_the_key_and_all_find_it(work: list[Path]) -> None:
    key = obtain(work[2])
    assert len(key) == 64 and int(key, 16) >= 0
    assert [obtain(home) for home in work] == [key] * 3
    assert [path.parent for path in work[0].parent.rglob("*") if path.is_file()] == [work[0]]
    assert stat.S_IMODE((work[0] / NAME).stat().st_mode) == 0o600


def test_single_component_creates_the_key_in_its_own_directory(tmp_path: Path) -> None:
    own = tmp_path / "work" / HOMES[1]
    own.mkdir(parents=True)
    key = obtain(own)
    assert (own / NAME).is_file()
    earlier = tmp_path / "work" / HOMES[0]
    earlier.mkdir()
    assert obtain(earlier) == key  # an existing key stays where it is


def test_component_of_another_vendor_finds_the_key(work: list[Path]) -> None:
    key = obtain(work[0])
    own = work[0].parent / "com.example.Mine"
    own.mkdir()
    assert obtain(own) == key


def test_concurrent_starts_agree_on_one_key(work: list[Path]) -> None:
    with ThreadPoolExecutor(12) as pool:
        keys = set(pool.map(obtain, work * 8))
    assert len(keys) == 1 and keys == {find(work[0])}


def test_first_place_wins_if_there_are_two_keys(work: list[Path]) -> None:
    for home in work[1:]:
        (home / NAME).write_text(home.name.ljust(40, "x"))
        (home / NAME).chmod(0o600)
    assert {obtain(home) for home in work} == {HOMES[1].ljust(40, "x").encode()}


def test_partial_key_is_never_visible(work: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(device_key.os, "fsync", lambda number: seen.append(find(work[0])))
    create(work[0])
    assert seen == [None] and find(work[0]) is not None


BAD = {
    "readable by others": (lambda path: path.chmod(0o640), "other users may read the device key; run: chmod 600"),
    "too short": (lambda path: path.write_text("secret\n"), "has 6 characters, expected at least 32"),
    "too long": (lambda path: path.write_text("x" * 5000), "characters, expected at least"),
    "empty": (lambda path: path.write_text(""), "has 0 characters"),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_key_is_refused_and_left_unchanged(work: list[Path], name: str) -> None:
    obtain(work[0])
    spoil, sentence = BAD[name]
    spoil(work[0] / NAME)
    before = (work[0] / NAME).read_bytes()
    for key_file in ("", str(work[0] / NAME)):
        with pytest.raises(AuthenticationError, match=sentence):
            obtain(work[1], key_file)
    assert (work[0] / NAME).read_bytes() == before


def test_link_and_pipe_are_refused(work: list[Path], tmp_path: Path) -> None:
    (tmp_path / "real").write_text("f" * 64)
    (tmp_path / "real").chmod(0o600)
    (work[0] / NAME).symlink_to(tmp_path / "real")
    with pytest.raises(AuthenticationError, match="cannot be read"):
        obtain(work[1])
    assert obtain(work[1], str(work[0] / NAME)) == b"f" * 64  # a configured file may be a link
    (work[0] / NAME).unlink()
    os.mkfifo(work[0] / NAME, 0o600)
    with pytest.raises(AuthenticationError, match="not a regular file"):
        obtain(work[1])


def test_missing_work_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match=r"cannot be created \(No such file or directory\); make the work directory writable"):
        obtain(tmp_path / "absent" / "work")


DROP = """
import os, sys
from pathlib import Path
from edgeml.errors import AuthenticationError
from edgeml.auth.device_key import obtain
from edgeml.auth.sign_cli import signed
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0)
work, file = Path(sys.argv[1]), sys.argv[2]
message = b'{"type": "command-ack", "id": "x", "asset": "p", "status": "executed"}'
for attempt in (lambda: obtain(work), lambda: obtain(work, file), lambda: signed("edgeml/commands/ack", message, Path(file), "me")):
    try:
        print(attempt().decode())
    except AuthenticationError as fault:
        print(fault)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another user")
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["classic", "lite"])
def test_component_of_another_user_cannot_read_the_key(tmp_path: Path, mode: int) -> None:
    """The work directories' modes are those of each nucleus; each is its component's user's own."""
    place = Path("/tmp") / f"edgeml-neighbour-{os.getpid()}-{mode:o}"  # pytest's own folder is closed to others
    try:
        ours, theirs = place / HOMES[0], place / "com.example.Neighbour"
        for home in (ours, theirs):
            home.mkdir(parents=True)
            home.chmod(mode)
        place.chmod(0o755)
        os.chown(theirs, 65534, 65534)
        key = obtain(ours).decode()
        command = [sys.executable, "-c", DROP, str(theirs), str(ours / NAME)]
        environment = {"PYTHONPATH": str(ROOT / "libs")}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")
        assert ran.returncode == 0, ran.stderr
        lines = ran.stdout.splitlines()
        assert key not in ran.stdout + ran.stderr and len(lines) == 3
        assert len(lines[0]) == 64 and (theirs / NAME).read_text().strip() == lines[0]  # a key of its own, which no component accepts
        assert "Permission denied" in lines[1] and "Permission denied" in lines[2]
        assert obtain(ours).decode() == key
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)
