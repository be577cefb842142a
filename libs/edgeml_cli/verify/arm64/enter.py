"""`python3 -m edgeml_cli.verify.arm64.enter ROOT [--bind DIR]... -- COMMAND...`: a command in a root that edgeml dev test-arm64 made.

Directories are found there under the names that they have here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgeml_cli.verify.arm64.debian_root import Root, RootError


def main(arguments: list[str] | None = None) -> int:
    """Returns the command's exit code, or 1 when it cannot be run."""
    parser = argparse.ArgumentParser(
        prog="edgeml_cli.verify.arm64.enter", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--bind", type=Path, action="append", default=[], help="a directory that the command sees")
    parser.add_argument("--mirror", default="", help="of Debian's packages, for a root that is not there yet; default: debootstrap's")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    root = Root(given.root)
    try:
        root.make(lambda text: print(f"arm64: {text}", file=sys.stderr, flush=True), given.mirror)
    except RootError as fault:
        print(f"arm64: {fault}", file=sys.stderr)
        return 1
    return root.run(given.command, {each.absolute(): str(each.absolute()) for each in given.bind})


if __name__ == "__main__":
    sys.exit(main())
