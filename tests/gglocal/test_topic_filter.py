from __future__ import annotations

import pytest

from gglocal.topic_filter import is_valid, matches

YES = [
    ("a", "a"),
    ("a/b", "a/b"),
    ("a/+", "a/b"),
    ("+/b", "a/b"),
    ("a/+/c", "a/b/c"),
    ("a/#", "a/b/c"),
    ("a/#", "a"),
    ("#", "a/b"),
    ("+", "a"),
    ("a/+", "a/"),
    ("+/+", "/b"),
    ("$aws/#", "$aws/x"),
    ("a/+/#", "a/b"),
    ("/", "/"),
]
NO = [
    ("a", "b"),
    ("a", "a/b"),
    ("a/b", "a"),
    ("a/+", "a"),
    ("a/+", "a/b/c"),
    ("+", "a/b"),
    ("#", "$aws/x"),
    ("+/x", "$aws/x"),
    ("a/#", "b/c"),
    ("a", "A"),
    ("a/#/c", "a/b/c"),
    ("a/b+", "a/bc"),
]


@pytest.mark.parametrize(("topic_filter", "topic"), YES)
def test_filter_matches_topic(topic_filter: str, topic: str) -> None:
    assert matches(topic_filter, topic)


@pytest.mark.parametrize(("topic_filter", "topic"), NO)
def test_filter_does_not_match_topic(topic_filter: str, topic: str) -> None:
    assert not matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "good"),
    [
        ("a", True),
        ("a/+/#", True),
        ("#", True),
        ("/", True),
        ("", False),
        ("a/#/b", False),
        ("a+", False),
        ("a/b#", False),
        ("a\0", False),
    ],
)
def test_valid_mqtt_filters(topic_filter: str, good: bool) -> None:
    assert is_valid(topic_filter) is good
