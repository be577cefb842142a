"""The command `edgeml dev outage`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from edgeml_cli.verify.outage.crash_test import kill
from edgeml_cli.verify.outage.offline_test import offline
from edgeml_cli.verify.outage.undelivered_test import undelivered
from gglocal.cli.arguments import number, whole


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml dev outage")
    commands = made.add_subparsers(dest="command", required=True)
    away = commands.add_parser("offline", help="hours without IoT Core by a simulated clock, then back")
    away.add_argument("--hours", type=number(0.01, 10_000), default=24.0, help="of the outage, simulated (default: 24)")
    away.add_argument("--max-mb", type=number(1, 100_000), default=64.0, help="outbox.max_mb (default: 64)")
    killed = commands.add_parser("kill", help="the process is killed at random instants, and started again")
    killed.add_argument("--times", type=whole(1, 10**6), default=1000, help="how often (default: 1000)")
    killed.add_argument("--seed", type=whole(0, 2**32 - 1), default=1, help="of the instants (default: 1)")
    refused = commands.add_parser(
        "undelivered", help="alerts that the local broker does not take, with relaunches in between, until it does"
    )
    refused.add_argument("--alerts", type=whole(1, 10**6), default=1500, help="how many, at least (default: 1500)")
    return made


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="edgeml-outage-") as place:
        if arguments.command == "offline":
            figures = offline(Path(place), arguments.hours, {"max_mb": arguments.max_mb}, say)
            good = not any(figures[name] for name in ("alerts_lost", "out_of_order", "not_flagged_late", "fresh_flagged_late"))
            good = good and figures["rss_mb_end"] - figures["rss_mb_first_hour"] <= 5
            good = good and (not figures["results_missing"] or bool(figures["dropped"]))
        elif arguments.command == "undelivered":
            figures = undelivered(Path(place), arguments.alerts, say)
            good = not any(figures[name] for name in ("lost", "out_of_order", "cloud_lost", "cloud_out_of_order"))
        else:
            figures = kill(Path(place), arguments.times, arguments.seed, say)
            good = not any(figures[name] for name in ("alerts_lost", "results_lost", "renamed")) and figures["repeated"] <= figures["kills"]
    print(json.dumps(figures))
    return 0 if good else 1


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
