"""JSON limits of Nucleus Lite, whose daemons decode into fixed memory.

Measured with Lite 2.6: a publish with more than 192 list items or 101 keys is refused. From 43 items or 24 keys on, it is
accepted and then lost between the daemons, together with the subscriptions that match it.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 15
MAX_INTEGER_TEXT = 18
MAX_OBJECTS = 255
"""Keys, values and list items of one response, its own two keys and values included."""
MAX_RESPONSE = 10_000
_PAIR = 21
_REQUEST = (2206, 11, 21)
_MESSAGE = (472, 11, 19.8)


def refusal(arguments: dict[str, Any]) -> str | None:
    """Why Lite cannot decode a request, or None."""
    items, keys, depth, longest = _measure(arguments)
    room, item, key = _REQUEST
    if items * item + keys * key > room:
        return f"{items} list items and {keys} keys exceed the JSON that this nucleus can decode"
    if depth > MAX_DEPTH:
        return f"JSON is nested {depth} levels deep, this nucleus decodes {MAX_DEPTH}"
    if longest > MAX_INTEGER_TEXT:
        return f"an integer has {longest} characters, this nucleus decodes {MAX_INTEGER_TEXT}"
    return None


def is_lost(message: Any) -> bool:
    """Whether Lite accepts a JSON message and then loses it."""
    items, keys, _, _ = _measure(message)
    room, item, key = _MESSAGE
    return items * item + keys * key > room


def is_too_large(value: Any) -> bool:
    """Whether a part of the configuration does not fit into one response of the configuration store.

    A map counts as two objects per entry, a list as one per item, recursively. The store needs 21 bytes per entry in addition
    to its key and its value as JSON.
    """
    items, keys, _, _ = _measure(value)
    return 2 * 2 + items + 2 * keys > MAX_OBJECTS or _stored(value) > MAX_RESPONSE


def _stored(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_PAIR + len(key.encode()) + _stored(item) for key, item in value.items())
    return len(json.dumps(value, ensure_ascii=False).encode())


def _measure(value: Any) -> tuple[int, int, int, int]:
    """List items, keys, depth, and characters of the longest integer."""
    items = keys = deepest = longest = 0
    open_values = [(value, 1)]
    while open_values:
        one, depth = open_values.pop()
        if isinstance(one, (dict, list)):
            deepest = max(deepest, depth)
            inside = list(one.values()) if isinstance(one, dict) else one
            keys += len(one) if isinstance(one, dict) else 0
            items += len(one) if isinstance(one, list) else 0
            open_values += [(each, depth + 1) for each in inside]
        elif isinstance(one, int) and not isinstance(one, bool):
            longest = max(longest, len(str(one)) if abs(one) < 1 << 70 else MAX_INTEGER_TEXT + 1)
    return items, keys, deepest, longest
