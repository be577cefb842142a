"""MQTT topic filters."""

from __future__ import annotations


def is_wild(topic_filter: str) -> bool:
    """Whether the filter can match more than one topic."""
    return "+" in topic_filter or "#" in topic_filter


def is_valid(topic_filter: str) -> bool:
    """Whether it is a valid MQTT filter: `+` is a whole level, `#` is the last level."""
    levels = topic_filter.split("/")
    good = all(level in ("+", "#") or not is_wild(level) for level in levels)
    return bool(topic_filter) and good and "#" not in levels[:-1] and "\0" not in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic matches a filter (MQTT 3.1.1, 4.7).

    `+` matches one level, `#` the remaining levels and the parent level. A wildcard in the first level does not match a topic
    that starts with `$`.
    """
    if topic[:1] == "$" and topic_filter[:1] in ("+", "#"):
        return False
    expected, levels = topic_filter.split("/"), topic.split("/")
    for position, level in enumerate(expected):
        if level == "#":
            return position == len(expected) - 1
        if position >= len(levels) or (level != "+" and level != levels[position]):
            return False
    return len(expected) == len(levels)
