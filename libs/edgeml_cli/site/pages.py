"""The pages of the site: which are generated, which show a document of the repository, and where each document's page is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgeml_cli.site import reference
from gglocal.cli.main import _parser as gglocal_parser

INCLUDED = {
    "components/sensor_ingestion/README.md": "reference/sensor-ingestion.md",
    "components/inference/README.md": "reference/inference.md",
    "components/alert_dispatcher/README.md": "reference/alert-dispatcher.md",
    "libs/gglocal/README.md": "reference/gglocal.md",
    "libs/edgeml_cli/cloud/README.md": "reference/cloud.md",
    "model_training/README.md": "reference/model-training.md",
    "tests/fuzz/RESULTS.md": "reference/fuzzing.md",
}
"""Documents outside of docs/ that the site shows: path in the repository -> page."""


@cache
def generated(root: Path) -> dict[str, str]:
    """Page -> Markdown, for pages made of declarations."""
    return {
        "reference/options.md": reference.options(root),
        "reference/messages.md": reference.messages(),
        "reference/topics.md": reference.topic_page(root),
        "reference/gglocal-command.md": reference.command_page(
            "The gglocal command",
            "[gglocal](gglocal.md) is the local nucleus. `scripts/env` installs the command as `.venv/bin/gglocal`.",
            gglocal_parser(),
        ),
        "reference/evaluation.md": reference.figures(root),
        "decisions/index.md": reference.decisions(root),
    }


def included(root: Path) -> dict[str, str]:
    """The documents of `INCLUDED` that exist."""
    return {source: uri for source, uri in INCLUDED.items() if (root / source).is_file()}


@cache
def all_pages(root: Path) -> dict[str, str]:
    """Path in the repository -> path on the site, of every document and picture."""
    docs = root / "docs"
    own = {f"docs/{path}": path for path in (each.relative_to(docs).as_posix() for each in docs.rglob("*.*") if each.is_file())}
    return {**own, **{f"docs/{uri}": uri for uri in generated(root)}, **included(root)}


def source_of(root: Path, uri: str) -> str | None:
    """The path in the repository of a page, None for a generated one."""
    if uri in generated(root):
        return None
    return next((source for source, page in all_pages(root).items() if page == uri), None)
