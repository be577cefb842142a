"""One record for each topic, and components that use exactly the topics whose records name them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from alert_dispatcher.health_conditions import PRODUCERS
from edgeml.messages import MESSAGES, topics

ROOT = Path(__file__).parents[3]
FOLDERS = {topics.INGESTION: "sensor_ingestion", topics.INFERENCE: "inference", topics.DISPATCHER: "alert_dispatcher"}
BY_LIBRARY = {topics.STATUS, topics.HEALTH, topics.HEARTBEAT}
"""`edgeml.runtime` and `edgeml.ipc` publish these for every component."""
CONSTANTS = {name: value for name, value in vars(topics).items() if name.isupper() and str(value).startswith("edgeml/")}


def test_every_constant_has_one_record() -> None:
    assert sorted(topic.name for topic in topics.TOPICS) == sorted(CONSTANTS.values())


def test_every_message_has_a_topic() -> None:
    assert {kind for topic in topics.TOPICS for kind in topic.messages} == set(MESSAGES)


def test_every_topic_has_a_publisher_a_subscriber_and_a_description() -> None:
    assert [topic.name for topic in topics.TOPICS if not (topic.publishers and topic.subscribers and topic.about)] == []


def test_topics_of_iot_core_contain_the_thing_name_and_are_not_signed() -> None:
    assert [topic.name for topic in topics.TOPICS if topic.cloud and ("{thing}" not in topic.name or topic.signed)] == []
    assert [topic.name for topic in topics.TOPICS if not topic.cloud and "{thing}" in topic.name] == []


def used(folder: Path) -> set[str]:
    """The topics in the modules of a folder, as `topics.X` or as a call of a function of `topics`."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "topics":
                found.add(CONSTANTS.get(node.attr.upper(), node.attr))
    return found


@pytest.mark.parametrize("component", topics.COMPONENTS)
def test_components_use_exactly_the_topics_whose_records_name_them(component: str) -> None:
    named = {topic.name for topic in topics.TOPICS if component in topic.publishers or component in topic.subscribers}
    assert named - BY_LIBRARY == used(ROOT / "components" / FOLDERS[component]) - {"STREAMS"} - BY_LIBRARY


def test_producers_that_are_monitored_publish_the_streams() -> None:
    assert {topic: {PRODUCERS[topic]} for topic in topics.STREAMS} == {
        topic.name: set(topic.publishers) for topic in topics.TOPICS if topic.overflow == "stream"
    }


def test_topics_are_written_as_text_only_in_their_records() -> None:
    """Docstrings, help texts and examples are exempt: they are for people."""
    text = re.compile(r"edgeml/[a-z/{}]+")
    found = []
    for folder in ("libs/edgeml", "components", "libs/edgeml_cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path == ROOT / "libs/edgeml/messages/topics.py":
                continue
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and text.fullmatch(node.value)
            ]
    assert found == []
