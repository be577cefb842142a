"""Builds the documentation site into build/site, strictly: any warning is a failure. The command `edgeml dev docs`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from edgeml_cli.environments import ROOT


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(prog="edgeml dev docs", description="Build the documentation site; any warning is a failure.")
    made.add_argument("--serve", action="store_true", help="serve it on 127.0.0.1:8000, and rebuild it at each change")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "site", metavar="DIR", help="default: build/site in the checkout")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code of MkDocs: 0, or 1 when it warned."""
    options = parser().parse_args(arguments)
    what = ["serve"] if options.serve else ["build", "--site-dir", str(options.out.absolute())]
    command = [sys.executable, "-m", "mkdocs", *what, "--strict", "--config-file", str(ROOT / "mkdocs.yml")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    if options.serve:
        return subprocess.run(command, env=environment, check=False).returncode
    # Not `--quiet`, which makes MkDocs count no warnings.
    ran = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in ran.stdout.splitlines():
        if not line.startswith("INFO"):
            print(line, file=sys.stderr)
    if ran.returncode == 0:
        print(f"{options.out / 'index.html'}")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
