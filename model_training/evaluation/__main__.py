"""`edgeml model evaluate`: see `--help`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgeml.errors import EdgemlError
from edgeml.model.bundle import Bundle
from model_training.evaluation import history_run, history_text, injection, predictions, recordings, report, result_json
from model_training.evaluation.run import evaluate
from model_training.history import HistoryError, load_spec
from model_training.output_paths import check_file, check_folder
from model_training.progress import to_stderr
from model_training.training_request import TrainingError

Log = Callable[[str], None]
PREDICTED = "predictions"


def main(arguments: list[str] | None = None) -> int:
    """Evaluate and return the exit status: 0, or 1 if no recording could be evaluated."""
    options = parser().parse_args(arguments)
    started = time.monotonic()

    def log(text: str) -> None:
        to_stderr(f"evaluate: [{time.monotonic() - started:5.1f} s] {text}")

    problem = _output_problem(options)
    if problem:
        return _failed(problem)
    try:
        bundles = [Bundle.load(folder) for folder in options.bundle]
        benchmark = not (options.spec or options.events) and recordings.is_layout(options.data, bundles[0].manifest.names)
        summary = (_benchmark if benchmark else _history)(options, bundles, log)
    except (EdgemlError, TrainingError) as fault:
        return _failed(str(fault))
    except ModuleNotFoundError as fault:
        return _failed(f"needs the Python package {fault.name}, which is not installed; run `scripts/env test`, then this again")
    except OSError as fault:
        return _failed(f"{fault.filename}: cannot be written ({fault.strerror}); name another file")
    print(result_json.to_line(summary))
    return 0


def _failed(problem: str) -> int:
    print(f"edgeml model evaluate: {problem}", file=sys.stderr)
    return 1


def _output_problem(options: argparse.Namespace) -> str:
    """Error message if an output is not writable, verified before the evaluation; else empty."""
    if options.report and importlib.util.find_spec("matplotlib") is None:
        return "--report needs matplotlib, which is not installed; run `scripts/env report`, then this again"
    files = [check_file(path) for path in (options.predictions, options.result) if path]
    folders = [check_folder(options.report)] if options.report else []
    return next(filter(None, (*files, *folders)), "")


def _benchmark(options: argparse.Namespace, bundles: list[Bundle], log: Log) -> dict[str, Any]:
    """Evaluate a folder in the layout of SKAB, and return the figures of the first bundle."""
    if options.inject:
        raise HistoryError("--inject needs files of normal running; name files instead of a folder in the layout of SKAB")
    data = options.data[0]
    dataset = recordings.find(data, bundles[0].manifest.interval_s)
    for sentence in (*dataset.skipped, *dataset.warnings):
        print(f"edgeml model evaluate: {sentence}", file=sys.stderr)
    result, evaluated = evaluate(bundles, dataset, data, options.levels, options.audits, log)
    if options.baselines:
        from model_training.evaluation import baselines

        result["baselines"] = baselines.table(dataset, data, bundles[0].manifest.prior, log)
    print(text(result))
    if options.predictions:
        first = evaluated[0]
        normal = predictions.whole_normal(first.detector, dataset.normal, [*first.near, *first.later])
        prefix = f"{recordings.root_of(data).relative_to(data).as_posix()}/".removeprefix("./")
        predictions.write(options.predictions, predictions.of_segments([*first.segments, *normal], prefix))
    _write_result(options, result)
    if options.report:
        from model_training.report import anomaly

        anomaly.write(options.report, result, evaluated)
    return _summary(options, result)


def _history(options: argparse.Namespace, bundles: list[Bundle], log: Log) -> dict[str, Any]:
    """Evaluate recordings of any layout, and return the figures of the first bundle."""
    for name, given in (("--baselines", options.baselines), ("--levels", options.levels)):
        if given:
            raise HistoryError(f"{name} needs a folder in the layout of SKAB, <group>/<n>.csv; leave the option out")
    spec = load_spec(options.spec)
    if options.events:
        spec = msgspec.structs.replace(spec, events=str(options.events))
    result, evaluated = history_run.evaluate(bundles, options.data, spec, log)
    print(history_text.text(result))
    found: list[injection.Found] = []
    if options.inject:
        log("laying faults over normal rows")
        found = history_run.inject(evaluated[0], options.seed)
        result["bundles"][0]["injected"] = injection.plain(found)
        print("\n" + history_text.injected(found, evaluated[0].bundle.manifest.interval_s))
    if options.predictions:
        predictions.write(options.predictions, predictions.of_history(evaluated[0]))
    _write_result(options, result)
    if options.report:
        from model_training.report import history

        history.write(options.report, result, evaluated[0], found)
    return _summary(options, result)


def _write_result(options: argparse.Namespace, result: dict[str, Any]) -> None:
    if options.result:
        options.result.parent.mkdir(parents=True, exist_ok=True)
        options.result.write_text(result_json.to_json(result), encoding="utf-8")


def _summary(options: argparse.Namespace, result: dict[str, Any]) -> dict[str, Any]:
    """The last line of output: the figures of the first bundle, and the files written."""
    written = {name: str(path) for name in (PREDICTED, "result", "report") if (path := getattr(options, name))}
    first = result["bundles"][0]
    injected = {"injected": first["injected"]} if "injected" in first else {}
    return {"bundle": str(options.bundle[0]), **first["figures"], **injected, **written}


def text(result: dict[str, Any]) -> str:
    """Render the result as text."""
    parts = [_data(result["data"])]
    for bundle in result["bundles"]:
        parts.append(_bundle(bundle))
    if "cross_validation" in result:
        parts.append(report.cross_validation(result["cross_validation"]))
    if result["quantised"]:
        parts.append(report.quantised(result["quantised"]))
    if "baselines" in result:
        parts.append(report.baselines(result["baselines"]))
    return "\n\n".join(parts)


def _data(data: dict[str, Any]) -> str:
    n, unlabelled = len(data["recordings"]), len(data["unlabelled"])
    text = f"{data['folder']}: {n} recordings" + (f", {unlabelled} of them without labels" if unlabelled else "")
    text += f", {len(data['normal_recordings'])} of normal running" if data["normal_recordings"] else ", none of normal running"
    skipped = len(data["skipped"])
    return text + (f"; {skipped} file{'s' if skipped > 1 else ''} skipped" if skipped else "")


def _bundle(bundle: dict[str, Any]) -> str:
    head = (
        f"{bundle['folder']}: {bundle['name']} {bundle['version']}, {bundle['weights']}, seed {bundle['seed']}, {bundle['bytes']} bytes, "
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
    result = argparse.ArgumentParser(
        prog="edgeml model evaluate", description="Evaluate a model bundle on recordings, with the components' own code."
    )
    result.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="files and folders with tables of any layout; or a folder in the layout of SKAB: <group>/<n>.csv, and anomaly-free/*.csv",
    )
    result.add_argument("--spec", type=Path, help="YAML file that corrects what is found in the tables; see model_training/README.md")
    result.add_argument("--events", type=Path, help="JSON, YAML or CSV file with spans of known faults, [from, to]")
    result.add_argument(
        "--bundle",
        type=Path,
        required=True,
        action="append",
        help="folder of a bundle; repeat it to cross-validate seeds and designs, and to compare int8 with float32",
    )
    result.add_argument("--predictions", type=Path, help="file for the predictions of the first bundle, one line for each row")
    result.add_argument("--result", type=Path, metavar="FILE", help="file for the result, as JSON")
    result.add_argument("--report", type=Path, help="folder for a model card with plots; needs matplotlib")
    result.add_argument("--inject", action="store_true", help="lay faults of known sizes over normal rows, and print what is found")
    result.add_argument("--seed", type=int, default=1, help="of the faults of --inject (default: 1)")
    result.add_argument("--baselines", action="store_true", help="compare with baseline methods; their verdicts are cached in build/")
    result.add_argument("--levels", type=_levels, default=(), help="verdict levels to select from by cross-validation, such as 0.4,0.5,0.6")
    result.add_argument("--no-audits", dest="audits", action="store_false", help="skip the robustness audits, which take most of the time")
    return result


def _levels(text: str) -> tuple[float, ...]:
    try:
        levels = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers; write levels such as 0.4,0.5,0.6") from None
    if not all(0 <= level <= 1 for level in levels):
        raise argparse.ArgumentTypeError(f"{text!r} has a level outside 0 to 1")
    return levels


if __name__ == "__main__":
    sys.exit(main())
