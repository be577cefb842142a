"""MQTT topic filters."""

from __future__ import annotations


def is_wild(topic_filter: str) -> bool:
    """Whether it can match more than one topic."""
    return "+" in topic_filter or "#" in topic_filter


def is_valid(topic_filter: str) -> bool:
    """Whether MQTT knows such a filter: `+` fills a level, `#` fills the last one."""
    levels = topic_filter.split("/")
    good = all(level in ("+", "#") or not is_wild(level) for level in levels)
    return bool(topic_filter) and good and "#" not in levels[:-1] and "\0" not in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Whether `topic` falls under `topic_filter` (MQTT 3.1.1, 4.7).

    `+` stands for one level, `#` as the last level for the rest, its parent included; a wildcard in the first level
    does not match a topic that starts with `$`.
    """
    if topic[:1] == "$" and topic_filter[:1] in ("+", "#"):
        return False
    wanted, got = topic_filter.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return position == len(wanted) - 1
        if position >= len(got) or (level != "+" and level != got[position]):
            return False
    return len(wanted) == len(got)
