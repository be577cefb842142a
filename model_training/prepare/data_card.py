"""The data card: sources, prepared assets, and the rows and values that were dropped. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from model_training.prepare.resample import INCOMPLETE, INTERPOLATED, Steps
from model_training.prepare.rows import Statistics

GAPS_LISTED = 20


class SourceSummary(NamedTuple):
    """One source file. `fault` is the reason why it was not used, or empty."""

    name: str
    sha256: str
    bytes: int
    rows: int
    fault: str = ""


class AssetSummary(NamedTuple):
    """One asset: rows after cleaning, values by quality flag in the sources, units by channel."""

    rows: int
    quality: dict[str, int]
    units: dict[str, str]


def card(
    plan: dict[str, Any],
    version: str,
    sources: list[SourceSummary],
    statistics: Statistics,
    assets: list[tuple[Steps, AssetSummary]],
    dropped: dict[str, str],
    partitions: list[dict[str, Any]],
    software: dict[str, str],
) -> dict[str, Any]:
    """Build the card as plain data.

    Args:
        dropped: reasons by dropped asset.
    """
    return {
        "name": plan["name"],
        "version": version,
        "plan": plan,
        "software": software,
        "sources": [each._asdict() for each in sources],
        "bad_files": sum(bool(each.fault) for each in sources),
        "rows": {
            "in": statistics.seen,
            "used": sum(used.rows for _, used in assets),
            "dropped": dict(sorted(statistics.rows.items())),
            "lost_before_capture": statistics.lost,
            "steps_out": sum(len(steps.times) for steps, _ in assets),
        },
        "values_removed": dict(sorted(statistics.values.items())),
        "examples": dict(sorted(statistics.examples.items())),
        "assets": {steps.asset: _asset(steps, used, plan) for steps, used in assets},
        "assets_dropped": dropped,
        "partitions": partitions,
    }


def _asset(steps: Steps, used: AssetSummary, plan: dict[str, Any]) -> dict[str, Any]:
    lasted = [(gap.end - gap.begin) / SECOND for gap in steps.gaps]
    return {
        "begin": to_iso(steps.times[0]),
        "end": to_iso(steps.times[-1]),
        "rows_used": used.rows,
        "steps": len(steps.times),
        "interpolated_steps": int((steps.flags & INTERPOLATED > 0).sum()),
        "incomplete_steps": int((steps.flags & INCOMPLETE > 0).sum()),
        "quality": used.quality,
        "channels": {
            channel: _channel(steps.values[:, place], used.units.get(channel) or _declared_unit(plan, channel))
            for place, channel in enumerate(steps.channels)
        },
        "gaps": {
            "count": len(lasted),
            "longest_s": max(lasted, default=0.0),
            "total_s": round(sum(lasted), 3),
            "first": [{"after": to_iso(gap.begin), "until": to_iso(gap.end)} for gap in steps.gaps[:GAPS_LISTED]],
        },
    }


def _declared_unit(plan: dict[str, Any], channel: str) -> str:
    return str((plan["derived"].get(channel) or plan["ranges"].get(channel) or {}).get("unit", ""))


def _channel(column: np.ndarray, unit: str) -> dict[str, Any]:
    good = column[~np.isnan(column)].astype(np.float64)
    if not len(good):
        return {"unit": unit, "missing": len(column)}
    figures = {"min": good.min(), "mean": good.mean(), "max": good.max(), "std": good.std()}
    return {"unit": unit, "missing": len(column) - len(good), **{key: float(f"{value:.6g}") for key, value in figures.items()}}


def markdown(card: dict[str, Any]) -> str:
    """Render the card as Markdown."""
    rows, interval, max_gap = card["rows"], card["plan"]["interval_s"], card["plan"]["max_interpolated_gap_s"]
    lines = [
        f"# Data card: {card['name']}",
        "",
        f"Version `{card['version']}`, the digest of the content.",
        "",
        f"{rows['in']} rows in {len(card['sources'])} files ({card['bad_files']} of them unusable), {rows['used']} used; "
        f"{rows['steps_out']} steps of {interval:g} s written. Gaps up to {max_gap:g} s are interpolated.",
        "",
        "## Dropped rows and values",
        "",
        "| item | reason | count | first occurrence |",
        "|---|---|---|---|",
    ]
    counts = [*(("row", *each) for each in rows["dropped"].items()), *(("value", *each) for each in card["values_removed"].items())]
    lines += [f"| {what} | {reason} | {count} | {_cell(card['examples'].get(reason, ''))} |" for what, reason, count in counts]
    if rows["lost_before_capture"]:
        lines.append(f"| row | lost before capture | {rows['lost_before_capture']} | |")
    lines += [f"| file | {_cell(each['fault'])} | 1 | {_cell(each['name'])} |" for each in card["sources"] if each["fault"]]
    lines += [f"| asset | {_cell(why)} | 1 | {_cell(asset)} |" for asset, why in card["assets_dropped"].items()]
    for asset, about in card["assets"].items():
        gaps = about["gaps"]
        quality = ", ".join(f"{name} {count}" for name, count in about["quality"].items())
        lines += [
            "",
            f"## {asset}",
            "",
            f"{about['begin']} to {about['end']}: {about['rows_used']} rows, {about['steps']} steps, of which "
            f"{about['interpolated_steps']} have an interpolated value and {about['incomplete_steps']} a "
            f"missing one; {gaps['count']} gaps, "
            f"longest {gaps['longest_s']:g} s, total {gaps['total_s']:g} s. Values by quality: {quality}.",
            "",
            "| channel | unit | min | mean | max | std | missing |",
            "|---|---|---|---|---|---|---|",
        ]
        for channel, figures in about["channels"].items():
            cells = [_cell(channel), _cell(figures["unit"]), *(str(figures.get(key, "")) for key in ("min", "mean", "max", "std"))]
            lines.append(f"| {' | '.join(cells)} | {figures['missing']} |")
    lines += ["", "## Sources", "", "| file | SHA-256 | rows |", "|---|---|---|"]
    lines += [f"| {_cell(each['name'])} | `{each['sha256']}` | {each['rows']} |" for each in card["sources"]]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
