"""Prepared steps as Parquet files, one folder for each asset and day. pyarrow is imported on first use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from edgeml.timestamps import SECOND
from model_training.prepare.resample import Steps
from model_training.prepare.rows import PrepareError

FORMAT = 1
RESERVED_COLUMNS = ("time", "flags", "segment", "asset", "day")
"""Columns that are not channels."""
DAY_NS = 86_400 * SECOND


def version(plan: Any, assets: list[Steps]) -> str:
    """SHA-256 of the plan and of every asset's columns. It does not depend on the names of the source files."""
    digest = hashlib.sha256(json.dumps([FORMAT, plan], sort_keys=True).encode())
    for steps in sorted(assets, key=lambda each: each.asset):
        digest.update(json.dumps([steps.asset, steps.channels, len(steps.times)]).encode())
        values = np.where(np.isnan(steps.values), np.float32("nan"), steps.values)
        for column, kind in ((steps.times, "<i8"), (values, "<f4"), (steps.flags, "u1"), (steps.segment, "<i4")):
            digest.update(np.ascontiguousarray(column, kind).tobytes())
    return digest.hexdigest()


def write(folder: Path, assets: list[Steps]) -> list[dict[str, Any]]:
    """Write `asset=<name>/day=<day>/part-0.parquet` files and return path and number of rows of each.

    Raises:
        PrepareError: a channel has a reserved name, or pyarrow is missing.
        OSError: a file cannot be written.
    """
    pa, pq = _pyarrow()
    written = []
    for steps in assets:
        taken = [channel for channel in steps.channels if channel in RESERVED_COLUMNS]
        if taken:
            raise PrepareError(f"{steps.asset}: {', '.join(taken)} is a reserved name; rename the channel in `csv.columns` or `derived`")
        for day, rows in _days(steps.times):
            table = pa.table(
                {
                    "time": pa.array(steps.times[rows], pa.timestamp("ns", tz="UTC")),
                    **{
                        name: pa.array(steps.values[rows, place], pa.float32(), from_pandas=True)
                        for place, name in enumerate(steps.channels)
                    },
                    "flags": pa.array(steps.flags[rows], pa.uint8()),
                    "segment": pa.array(steps.segment[rows], pa.int32()),
                }
            )
            path = folder / f"asset={quote(steps.asset, safe='')}" / f"day={day}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(table, path, compression="zstd")
            written.append({"path": path.relative_to(folder).as_posix(), "rows": len(table)})
    return written


def load_prepared(folder: Path) -> list[Steps]:
    """Load the steps that `edgeml data prepare` has written, by asset. `gaps` is empty; `segment` numbers the segments between gaps.

    Raises:
        PrepareError: the folder is unreadable, or was modified.
    """
    _, pq = _pyarrow()
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        expected, plan = str(card["version"]), card["plan"]
        listed = [folder / each["path"] for each in card["partitions"]]
        assets: dict[str, list[Path]] = {}
        for path in listed:
            assets.setdefault(unquote(path.parts[-3].removeprefix("asset=")), []).append(path)
        loaded = [_asset(asset, [pq.ParquetFile(path).read() for path in sorted(paths)]) for asset, paths in sorted(assets.items())]
    except FileNotFoundError as fault:
        raise PrepareError(f"{fault.filename or folder} is missing; name a folder that edgeml data prepare has written") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
        raise PrepareError(f"{folder} cannot be read ({' '.join(str(fault).split())}); prepare the data again") from None
    if version(plan, loaded) != expected:
        raise PrepareError(f"{folder} does not match the version of its card, {expected[:16]}; prepare the data again")
    return loaded


def _asset(asset: str, tables: list[Any]) -> Steps:
    names = tuple(name for name in tables[0].column_names if name not in RESERVED_COLUMNS)

    def column(name: str, kind: str) -> np.ndarray:
        return np.concatenate([table[name].to_numpy().astype(kind) for table in tables])

    values = np.stack([column(name, "f4") for name in names], axis=1)
    return Steps(asset, names, column("time", "i8"), values, column("flags", "u1"), column("segment", "i4"), ())


def _days(times: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    days = times // DAY_NS
    for day in np.unique(days):
        yield str(np.datetime64(int(day), "D")), np.flatnonzero(days == day)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PrepareError("Parquet needs pyarrow; run edgeml data prepare, or: pip install pyarrow") from None
    return pyarrow, pyarrow.parquet
