"""Model cards: what a model answers, what it was made of, how well it does and where not, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeml.model.bundle import Bundle
from edgeml.model.manifest import Manifest


@dataclass(frozen=True)
class Card:
    """What a card says beside the manifest.

    Attributes:
        answers: what the model is for, and what not.
        data: what it was trained and judged on, with licences; whether a data set was incomplete.
        figures: rows of a table, the first its headings.
        limits: where it fails.
        plots: title -> file beside the card.
        sections: further sections, heading -> text.
    """

    answers: str
    data: str
    figures: Sequence[Sequence[str]]
    limits: str
    plots: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)


def write(folder: Path, card: Card, bundles: Sequence[Bundle]) -> Path:
    """Write `card.md`; the first bundle is the one that ships."""
    manifest = bundles[0].manifest
    parts = [
        f"# {manifest.name} {manifest.version}",
        card.answers,
        "## Figures",
        markdown(card.figures),
        "## Model",
        _model(manifest),
        "## Files",
        markdown([("weights", "bytes", "SHA-256 of `model.tflite`"), *map(_file, bundles)]),
        "## Data",
        card.data,
    ]
    for heading, text in card.sections.items():
        parts += [f"## {heading}", text]
    parts += ["## Where it fails", card.limits]
    for title, file in card.plots.items():
        parts += [f"## {title}", f"![{title}]({file})"]
    path = folder / "card.md"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, the first row its headings."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _file(bundle: Bundle) -> tuple[str, str, str]:
    return str(bundle.manifest.provenance.get("weights", "int8")), str(len(bundle.model)), bundle.digest


def _model(manifest: Manifest) -> str:
    steps, features = manifest.input_shape
    views = ", ".join(
        f"the last {view.rows} rows" + (f" as {view.steps} means of {view.every}" if view.every > 1 else "") for view in manifest.views
    )
    lines = [
        f"- Answer: {manifest.score}",
        f"- Input: {steps} steps of {features} features: {views}; cut at ± {manifest.clip:g}; a row each {manifest.interval_s:g} s.",
        f"- Channels: {', '.join(f'{c.name} ({c.unit})' if c.unit else c.name for c in manifest.channels)}.",
        f"- Scaling: {manifest.scaling.kind}"
        + (f", on each asset's first {manifest.scaling.rows} good rows." if manifest.scaling.kind == "baseline" else "."),
        f"- Verdict: yes from a confidence of {manifest.verdict_level:g} on; calibrated ({manifest.calibration.kind}) at a prior of "
        f"{manifest.prior:g}.",
    ]
    plain = {key: value for key, value in manifest.provenance.items() if isinstance(value, (str, int, float))}
    if plain:
        lines.append(f"- Made with: {', '.join(f'{key} {value}' for key, value in plain.items())}.")
    return "\n".join(lines)
