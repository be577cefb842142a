"""Reference pages hold every declaration."""

from __future__ import annotations

import argparse
import re
from html import unescape
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alert_dispatcher.actions import ACTIONS
from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import REASONS
from edgeml.messages import MESSAGES
from edgeml.messages.topics import TOPICS
from edgeml_cli.site import command_pages, reference
from edgeml_cli.site.reference import _option_rows
from inference.options import InferenceOptions
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.sources import SOURCES

ROOT = Path(__file__).resolve().parents[3]


class Inner(msgspec.Struct):
    depth: Annotated[float, Meta(gt=0, le=9, description="how deep | wide")] = 2.5


class Outer(msgspec.Struct):
    name: Annotated[str, Meta(description="whose")]
    kind: Literal["a", "b"] = "a"
    inner: Inner = msgspec.field(default_factory=Inner)
    each: dict[str, Inner] = {}


def plain(text: str) -> str:
    return unescape(text.replace("<wbr>", ""))


def test_option_has_key_type_bounds_default_and_meaning() -> None:
    rows = [(plain(key), *rest) for key, *rest in _option_rows(Outer, "")]
    assert rows == [
        ("<code>name</code>", "text", "required", "whose"),
        ("<code>kind</code>", "`a` or `b`", "`a`", ""),
        ("<code>inner.depth</code>", "number above 0 to 9", "2.5", "how deep | wide"),
        ("<code>each.<name>.depth</code>", "number above 0 to 9", "2.5", "how deep | wide"),
    ]


def test_options_of_every_component_source_and_action_are_on_the_page() -> None:
    page = plain(reference.options())
    kinds: list[Any] = [SensorIngestionOptions, InferenceOptions, AlertDispatcherOptions]
    kinds += [entry.options for table in (SOURCES, ACTIONS) for entry in table.values()]
    keys = [row[0] for kind in kinds for row in _option_rows(kind, "")]
    keys += [row[0] for row in _option_rows(MessageAuthOptions, "message_auth.")]
    assert len(keys) > 80 and [key for key in keys if plain(key) not in page] == []


def test_every_option_has_a_meaning() -> None:
    without = re.findall(r"^\| (<code>\S+</code>) .*\|  \|$", reference.options(), re.MULTILINE)
    assert without == []


def test_messages_are_on_the_page_with_their_fields() -> None:
    chapters = {part.partition("\n")[0]: part for part in reference.messages().split("\n## ")[1:]}
    assert list(chapters) == [kind.__name__ for kind in MESSAGES]
    for kind in MESSAGES:
        assert [name for name in kind.__struct_fields__ if name != "v" and f"| `{name}` |" not in chapters[kind.__name__]] == []


def test_topics_and_refusals_are_on_the_page() -> None:
    page = plain(reference.topic_page())
    names = [topic.name.replace("{", "<").replace("}", ">") for topic in TOPICS]
    assert [name for name in names if f"<code>{name}</code>" not in page] == []
    assert [reason for reason in REASONS if f"| {reason} |" not in page] == []


def test_command_page_has_verbs_with_their_arguments() -> None:
    parser = argparse.ArgumentParser(prog="tool")
    verb = parser.add_subparsers().add_parser("go", description="move <far>")
    verb.add_argument("--by", default=3, help="steps (default: %(default)s)")
    assert list(command_pages._verbs(parser, 2)) == [
        "## tool go\n",
        "Move \\<far>.\n",
        "| argument | meaning |\n| --- | --- |\n| `--by` | steps (default: 3) |\n",
    ]


def test_gglocal_page_has_its_commands() -> None:
    page = command_pages.gglocal_page()
    assert [verb for verb in ("run", "deploy", "pub", "sub", "fault", "component list") if f"# gglocal {verb}\n" not in page] == []


def test_every_decision_is_in_the_index() -> None:
    page = reference.decisions(ROOT)
    files = [path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")]
    assert len(files) > 60 and [name for name in files if f"]({name}) |" not in page] == []


def test_figures_are_those_between_the_marks(tmp_path: Path) -> None:
    folder = tmp_path / "model_training"
    folder.mkdir()
    (folder / "README.md").write_text("# A\n## Cards\n<!-- pump: begin -->\n| x |\n<!-- pump: end -->\nrest\n")
    assert reference.figures(tmp_path).endswith("## Cards: pump\n\n| x |\n")
