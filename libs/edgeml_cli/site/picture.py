"""The picture of the README: `edgeml dev picture build/demo/report.html docs/images/demo.svg` draws plots of a demo's report."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

PLOTS = ("confidence", "current", "flow")
_FIGURE = re.compile(
    r"<figure><figcaption>(?P<caption>.*?)<output.*?</figcaption><svg(?P<attributes>[^>]*)>(?P<body>.*?)</svg></figure>", re.S
)
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_SERIES = re.compile(r'data-series="([^"]*)"')
_TITLE = re.compile(r"<title>.*?</title>", re.S)
_RULES = re.compile(
    r"^(?::root|@media \(prefers-color-scheme).*?^}|^(?:svg|rect|\.(?!tiles|badge|plots|legend|swatch|cursor))[^\n]*}", re.M | re.S
)
_CAPTION = 20.0


def picture(report: str, plots: Sequence[str] = PLOTS) -> str:
    """Plots of a report, by the names of their series, one above the other.

    Raises:
        ValueError: the report lacks one of them.
    """
    style = re.search(r"<style>(.*?)</style>", report, re.S)
    figures = {series[1]: match for match in _FIGURE.finditer(report) if (series := _SERIES.search(match["attributes"]))}
    missing = [name for name in plots if name not in figures]
    if style is None or missing:
        raise ValueError(f"the report has no plot of {', '.join(missing)}; run `edgeml demo` and name its report")
    parts, top, width = [], 0.0, 0.0
    for name, match in ((name, figures[name]) for name in plots):
        size = _SIZE.search(match["attributes"])
        if size is None:
            raise ValueError(f"the plot of {name} has no viewBox; update edgeml_cli.site.picture")
        width, height = float(size[1]), float(size[2])
        caption = re.sub(r"<[^>]+>", "", match["caption"])
        parts.append(f'<text class="caption" x="8" y="{top + 13:g}">{caption}</text>')
        parts.append(f'<g transform="translate(0 {top + _CAPTION - 8:g})">{_TITLE.sub("", match["body"])}</g>')
        top += height + _CAPTION
    rules = "\n".join(rule[0] for rule in _RULES.finditer(style[1]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}" role="img">\n'
        f"<title>Confidence, alarm, command and readings of a demo run</title>\n<style>\n{rules}\n"
        "svg .caption { font-weight: 600; font-size: 12px; fill: var(--ink); }\n</style>\n"
        f'<rect width="100%" height="100%" rx="10" style="fill: var(--card)"/>\n{"".join(parts)}\n</svg>\n'
    )


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(prog="edgeml dev picture", description="Write the plots of a demo's report as one SVG file.")
    made.add_argument("report", type=Path, help="the report of `edgeml demo`")
    made.add_argument("picture", type=Path, help="the SVG file to write")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when the report lacks a plot."""
    options = parser().parse_args(arguments)
    try:
        text = picture(options.report.read_text(encoding="utf-8"))
    except ValueError as fault:
        print(f"edgeml dev picture: {options.report}: {fault}", file=sys.stderr)
        return 1
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
