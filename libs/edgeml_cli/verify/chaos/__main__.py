"""Drives seeded random faults through the deployed pipeline, several runs at a time, and adds up what came of it: `edgeml dev chaos`.

Exit code: 0: every promise was kept; 1: one was not; 2: the command line is wrong; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgeml_cli.build.package import ROOT, BuildError
from edgeml_cli.verify.chaos.broken_component import check_third_error
from edgeml_cli.verify.chaos.fault_schedule import NEEDS_PRELOAD
from edgeml_cli.verify.chaos.scenarios import SCENARIOS
from edgeml_cli.verify.chaos.workspace import Workspace, silence_gglocal
from gglocal.cli.arguments import number, whole
from gglocal.process.preload import compiler
from gglocal.profile import PROFILES

LARGEST = ("longest_silence_s",)
"""Figures of which the largest counts; all others add up."""


class Runs:
    """All runs of one call; each is a process of its own, so that one that hangs or dies takes no other with it."""

    def __init__(self, place: Workspace, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._printing = threading.Lock()
        self._going: set[subprocess.Popen[str]] = set()

    def say(self, line: str) -> None:
        with self._printing:
            print(line, flush=True)

    def run(self, seed: int, scenario: str = "") -> dict[str, Any]:
        """One seed's result, or a scenario's, as `edgeml_cli.verify.chaos.run` prints it."""
        seconds, label = (SCENARIOS[scenario].seconds, scenario) if scenario else (self._seconds, f"seed {seed:3d}")
        command = [sys.executable, "-m", "edgeml_cli.verify.chaos.run", "--seed", str(seed), "--seconds", str(seconds)]
        command += ["--scenario", scenario] if scenario else []
        process = subprocess.Popen(
            [*command, "--profile", self._place.profile, "--place", str(self._place.path)], stdout=subprocess.PIPE, text=True
        )
        self._going.add(process)
        last = ""
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last = line.rstrip("\n")
                if not last.startswith("{"):
                    self.say(last)
        finally:
            process.wait()
            self._going.discard(process)
        try:
            result: dict[str, Any] = json.loads(last)
        except ValueError:
            sentence = f"the run ended with exit code {process.returncode} and without a result"
            result = {"seed": seed, "faults": {}, "figures": {}, "violations": [[seconds, sentence]]}
        for at_s, sentence in result["violations"]:
            self.say(f"{label}  VIOLATED at {at_s:.1f} s: {sentence}")
        figures = result["figures"]
        self.say(
            f"{label}  done: {sum(result['faults'].values())} faults, {figures.get('alarms', 0)} alarms, longest silence "
            f"{figures.get('longest_silence_s', 0)} s, {len(result['violations'])} promises violated"
        )
        return result

    def check_third_error(self) -> str:
        """See `edgeml_cli.verify.chaos.broken_component`."""
        wrong = check_third_error(self._place, "third-error")
        self.say(f"VIOLATED: {wrong}" if wrong else "third error: the component is BROKEN, as it must be")
        return wrong

    def end(self) -> None:
        """End what still runs; each nucleus takes its components with it."""
        for process in list(self._going):
            process.terminate()


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = parser().parse_args(argv)
    silence_gglocal()
    begun = time.monotonic()
    place = Workspace(arguments.out.absolute(), arguments.profile)
    runs = Runs(place, arguments.minutes * 60)
    try:
        place.set_up(runs.say)
    except (BuildError, OSError) as fault:
        print(f"edgeml dev chaos: {fault}", file=sys.stderr)
        return 2
    if compiler() is None:
        runs.say(f"Without {' and '.join(NEEDS_PRELOAD)}: they need a C compiler, and there is no cc.")
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            third = pool.submit(runs.check_third_error)
            planned = [name for name, each in SCENARIOS.items() if compiler() is not None or not each.shim]
            by_hand = [pool.submit(runs.run, seeds[0], name) for name in planned]
            results = list(pool.map(runs.run, seeds)) + [each.result() for each in by_hand]
            wrong = third.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            runs.end()
            print("edgeml dev chaos: interrupted; everything is stopped", file=sys.stderr)
            return 130
    told = total(results) | {
        "third_error_is_broken": not wrong,
        "profile": arguments.profile,
        "seeds": [seeds[0], seeds[-1]],
        "scenarios": planned,
        "minutes_per_seed": arguments.minutes,
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(told), flush=True)
    return 1 if told["violations"] or wrong else 0


def total(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all runs together."""
    faults: Counter[str] = Counter()
    figures: dict[str, float] = {}
    for result in results:
        faults.update(result["faults"])
        for name, value in result["figures"].items():
            figures[name] = max(figures.get(name, 0), value) if name in LARGEST else figures.get(name, 0) + value
    return {
        "runs": len(results),
        "faults": faults.total(),
        "faults_by_kind": dict(sorted(faults.items())),
        **figures,
        "violations": sum(len(result["violations"]) for result in results),
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml dev chaos",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="The deployed pipeline under seeded random faults, compared with what ought to come out.",
    )
    made.add_argument("--seeds", type=whole(1, 10**6), default=2, help="how many runs, each with the next seed")
    made.add_argument("--seed", type=whole(0, 2**32 - 1), default=1, help="the first seed; the same one gives the same faults again")
    made.add_argument("--minutes", type=number(0.4, 10**6), default=2.0, help="how long each run is disturbed")
    made.add_argument("--profile", choices=tuple(PROFILES), default="lite", help="which nucleus to stand in for")
    made.add_argument("--jobs", type=whole(1, 1000), default=os.cpu_count() or 1, help="runs at a time")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "chaos", help="where the nuclei, their logs and the packages are kept")
    return made


if __name__ == "__main__":
    sys.exit(main())
