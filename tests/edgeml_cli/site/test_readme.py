"""The README is an entrance, and its picture is that of a run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgeml_cli.site import picture
from edgeml_cli.site.markdown import is_external, replace_links

ROOT = Path(__file__).resolve().parents[3]
PICTURE = ROOT / "docs" / "images" / "demo.svg"


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
