"""Runs the suite at ten times the default rate and checks that its resource usage does not grow: `edgeml dev soak`.

It deploys the built zips to the local nucleus, with ten simulated pumps at one row a second and the default configuration. The
last line is a JSON object. Exit code: 0: all bounds held; 1: a bound was exceeded; 2: the command line is wrong; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from edgeml_cli.build.package import ROOT, BuildError
from edgeml_cli.verify.chaos.workspace import Workspace, silence_gglocal
from edgeml_cli.verify.soak.run import Soak, SoakError
from gglocal.errors import GglocalError
from gglocal.profile import PROFILES


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.warmup >= arguments.minutes:
        print(
            f"edgeml dev soak: --warmup {arguments.warmup:g} must be shorter than --minutes {arguments.minutes:g}",
            file=sys.stderr,
        )
        return 2
    silence_gglocal()
    place = Workspace(arguments.out.absolute(), arguments.profile)
    try:
        place.set_up(say)
    except (BuildError, OSError) as fault:
        print(f"edgeml dev soak: {fault}", file=sys.stderr)
        return 2
    soak = Soak(place, arguments.minutes, arguments.warmup, arguments.every, arguments.most, say)
    try:
        figures = soak.go()
    except (SoakError, GglocalError) as fault:
        print(f"edgeml dev soak: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("edgeml dev soak: interrupted; all processes have been stopped", file=sys.stderr)
        return 130
    for problem in figures["problems"]:
        print(f"edgeml dev soak: {problem}", file=sys.stderr, flush=True)
    print(json.dumps(figures), flush=True)
    return 1 if figures["problems"] else 0


def say(line: str) -> None:
    print(line, flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml dev soak",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="The deployed suite at ten times the default rate, and whether its memory, threads, descriptors and queues stay flat.",
    )
    made.add_argument("--minutes", type=_positive, default=60.0, help="how long in all")
    made.add_argument("--warmup", type=_positive, default=15.0, help="minutes at the start that are not evaluated")
    made.add_argument("--every", type=_positive, default=5.0, help="seconds between two samples")
    made.add_argument("--most", type=_positive, default=1.0, help="MiB an hour by which a process may grow")
    made.add_argument("--profile", choices=tuple(PROFILES), default="lite", help="which nucleus to stand in for")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "soak", help="where the nucleus, its logs and the packages are kept")
    return made


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
