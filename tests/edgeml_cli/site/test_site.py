"""The documentation site builds without a warning."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeml_cli.site import pages

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is absent; scripts/env docs installs it")
    out = tmp_path_factory.mktemp("site") / "site"
    ran = subprocess.run(
        [sys.executable, "-m", "edgeml_cli.main", "dev", "docs", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return out


def test_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    uris = [uri for uri in pages.all_pages(ROOT).values() if uri.endswith(".md")]
    assert len(uris) > 90
    assert [uri for uri in uris if not (site / uri).with_suffix(".html").is_file()] == []


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    loading = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"?(https?:)?//")
    linked = re.compile(r"<link\b[^>]*\brel=\"?(?:canonical|prev|next)")
    found = []
    for path in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", path.read_text(encoding="utf-8"))
        found += [(path.name, tag) for tag in tags if loading.match(tag) and not linked.match(tag)]
    assert found == []
