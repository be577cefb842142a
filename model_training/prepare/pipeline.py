"""The way through: files to rows, cleaned, resampled, enriched, written with their card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

import edgeml
from model_training.prepare.clean import clean, quality_counts, together
from model_training.prepare.data_card import AssetUsed, Used, card, markdown
from model_training.prepare.enrich import enrich
from model_training.prepare.parquet import version, write
from model_training.prepare.parse import parse
from model_training.prepare.plan import Plan
from model_training.prepare.resample import Steps, resample
from model_training.prepare.rows import PrepareError, Rows, Tally
from model_training.prepare.sources import sources, text

Say = Callable[[str], None]


class Built(NamedTuple):
    """What was made: its folder, version and data card."""

    folder: Path
    version: str
    card: dict[str, Any]


def build(plan: Plan, places: list[str], out: Path, client: Any = None, say: Say = lambda line: None) -> Built:
    """Prepare everything at `places` into `out/<name>/<version>/`. Holds all rows in memory.

    Args:
        places: files, folders, `s3://bucket/prefix`.
        client: a boto3 S3 client; None: one is made where it is needed.

    Raises:
        PrepareError: nothing usable was found, or it cannot be written.
    """
    tally = Tally()
    used, parts = _read(plan, places, client, tally, say)
    made: list[tuple[Steps, AssetUsed]] = []
    left_out: dict[str, str] = {}
    for asset, found in sorted(parts.items()):
        own = Tally()
        try:
            made.append(_prepare(plan, found, own))
        except PrepareError as fault:
            left_out[asset] = str(fault)
            rows = sum(len(part.times) for part in found)
            own = Tally()
            own.row("its asset is left out", asset, rows)
            say(f"{fault}; this asset is left out")
        _add(tally, own)
    if not made:
        reasons = [*(f"{each.name} {each.fault}" for each in used if each.fault), *left_out.values(), *tally.examples.values()]
        raise PrepareError(f"nothing at {', '.join(places)} can be used: {'; '.join(reasons[:3]) or 'there are no rows'}")
    return _write(plan, out, used, tally, made, left_out, say)


def _read(plan: Plan, places: list[str], client: Any, tally: Tally, say: Say) -> tuple[list[Used], dict[str, list[Rows]]]:
    used: list[Used] = []
    parts: dict[str, list[Rows]] = {}
    for source in sources(places, client):
        rows, fault = [], ""
        try:
            rows = parse(source.name, text(source.content), plan.csv, tally)
        except PrepareError as wrong:
            fault = str(wrong)
            say(f"{source.name} {fault}")
        for each in rows:
            parts.setdefault(each.asset, []).append(each)
        used.append(Used(source.name, source.sha256, len(source.content), sum(len(each.times) for each in rows), fault))
        if len(used) % 100 == 0:
            say(f"{len(used)} files read")
    return used, parts


def _prepare(plan: Plan, found: list[Rows], tally: Tally) -> tuple[Steps, AssetUsed]:
    whole = together(found, plan.channels)
    rows = clean(whole, plan.ranges, tally)
    if not len(rows.times):
        raise PrepareError(f"{rows.asset} has no row with a good value; look at its sources")
    steps = resample(rows, plan.interval_s, plan.longest_bridged_s)
    absent = [each for derived in plan.derived.values() for each in derived.of if each not in (*steps.channels, *plan.derived)]
    if absent:
        raise PrepareError(f"{rows.asset} has no channel {', '.join(absent)} to derive another from; it has {', '.join(steps.channels)}")
    channels, values = enrich(steps.channels, steps.values, steps.segment, plan.derived, plan.interval_s)
    return steps._replace(channels=channels, values=values), AssetUsed(len(rows.times), quality_counts(whole), rows.units)


def _add(tally: Tally, own: Tally) -> None:
    tally.rows.update(own.rows)
    tally.values.update(own.values)
    for reason, where in own.examples.items():
        tally.examples.setdefault(reason, where)


def _write(
    plan: Plan, out: Path, used: list[Used], tally: Tally, made: list[tuple[Steps, AssetUsed]], left_out: dict[str, str], say: Say
) -> Built:
    declared = msgspec.to_builtins(plan)
    digest = version(declared, [steps for steps, _ in made])
    folder = out / plan.name / digest[:16]
    beside = folder.with_name(f".{digest[:16]}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        partitions = write(beside, [steps for steps, _ in made])
        made_with = {"edgeml": edgeml.__version__, "numpy": np.__version__}
        content = card(declared, digest, used, tally, made, left_out, partitions, made_with)
        (beside / "card.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (beside / "card.md").write_text(markdown(content), encoding="utf-8")
        if folder.exists():
            # The same content is there; it is written anew, so that what was damaged is whole again.
            shutil.rmtree(folder)
        beside.replace(folder)
    except OSError as fault:
        raise PrepareError(f"{fault.filename or folder} cannot be written ({fault.strerror}); make room or choose another --out") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    rows = content["rows"]
    say(f"{folder}: {rows['in']} rows in, {rows['used']} used, {sum(rows['left_out'].values())} left out; {rows['steps_out']} steps out")
    for reason, count in rows["left_out"].items():
        say(f"  left out: {reason}: {count} (first: {tally.examples.get(reason, '-')})")
    return Built(folder, digest, content)
