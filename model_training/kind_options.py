"""The options of each kind of model on the command line.

Requires only the standard library, so that the help of a kind does not need its packages.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def recordings(parser: argparse.ArgumentParser) -> None:
    """Options of a kind that trains on a folder of recordings."""
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="folder with the recordings")


def machine(parser: argparse.ArgumentParser) -> None:
    """Options of a model of any machine."""
    parser.add_argument(
        "--data", type=Path, nargs="+", action="extend", metavar="FILE", help="CSV, Parquet or captured rows of normal running"
    )
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="folder with such files, instead of --data")
    parser.add_argument("--name", required=True, metavar="NAME", help="name of the model, such as air_handling_unit")
    parser.add_argument("--spec", type=Path, metavar="FILE", help="YAML file that corrects the reading of the files")
    parser.add_argument(
        "--budget",
        default="1 per week",
        metavar="TEXT",
        help="false alarms per asset that are acceptable, such as `2 per month` (default: `1 per week`)",
    )


def table(parser: argparse.ArgumentParser) -> None:
    """Options of a kind that trains on tables."""
    parser.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="folder with the tables; without --target and --spec, the "
        "folder of the public data set of the example, which is downloaded otherwise",
    )
    parser.add_argument("--data", type=Path, nargs="+", action="extend", metavar="FILE", help="CSV or Parquet files with the rows")
    parser.add_argument(
        "--test", type=Path, nargs="+", action="extend", metavar="FILE", help="files with further rows, for the evaluation alone"
    )
    parser.add_argument("--target", metavar="COLUMN", help="column that the model estimates")
    parser.add_argument(
        "--group",
        metavar="COLUMN",
        help="column that names the unit of each row, such as an engine; a unit is either trained on or held out, never both",
    )
    parser.add_argument(
        "--order",
        metavar="COLUMN",
        help="column that orders the rows of a unit, such as a time or a cycle; the model then sees a window of rows",
    )
    parser.add_argument("--spec", type=Path, metavar="FILE", help="YAML file with further settings; see model_training/README.md")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: the target)")


def regression(parser: argparse.ArgumentParser) -> None:
    """Options of regression."""
    table(parser)
    parser.add_argument(
        "--run-to-failure",
        action="store_true",
        help="the last row of each unit is its failure: estimate the number of rows left; needs --group",
    )
    parser.add_argument("--horizon", type=float, metavar="NUMBER", help="the confidence is the probability that the target is below this")
    parser.add_argument("--above", type=float, metavar="NUMBER", help="the confidence is the probability that the target is above this")
    parser.add_argument("--cap", type=float, metavar="NUMBER", help="larger targets count as this one")


def classification(parser: argparse.ArgumentParser) -> None:
    """Options of classification."""
    table(parser)
    parser.add_argument("--normal", metavar="CLASS", help="the class in which nothing is wrong (default: the most frequent class)")
