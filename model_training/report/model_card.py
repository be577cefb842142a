"""Model cards in Markdown: purpose, data, figures and limits of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeml.model.bundle import Bundle
from edgeml.model.manifest import Manifest


@dataclass(frozen=True)
class Card:
    """Content of a card besides the manifest.

    Attributes:
        answers: intended use of the model, and its exclusions.
        data: training and evaluation data with licences and completeness.
        figures: rows of a table, the first one with the headings.
        limits: known limits.
        plots: file names of plots by title.
        sections: texts of further sections by heading.
    """

    answers: str
    data: str
    figures: Sequence[Sequence[str]]
    limits: str
    plots: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)


def write(folder: Path, card: Card, bundles: Sequence[Bundle]) -> Path:
    """Write `card.md`. The first bundle is the one that ships."""
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
    parts += ["## Limits", card.limits]
    for title, file in card.plots.items():
        parts += [f"## {title}", f"![{title}]({file})"]
    path = folder / "card.md"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Render a table; the first row has the headings."""
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
        f"- Output: {manifest.score}",
        f"- Input: {steps} steps of {features} features: {views}; clipped at ± {manifest.clip:g}; one row every {manifest.interval_s:g} s.",
        f"- Channels: {', '.join(f'{c.name} ({c.unit})' if c.unit else c.name for c in manifest.channels)}.",
        f"- Scaling: {manifest.scaling.kind}"
        + (f", on the first {manifest.scaling.rows} good rows of each asset." if manifest.scaling.kind == "baseline" else "."),
        f"- Verdict: positive from a confidence of {manifest.verdict_level:g}; calibrated ({manifest.calibration.kind}) at a prior of "
        f"{manifest.prior:g}.",
    ]
    plain = {key: value for key, value in manifest.provenance.items() if isinstance(value, (str, int, float))}
    if plain:
        lines.append(f"- Training: {', '.join(f'{key} {value}' for key, value in plain.items())}.")
    return "\n".join(lines)
