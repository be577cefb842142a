"""The pipeline: parse, merge, clean, resample and enrich rows, and write them with their data card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

import edgeml
from model_training.prepare.clean import clean, merge, quality_counts
from model_training.prepare.data_card import AssetSummary, SourceSummary, card, markdown
from model_training.prepare.enrich import enrich
from model_training.prepare.parquet import version, write
from model_training.prepare.parse import parse
from model_training.prepare.plan import Plan
from model_training.prepare.resample import Steps, resample
from model_training.prepare.rows import PrepareError, Rows, Statistics
from model_training.prepare.sources import sources, text

Log = Callable[[str], None]


class PreparedDataset(NamedTuple):
    """A prepared data set: its folder, version and data card."""

    folder: Path
    version: str
    card: dict[str, Any]


def prepare_dataset(plan: Plan, places: list[str], out: Path, client: Any = None, log: Log = lambda line: None) -> PreparedDataset:
    """Prepare the data at `places` into `out/<name>/<version>/`. All rows are held in memory.

    Args:
        places: files, folders, `s3://bucket/prefix`.
        client: boto3 S3 client; None: create one on first use.

    Raises:
        PrepareError: no usable rows, or the output is not writable.
    """
    statistics = Statistics()
    summaries, parts = _read(plan, places, client, statistics, log)
    prepared: list[tuple[Steps, AssetSummary]] = []
    dropped: dict[str, str] = {}
    for asset, files in sorted(parts.items()):
        asset_statistics = Statistics()
        try:
            prepared.append(_prepare(plan, files, asset_statistics))
        except PrepareError as fault:
            dropped[asset] = str(fault)
            rows = sum(len(part.times) for part in files)
            asset_statistics = Statistics()
            asset_statistics.row("asset dropped", asset, rows)
            log(f"{fault}; asset dropped")
        _add(statistics, asset_statistics)
    if not prepared:
        reasons = [*(f"{each.name} {each.fault}" for each in summaries if each.fault), *dropped.values(), *statistics.examples.values()]
        raise PrepareError(f"no usable data at {', '.join(places)}: {'; '.join(reasons[:3]) or 'no rows'}")
    return _write(plan, out, summaries, statistics, prepared, dropped, log)


def _read(
    plan: Plan, places: list[str], client: Any, statistics: Statistics, log: Log
) -> tuple[list[SourceSummary], dict[str, list[Rows]]]:
    summaries: list[SourceSummary] = []
    parts: dict[str, list[Rows]] = {}
    for source in sources(places, client):
        rows, fault = [], ""
        try:
            rows = parse(source.name, text(source.content), plan.csv, statistics)
        except PrepareError as wrong:
            fault = str(wrong)
            log(f"{source.name} {fault}")
        for each in rows:
            parts.setdefault(each.asset, []).append(each)
        summaries.append(SourceSummary(source.name, source.sha256, len(source.content), sum(len(each.times) for each in rows), fault))
        if len(summaries) % 100 == 0:
            log(f"{len(summaries)} files read")
    return summaries, parts


def _prepare(plan: Plan, parts: list[Rows], statistics: Statistics) -> tuple[Steps, AssetSummary]:
    whole = merge(parts, plan.channels)
    rows = clean(whole, plan.ranges, statistics)
    if not len(rows.times):
        raise PrepareError(f"{rows.asset} has no row with a valid value; check its sources")
    steps = resample(rows, plan.interval_s, plan.max_interpolated_gap_s)
    absent = [each for derived in plan.derived.values() for each in derived.of if each not in (*steps.channels, *plan.derived)]
    if absent:
        raise PrepareError(f"{rows.asset} has no channel {', '.join(absent)} for a derived channel; it has {', '.join(steps.channels)}")
    channels, values = enrich(steps.channels, steps.values, steps.segment, plan.derived, plan.interval_s)
    return steps._replace(channels=channels, values=values), AssetSummary(len(rows.times), quality_counts(whole), rows.units)


def _add(statistics: Statistics, asset_statistics: Statistics) -> None:
    statistics.rows.update(asset_statistics.rows)
    statistics.values.update(asset_statistics.values)
    for reason, where in asset_statistics.examples.items():
        statistics.examples.setdefault(reason, where)


def _write(
    plan: Plan,
    out: Path,
    summaries: list[SourceSummary],
    statistics: Statistics,
    prepared: list[tuple[Steps, AssetSummary]],
    dropped: dict[str, str],
    log: Log,
) -> PreparedDataset:
    declared = msgspec.to_builtins(plan)
    digest = version(declared, [steps for steps, _ in prepared])
    folder = out / plan.name / digest[:16]
    partial = folder.with_name(f".{digest[:16]}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        partitions = write(partial, [steps for steps, _ in prepared])
        software = {"edgeml": edgeml.__version__, "numpy": np.__version__}
        content = card(declared, digest, summaries, statistics, prepared, dropped, partitions, software)
        (partial / "card.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (partial / "card.md").write_text(markdown(content), encoding="utf-8")
        if folder.exists():
            # The folder has the same version; rewriting it repairs damaged files.
            shutil.rmtree(folder)
        partial.replace(folder)
    except OSError as fault:
        raise PrepareError(
            f"{fault.filename or folder} cannot be written ({fault.strerror}); free disk space or choose another --out"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    rows = content["rows"]
    log(f"{folder}: {rows['in']} rows in, {rows['used']} used, {sum(rows['dropped'].values())} dropped; {rows['steps_out']} steps written")
    for reason, count in rows["dropped"].items():
        log(f"  dropped: {reason}: {count} (first: {statistics.examples.get(reason, '-')})")
    return PreparedDataset(folder, digest, content)
