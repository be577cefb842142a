"""Hooks of MkDocs: adds the generated pages and those of the repository's READMEs, and moves links between documents to their pages."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "libs"), str(ROOT / "components")]

from mkdocs.structure.files import File, Files  # noqa: E402
from mkdocs.structure.pages import Page  # noqa: E402

from edgeml_cli.site import pages  # noqa: E402
from edgeml_cli.site.markdown import move_links  # noqa: E402

log = logging.getLogger("mkdocs.edgeml")


def on_config(config: Any, **_: Any) -> Any:
    """Add the pages of the project itself to the navigation."""
    config["nav"] += [{"Project": project}] if (project := pages.project(ROOT)) else []
    return config


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add every page that has no file under docs/."""
    for uri, text in pages.generated(ROOT).items():
        files.append(File.generated(config, uri, content=text))
    for source, uri in pages.included(ROOT).items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Move the links of a document of the repository; a broken one is a warning, which fails a strict build."""
    source = pages.source_of(ROOT, page.file.src_uri)
    if source is None:
        return markdown
    text, broken = move_links(markdown, source, pages.all_pages(ROOT), lambda path: (ROOT / path).exists())
    for sentence in broken:
        log.warning(sentence)
    return text
