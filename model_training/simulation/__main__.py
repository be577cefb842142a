"""`edgeml data simulate NAME`: the history of a simulated machine as a CSV file, and a later recording with a fault."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from model_training.output_paths import check_folder
from model_training.simulation import SIMULATIONS
from model_training.simulation.recordings import FAULTY, HISTORY, Plan, simulate, write
from model_training.simulation.records import SimulationError

MAX_DAYS = 366
COMMAND = "edgeml data simulate"


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=COMMAND,
        description=f"Simulate a machine: OUT/{HISTORY} of normal running, to train on, and OUT/{FAULTY} of the next days, with a fault.",
        allow_abbrev=False,
    )
    names = result.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, simulation in SIMULATIONS.items():
        own = names.add_parser(name, help=simulation.summary, description=f"Simulate {simulation.summary}.", allow_abbrev=False)
        faults = "; ".join(f"{fault}: {each.summary}" for fault, each in simulation.faults.items())
        own.add_argument("--out", type=Path, required=True, help="output folder")
        own.add_argument("--days", type=int, default=28, help=f"days of {HISTORY} (default: 28)")
        own.add_argument("--normal-days", type=int, default=3, help=f"days of normal running in {FAULTY}, before the fault (default: 3)")
        own.add_argument("--fault-days", type=int, default=2, help="days of the fault (default: 2)")
        own.add_argument("--fault", default=next(iter(simulation.faults)), help=f"{faults} (default: {next(iter(simulation.faults))})")
        own.add_argument("--size", type=float, default=1.0, help="size of the fault; 0 changes nothing (default: 1)")
        own.add_argument("--wear", type=float, default=1.0, help="rate of slow changes that are normal, such as dust (default: 1)")
        own.add_argument("--seed", type=int, default=1, help="another seed gives another course (default: 1)")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        _check(options)
        simulation = SIMULATIONS[options.name]
        plan = Plan(options.days, options.normal_days, options.fault_days, options.fault, options.size, options.seed, options.wear)
        for table, name in zip(simulate(simulation, plan), (HISTORY, FAULTY), strict=True):
            write(simulation, table, options.out / name)
            print(options.out / name)
    except SimulationError as fault:
        print(f"{COMMAND}: {fault}", file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace) -> None:
    for option, least in (("days", 1), ("normal_days", 0), ("fault_days", 1)):
        if not least <= getattr(options, option) <= MAX_DAYS:
            raise SimulationError(f"--{option.replace('_', '-')} {getattr(options, option)} is outside {least} to {MAX_DAYS}; correct it")
    for option in ("size", "wear"):
        if not (math.isfinite(getattr(options, option)) and 0 <= getattr(options, option) <= 10):
            raise SimulationError(f"--{option} {getattr(options, option)} is outside 0 to 10; correct it")
    if options.seed < 0:
        raise SimulationError(f"--seed {options.seed} is negative; write 0 or more")
    if problem := check_folder(options.out):
        raise SimulationError(problem)


if __name__ == "__main__":
    sys.exit(main())
