"""Prepared steps on disk: Parquet, a folder for each asset and day, and back. pyarrow is imported where it is needed."""

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
OWN = ("time", "flags", "segment", "asset", "day")
"""Columns that are no channels."""
DAY_NS = 86_400 * SECOND


def version(plan: Any, assets: list[Steps]) -> str:
    """SHA-256 of the content: the plan, and every asset's columns. The same input gives the same, however its files are named."""
    digest = hashlib.sha256(json.dumps([FORMAT, plan], sort_keys=True).encode())
    for steps in sorted(assets, key=lambda each: each.asset):
        digest.update(json.dumps([steps.asset, steps.channels, len(steps.times)]).encode())
        values = np.where(np.isnan(steps.values), np.float32("nan"), steps.values)
        for column, kind in ((steps.times, "<i8"), (values, "<f4"), (steps.flags, "u1"), (steps.segment, "<i4")):
            digest.update(np.ascontiguousarray(column, kind).tobytes())
    return digest.hexdigest()


def write(folder: Path, assets: list[Steps]) -> list[dict[str, Any]]:
    """Write `asset=<name>/day=<day>/part-0.parquet` for each; returns path and rows of each.

    Raises:
        PrepareError: a channel has the name of a column that is none; pyarrow is missing.
        OSError: the disk.
    """
    pa, pq = _pyarrow()
    written = []
    for steps in assets:
        taken = [channel for channel in steps.channels if channel in OWN]
        if taken:
            raise PrepareError(f"{steps.asset}: no channel can be called {', '.join(taken)}; rename it in `csv.columns` or `derived`")
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
    """What `edgeml data prepare` has written, by asset; `gaps` are not among it, `segment` tells them.

    Raises:
        PrepareError: it is none, or was changed since.
    """
    _, pq = _pyarrow()
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        given, plan = str(card["version"]), card["plan"]
        listed = [folder / each["path"] for each in card["partitions"]]
        assets: dict[str, list[Path]] = {}
        for path in listed:
            assets.setdefault(unquote(path.parts[-3].removeprefix("asset=")), []).append(path)
        loaded = [_asset(asset, [pq.ParquetFile(path).read() for path in sorted(paths)]) for asset, paths in sorted(assets.items())]
    except FileNotFoundError as fault:
        raise PrepareError(f"{fault.filename or folder} is missing; name a folder that edgeml data prepare has made") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
        raise PrepareError(f"{folder} cannot be read ({' '.join(str(fault).split())}); prepare it anew") from None
    if version(plan, loaded) != given:
        raise PrepareError(f"{folder} is not what its card says, version {given[:16]}; prepare it anew")
    return loaded


def _asset(asset: str, tables: list[Any]) -> Steps:
    names = tuple(name for name in tables[0].column_names if name not in OWN)

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
