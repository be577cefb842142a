"""A Debian root of 64-bit ARM, and commands in it.

Needs root's rights, and nothing of Python but the standard library: `debootstrap` makes the root; on a machine of another kind
`qemu-user-static` and `binfmt-support` run what is in it. Commands run in namespaces of their own, so mounts and processes end with them.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "git", "python3", "python3-venv")
MADE = ".edgeml-made-of"
"""In the root, once it is whole: what it was made of."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
COPIED = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""What makes names, certificates and the package index of this machine those of the root."""
HANDED_ON = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "EDGEML_")
"""Beginnings of environment variables that commands in the root get."""


class RootError(Exception):
    """One sentence: what is missing, and the remedy."""


class Root:
    """The root file system in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def make(self, say: Callable[[str], None], mirror: str = "") -> None:
        """Make it with debootstrap, once; and see that this machine runs what is in it.

        Args:
            mirror: of Debian's packages; empty: debootstrap's own.

        Raises:
            RootError: no rights, no debootstrap, no emulation, or debootstrap failed.
        """
        if os.geteuid() != 0:
            raise RootError("a root file system is made and entered with root's rights; run this with sudo")
        emulate()
        wanted = " ".join((SUITE, *PACKAGES))
        stamp = self.path / MADE
        if not (stamp.is_file() and stamp.read_text() == wanted):
            if shutil.which("debootstrap") is None:
                raise RootError("debootstrap is not installed; run: apt install debootstrap")
            if self.path.exists() and any(self.path.iterdir()) and not (self.path / "debootstrap").exists():
                raise RootError(f"{self.path} holds something that was not made by this; name another directory, or empty it")
            say(f"making a Debian root of arm64 in {self.path}; this downloads packages and takes some minutes, once")
            shutil.rmtree(self.path, ignore_errors=True)
            command = ["debootstrap", "--arch=arm64", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(self.path)]
            done = subprocess.run([*command, *([mirror] if mirror else [])], capture_output=True, text=True, check=False)
            if done.returncode:
                last = ([line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no message"])[-1]
                raise RootError(f"debootstrap failed: {last}; see to it, and name a mirror with --mirror where this machine has its own")
            stamp.write_text(wanted)
        for name in COPIED:
            if Path(name).is_file():
                inside = self.path / name.lstrip("/")
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.unlink(missing_ok=True)
                shutil.copyfile(name, inside)

    def command(
        self,
        command: Sequence[str],
        binds: Mapping[Path, str] | None = None,
        cwd: str = "/",
        network: bool = True,
    ) -> list[str]:
        """What runs a command in it.

        Args:
            binds: directories of this machine, and where they are in the root.
            network: False: not even a loopback interface that is up.
        """
        inside = shlex.quote(str(self.path))
        lines = ["set -e", f"mount -t proc proc {inside}/proc", f"mount --rbind /dev {inside}/dev"]
        if not emulated():
            # Emulated, /proc and /sys are those of another machine, and LiteRT crashes counting its processors; without /sys it does not.
            lines.append(f"mount --rbind /sys {inside}/sys")
        for place, name in (binds or {}).items():
            target = shlex.quote(f"{self.path}{name}")
            lines += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(place.absolute()))} {target}"]
        environment = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        environment |= {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
        given = [f"{name}={value}" for name, value in sorted(environment.items())]
        entered = ["chroot", str(self.path), "/usr/bin/env", "-i", f"--chdir={cwd}", *given, *command]
        lines.append(f"exec {shlex.join(entered)}")
        apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        return [*apart, *([] if network else ["--net"]), "sh", "-c", "\n".join(lines)]

    def run(
        self,
        command: Sequence[str],
        binds: Mapping[Path, str] | None = None,
        cwd: str = "/",
        network: bool = True,
    ) -> int:
        """Run a command in it; gives the exit code."""
        return subprocess.call(self.command(command, binds, cwd, network))


def emulated() -> bool:
    """Whether this machine is of another kind."""
    return platform.machine() != "aarch64"


def emulate() -> None:
    """See that this machine runs programs of 64-bit ARM, registering the emulator with the kernel where that was not done.

    Raises:
        RootError: it does not, and the remedy.
    """
    if not emulated() or _registered():
        return
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], capture_output=True, check=False)
    if shutil.which("update-binfmts"):
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], capture_output=True, check=False)
    if not _registered():
        raise RootError(
            "this machine does not run programs of 64-bit ARM; run: apt install qemu-user-static binfmt-support; in a container, with the "
            "right to mount binfmt_misc, or register qemu-aarch64 on its host"
        )


def _registered() -> bool:
    # F: the emulator was opened when it was registered, so that it is found from within another root.
    entry = BINFMT / "qemu-aarch64"
    return (
        entry.is_file()
        and "enabled" in (text := entry.read_text())
        and any(line.startswith("flags:") and "F" in line for line in text.splitlines())
    )
