"""The README is an entrance, and its picture is that of a run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgeml_cli.site import picture
from edgeml_cli.site.markdown import is_external, replace_links
from tests.edgeml_cli.demo import samples
from tests.edgeml_cli.demo.test_report import page

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
    assert {"fault starts", "stop", "raise 0.90"} <= set(texts)


def test_picture_takes_the_plots_of_a_report() -> None:
    report = page(samples.episode())
    drawn = ElementTree.fromstring(picture.picture(report, ("confidence", samples.CHANNELS[0])))
    captions = [element.text or "" for element in drawn.iter() if element.get("class") == "caption"]
    assert [caption.split()[0] for caption in captions] == ["confidence", samples.CHANNELS[0]]
    assert "fault starts" in [element.text for element in drawn.iter()]
    with pytest.raises(ValueError, match="no plot of current"):
        picture.picture(report)


def test_report_without_plots_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.html").write_text("<p>")
    assert picture.main([str(tmp_path / "report.html"), str(tmp_path / "out.svg")]) == 1
    assert "has no plot of confidence" in capsys.readouterr().err and not (tmp_path / "out.svg").exists()
