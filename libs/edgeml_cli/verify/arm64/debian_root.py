"""A Debian root file system for 64-bit ARM, and commands in it.

Needs root privileges and the standard library. `debootstrap` creates the root. On a machine of another architecture,
`qemu-user-static` and `binfmt-support` run its programs. Commands run in separate namespaces, so that mounts and processes end
with them.
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
"""Stamp in a complete root: the suite and packages from which it was created."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
COPIED = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files that configure name resolution, certificates and the package index in the root as on this machine."""
HANDED_ON = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "EDGEML_")
"""Prefixes of the environment variables that are passed to commands in the root."""


class RootError(Exception):
    """The root cannot be used; the text is one sentence with the remedy."""


class Root:
    """The root file system in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def make(self, say: Callable[[str], None], mirror: str = "") -> None:
        """Create the root with debootstrap if it does not exist, and check that this machine can run its programs.

        Args:
            mirror: mirror of Debian's packages; empty selects debootstrap's default.

        Raises:
            RootError: privileges, debootstrap or the emulator are missing, or debootstrap failed.
        """
        if os.geteuid() != 0:
            raise RootError("creating and entering a root file system needs root privileges; run this with sudo")
        emulate()
        content = " ".join((SUITE, *PACKAGES))
        stamp = self.path / MADE
        if not (stamp.is_file() and stamp.read_text() == content):
            if shutil.which("debootstrap") is None:
                raise RootError("debootstrap is not installed; run: apt install debootstrap")
            if self.path.exists() and any(self.path.iterdir()) and not (self.path / "debootstrap").exists():
                raise RootError(f"{self.path} contains files that this command did not create; choose another directory, or empty it")
            say(f"creating an arm64 Debian root in {self.path}; the first time, this downloads packages and takes some minutes")
            shutil.rmtree(self.path, ignore_errors=True)
            command = ["debootstrap", "--arch=arm64", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(self.path)]
            result = subprocess.run([*command, *([mirror] if mirror else [])], capture_output=True, text=True, check=False)
            if result.returncode:
                last = ([line for line in (result.stdout + result.stderr).splitlines() if line.strip()] or ["no message"])[-1]
                raise RootError(f"debootstrap failed: {last}; correct this, or give a mirror with --mirror")
            stamp.write_text(content)
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
        """The command line that runs a command in the root.

        Args:
            binds: mount points in the root of directories of this machine.
            network: False disables the network, including loopback.
        """
        inside = shlex.quote(str(self.path))
        lines = ["set -e", f"mount -t proc proc {inside}/proc", f"mount --rbind /dev {inside}/dev"]
        if not emulated():
            # Under emulation, /sys describes another architecture, and LiteRT crashes when it counts processors; without /sys it does not.
            lines.append(f"mount --rbind /sys {inside}/sys")
        for place, name in (binds or {}).items():
            target = shlex.quote(f"{self.path}{name}")
            lines += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(place.absolute()))} {target}"]
        environment = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        environment |= {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
        variables = [f"{name}={value}" for name, value in sorted(environment.items())]
        entered = ["chroot", str(self.path), "/usr/bin/env", "-i", f"--chdir={cwd}", *variables, *command]
        lines.append(f"exec {shlex.join(entered)}")
        isolation = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        return [*isolation, *([] if network else ["--net"]), "sh", "-c", "\n".join(lines)]

    def run(
        self,
        command: Sequence[str],
        binds: Mapping[Path, str] | None = None,
        cwd: str = "/",
        network: bool = True,
    ) -> int:
        """Run a command in the root; returns its exit code."""
        return subprocess.call(self.command(command, binds, cwd, network))


def emulated() -> bool:
    """Whether this machine has another architecture."""
    return platform.machine() != "aarch64"


def emulate() -> None:
    """Check that this machine can run 64-bit ARM programs, and register the emulator with the kernel if needed.

    Raises:
        RootError: the machine cannot run them.
    """
    if not emulated() or _registered():
        return
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], capture_output=True, check=False)
    if shutil.which("update-binfmts"):
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], capture_output=True, check=False)
    if not _registered():
        raise RootError(
            "this machine cannot run 64-bit ARM programs; run: apt install qemu-user-static binfmt-support; in a container, also permit"
            " mounting binfmt_misc, or register qemu-aarch64 on the host"
        )


def _registered() -> bool:
    # Flag F: the kernel opened the emulator at registration, so it works inside another root.
    entry = BINFMT / "qemu-aarch64"
    return (
        entry.is_file()
        and "enabled" in (text := entry.read_text())
        and any(line.startswith("flags:") and "F" in line for line in text.splitlines())
    )
