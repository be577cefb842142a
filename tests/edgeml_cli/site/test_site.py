"""The documentation site: it builds without a warning, and the README is an entrance."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgeml_cli.site import build, pages, picture
from edgeml_cli.site.markdown import is_external, replace_links

ROOT = Path(__file__).resolve().parents[3]
PICTURE = ROOT / "docs" / "images" / "demo.svg"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is absent; scripts/env docs installs it")
    out = tmp_path_factory.mktemp("site") / "site"
    assert build.main(["--out", str(out)]) == 0
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


def test_readme_is_an_entrance() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    targets: list[str] = []
    replace_links(text, lambda link: None if is_external(link) else targets.append(link.target))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_picture_is_a_small_svg_of_a_run() -> None:
    assert PICTURE.stat().st_size < 60_000
    texts = [element.text for element in ElementTree.parse(PICTURE).iter() if element.tag.endswith("text")]
    assert {"fault begins", "stop", "raise 0.90"} <= set(texts)


def test_picture_takes_the_plots_of_a_report() -> None:
    figure = (
        '<figure><figcaption>{0} <i>A</i><output></output></figcaption><svg viewBox="0 0 10 4"><title>t</title><g id="{0}"/></svg></figure>'
    )
    report = (
        "<style>\n:root { --ink: #000; }\nsvg text { fill: red; }\n.badge { }\n</style>" + figure.format("flow") + figure.format("other")
    )
    made = picture.picture(report)
    assert '<g id="flow"/>' in made and "other" not in made and "svg text { fill: red; }" in made and ".badge" not in made
    assert ElementTree.fromstring(made).get("viewBox") == "0 0 10 24"


def test_report_without_plots_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.html").write_text("<p>")
    assert picture.main([str(tmp_path / "report.html"), str(tmp_path / "out.svg")]) == 1
    assert "has no plot of confidence" in capsys.readouterr().err and not (tmp_path / "out.svg").exists()
