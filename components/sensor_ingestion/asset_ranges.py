"""Several assets as one entry of `assets`: `pump-{001..200}` stands for 200 names. Pure."""

from __future__ import annotations

import re
from typing import Any

MAX_MEMBERS = 1000
"""Assets of one entry."""
ASSET, NUMBER = "{asset}", "{number}"
_RANGE = re.compile(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}")


def members(name: str) -> list[tuple[str, int | None]]:
    """The assets of an entry, each with its number; a name without a range is one asset without a number.

    If an end of the range begins with a 0, all numbers have as many digits as the longer end.

    Raises:
        ValueError: the range is invalid; the text is the end of a sentence.
    """
    found = list(_RANGE.finditer(name))
    if not found:
        return [(name, None)]
    if len(found) > 1:
        raise ValueError("has more than one range; use one")
    first, last = (int(end) for end in found[0].groups())
    if not first <= last < first + MAX_MEMBERS:
        raise ValueError(f"stands for {max(0, last - first + 1)} machines; a range runs upwards, over 1 to {MAX_MEMBERS}")
    padded = any(end != "0" and end.startswith("0") for end in found[0].groups())
    width = max(len(end) for end in found[0].groups()) if padded else 0
    before, after = name[: found[0].start()], name[found[0].end() :]
    return [(f"{before}{number:0{width}d}{after}", number) for number in range(first, last + 1)]


def filled(options: Any, name: str, number: int | None) -> Any:
    """A source's options with the machine's name and number in place of `{asset}` and `{number}`."""
    if isinstance(options, dict):
        return {key: filled(item, name, number) for key, item in options.items()}
    if isinstance(options, list):
        return [filled(item, name, number) for item in options]
    if not isinstance(options, str):
        return options
    options = options.replace(ASSET, name)
    return options if number is None else options.replace(NUMBER, str(number))
