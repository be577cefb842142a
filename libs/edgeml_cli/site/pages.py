"""The pages of the site: which are generated, which show a document of the repository, and where each document's page is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgeml_cli.site import command_pages, reference

INCLUDED = {
    "components/sensor_ingestion/README.md": "reference/sensor-ingestion.md",
    "components/inference/README.md": "reference/inference.md",
    "components/alert_dispatcher/README.md": "reference/alert-dispatcher.md",
    "libs/gglocal/README.md": "reference/gglocal.md",
    "libs/edgeml_cli/cloud/README.md": "reference/cloud.md",
    "model_training/README.md": "reference/model-training.md",
    "tests/fuzz/RESULTS.md": "reference/fuzzing.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting-vulnerabilities.md",
}
"""Documents outside of docs/ that the site shows: path in the repository -> page."""

PROJECT = {
    "contributing.md": "Contribute",
    "extending.md": "Extend the suite",
    "versioning.md": "Versions and compatibility",
    "changelog.md": "Changes",
    "reporting-vulnerabilities.md": "Report a vulnerability",
}
"""Pages of the tab "Project", in order."""


@cache
def generated(root: Path) -> dict[str, str]:
    """Page -> Markdown, for pages made of declarations."""
    return {
        "reference/options.md": reference.options(),
        "reference/messages.md": reference.messages(),
        "reference/topics.md": reference.topic_page(),
        "reference/edgeml.md": command_pages.edgeml_page(),
        "reference/gglocal-command.md": command_pages.gglocal_page(),
        "reference/evaluation.md": reference.figures(root),
        "decisions/index.md": reference.decisions(root),
    }


def included(root: Path) -> dict[str, str]:
    """The documents of `INCLUDED` that exist."""
    return {source: uri for source, uri in INCLUDED.items() if (root / source).is_file()}


def project(root: Path) -> list[dict[str, str]]:
    """The navigation of the tab "Project"."""
    known = set(all_pages(root).values())
    return [{title: uri} for uri, title in PROJECT.items() if uri in known]


@cache
def all_pages(root: Path) -> dict[str, str]:
    """Path in the repository -> path on the site, of every document and picture."""
    docs = root / "docs"
    own = {f"docs/{path}": path for path in (each.relative_to(docs).as_posix() for each in docs.rglob("*.*") if each.is_file())}
    folder = {"docs/decisions": "decisions/index.md"}
    return {**own, **folder, **{f"docs/{uri}": uri for uri in generated(root)}, **included(root)}


def source_of(root: Path, uri: str) -> str | None:
    """The path in the repository of a page, None for a generated one."""
    if uri in generated(root):
        return None
    return next((source for source, page in all_pages(root).items() if page == uri), None)
