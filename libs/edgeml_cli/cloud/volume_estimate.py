"""Estimates the messages and the storage of a fleet in a month from the components' configuration: `edgeml cloud estimate`.

Message sizes are measured on samples that the components' own code encodes. The number of alarms is an argument, because no
configuration determines it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from edgeml_cli.cloud.device_load import DeviceLoad, device_load
from edgeml_cli.cloud.volume_formulas import quantities
from edgeml_cli.fleet import config_check
from edgeml_cli.fleet.errors import FleetError, report_errors
from gglocal.cli.arguments import number

FLEET_SIZES = (1, 1000, 100_000)
BEGIN, END = "<!-- volume: begin -->", "<!-- volume: end -->"
"""Marks in a Markdown file between which `--write` puts the table."""


def markdown(load: DeviceLoad, prices: dict[str, float], fleet_sizes: Iterable[int] = FLEET_SIZES) -> str:
    """The table of quantities with their formulas, and the cost if prices are given.

    Raises:
        FleetError: a price is for an unknown quantity.
    """
    sizes = tuple(fleet_sizes)
    known = {quantity.key: quantity for quantity in quantities(load)}
    rows = [["per month (30 days)", *(f"{n:,} device{'' if n == 1 else 's'}" for n in sizes), "formula for one device"]]
    rows.append(["---", *("---:" for _ in sizes), "---"])
    for quantity in known.values():
        unit = f", {quantity.unit}" if quantity.unit else ""
        rows.append([f"{quantity.label}{unit}", *(_number(quantity.value(n)) for n in sizes), quantity.formula])
    if prices:
        unknown = set(prices) - set(known)
        if unknown:
            raise FleetError(f"prices for unknown quantities: {', '.join(sorted(unknown))}; valid names are {', '.join(known)}")
        costs = [sum(known[key].value(n) / known[key].priced_per * price for key, price in prices.items()) for n in sizes]
        rows.append(["cost, in the currency of the prices", *(f"{cost:,.2f}" for cost in costs), f"sum of {', '.join(sorted(prices))}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml cloud estimate", description="Messages and storage of a month, for fleets of several sizes."
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="merge and reset by component, as edgeml fleet deploy takes it")
    made.add_argument("--alarms", type=number(0, 10**9), default=2.0, metavar="N", help="alarms of a machine in a month (default: 2)")
    made.add_argument("--row-s", type=number(0.001, 10**9), default=1.0, metavar="S", help="seconds between rows (default: 1)")
    made.add_argument("--prices", type=Path, metavar="FILE", help="a YAML map of your region's prices: by million or thousand or GB")
    made.add_argument("--write", type=Path, metavar="FILE", help=f"replace what stands between `{BEGIN}` and `{END}` in this file")
    return made


def run(given: argparse.Namespace) -> int:
    """Do what the command line asks."""
    config = config_check.read_updates(given.config) if given.config else {}
    prices = yaml.safe_load(given.prices.read_text(encoding="utf-8")) if given.prices else {}
    text = markdown(device_load(config, given.alarms, given.row_s), {str(key): float(price) for key, price in (prices or {}).items()})
    if given.write is None:
        print(text, end="")
        return 0
    whole = given.write.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FleetError(f"{given.write} has no `{BEGIN}` and `{END}`; add both where the table belongs")
    given.write.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return report_errors("edgeml cloud estimate", lambda: run(given), begins=False)


if __name__ == "__main__":
    sys.exit(main())
