"""`edgeml model evaluate`: see `--help`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

from edgeml.errors import EdgemlError
from edgeml.model.bundle import Bundle
from model_training.evaluation import predictions, recordings, report
from model_training.evaluation.run import Evaluated, evaluate
from model_training.output_paths import check_file, check_folder
from model_training.progress import to_stderr


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when nothing could be judged."""
    given = parser().parse_args(arguments)
    begun = time.monotonic()

    def say(text: str) -> None:
        to_stderr(f"evaluate: [{time.monotonic() - begun:5.1f} s] {text}")

    unfit = _unfit(given)
    if unfit:
        print(f"edgeml model evaluate: {unfit}", file=sys.stderr)
        return 1
    try:
        bundles = [Bundle.load(folder) for folder in given.bundle]
        found = recordings.find(given.data, bundles[0].manifest.interval_s)
        for sentence in (*found.left_out, *found.remarks):
            print(f"edgeml model evaluate: {sentence}", file=sys.stderr)
        result, judged = evaluate(bundles, found, given.data, given.levels, given.audits, say)
        if given.baselines:
            from model_training.evaluation import baselines

            result["baselines"] = baselines.table(found, given.data, bundles[0].manifest.prior, say)
    except EdgemlError as fault:
        print(f"edgeml model evaluate: {fault}", file=sys.stderr)
        return 1
    print(text(result))
    try:
        _write(given, result, judged, found)
    except ModuleNotFoundError as fault:
        print(
            f"edgeml model evaluate: --report wants {fault.name}, which is not installed; run `scripts/env test`, then this again",
            file=sys.stderr,
        )
        return 1
    except OSError as fault:
        print(f"edgeml model evaluate: {fault.filename}: cannot be written ({fault.strerror}); name another file", file=sys.stderr)
        return 1
    return 0


def _unfit(given: argparse.Namespace) -> str:
    """Why what will come cannot be written, before it takes minutes; else empty."""
    if given.report and importlib.util.find_spec("matplotlib") is None:
        return "--report needs matplotlib, which is not installed; run `scripts/env report`, then this again"
    files = [check_file(path) for path in (given.predictions, given.result) if path]
    folders = [check_folder(given.report)] if given.report else []
    return next(filter(None, (*files, *folders)), "")


def _write(given: argparse.Namespace, result: dict[str, Any], judged: list[Evaluated], found: recordings.Found) -> None:
    if given.predictions:
        first = judged[0]
        free = predictions.whole_free(first.judge, found.free, [*first.near, *first.later])
        predictions.write(given.predictions, [*first.stretches, *free])
    if given.result:
        given.result.parent.mkdir(parents=True, exist_ok=True)
        given.result.write_text(report.to_json(result), encoding="utf-8")
    if given.report:
        from model_training.report import anomaly

        anomaly.write(given.report, result, judged)


def text(result: dict[str, Any]) -> str:
    """The whole report."""
    parts = [_data(result["data"])]
    for bundle in result["bundles"]:
        parts.append(_bundle(bundle))
    if "crosswise" in result:
        parts.append(report.crosswise(result["crosswise"]))
    if result["quantised"]:
        parts.append(report.quantised(result["quantised"]))
    if "baselines" in result:
        parts.append(report.baselines(result["baselines"]))
    return "\n\n".join(parts)


def _data(data: dict[str, Any]) -> str:
    n, unlabelled = len(data["recordings"]), len(data["unlabelled"])
    said = f"{data['folder']}: {n} recordings" + (f", {unlabelled} of them without labels" if unlabelled else "")
    said += f", {len(data['free'])} of normal running" if data["free"] else ", none of normal running"
    left_out = len(data["left_out"])
    return said + (f"; {left_out} file{'s are' if left_out > 1 else ' is'} left out" if left_out else "")


def _bundle(bundle: dict[str, Any]) -> str:
    head = (
        f"{bundle['where']}: {bundle['name']} {bundle['version']}, {bundle['weights']}, seed {bundle['seed']}, {bundle['bytes']} bytes, "
        f"{bundle['engine']}, {bundle['digest'][:16]}…, verdict level {bundle['verdict_level']:g}, prior {bundle['prior']:g}"
    )
    parts = [head, report.figures(bundle["figures"]), report.recordings([*bundle["recordings"], *bundle["normal"]])]
    if "later_normal" in bundle:
        later = bundle["later_normal"]
        parts.append(
            f"  normal running after row 4699: false-alarm rate {report.percent(later['normal_false_alarm_rate'])} "
            f"of {later['normal_rows']} rows, {later['normal_false_alarms']} alarms in {report.number(later['normal_hours'], 2)} h"
        )
    if "audits" in bundle:
        parts.append(report.audits(bundle["audits"]))
    return "\n\n".join(parts)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml model evaluate", description="Judge a model bundle on recordings, through the code that the components run."
    )
    made.add_argument("--data", type=Path, required=True, help="folder with <group>/<n>.csv, and anomaly-free/*.csv")
    made.add_argument(
        "--bundle",
        type=Path,
        required=True,
        action="append",
        help="folder of a bundle; several times: seeds and designs, chosen among crosswise; int8 and float32, compared",
    )
    made.add_argument("--predictions", type=Path, help="file to write a line for each row to (of the first bundle)")
    made.add_argument("--result", type=Path, metavar="FILE", help="file to write the result to, as JSON")
    made.add_argument("--report", type=Path, help="folder to write a model card with plots to; wants matplotlib")
    made.add_argument("--baselines", action="store_true", help="compare with simpler methods, from a cache in build/")
    made.add_argument("--levels", type=_levels, default=(), help="verdict levels to choose among crosswise, such as 0.4,0.5,0.6")
    made.add_argument("--no-audits", dest="audits", action="store_false", help="leave out the audits, which take most of the time")
    return made


def _levels(text: str) -> tuple[float, ...]:
    try:
        levels = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} has what is not a number; write levels such as 0.4,0.5,0.6") from None
    if not all(0 <= level <= 1 for level in levels):
        raise argparse.ArgumentTypeError(f"{text!r} has a level outside 0 to 1")
    return levels


if __name__ == "__main__":
    sys.exit(main())
