"""Typed configuration: options are declared as `msgspec.Struct` classes, values are coerced by their declared type.

A nucleus returns what it likes: Lite turns scalars into strings, classic turns integers into floats. So `"5"`, `5.0` and `5` are all
the integer 5 here. A merge cannot remove a key on a device, so null does: it stands for the default, and takes an entry out of a map.
Every fault is found, not just the first, and each names its key, its value and what is wanted instead.

    class Policy(msgspec.Struct, frozen=True):
        raise_at: Annotated[float, Meta(ge=0, le=1, description="confidence at which an alarm is raised")] = 0.9

    policy = read(Policy, configuration)
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from edgeml.errors import OptionsError

T = TypeVar("T")

DEEPEST = 50
"""Levels of maps and lists in a configuration."""
MOST = 100_000
"""Values in a configuration."""
_KEY = re.compile("`([^`]*)`")
"""A key path in a sentence; the first is that of the fault."""
LONGEST = 10_000
"""Characters of a text; a nucleus takes no more in one message."""
MOST_SECONDS = 1e9
"""Of an option whose name ends in `_s`, at most; some thirty years, and in nanoseconds it still fits 64 bits."""
GREATEST, LEAST = 1e15, 1e-9
"""Of any other number; and of any number that is not 0: beyond these, sums and quotients lose their sense."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 160
_shown.maxlist = _shown.maxdict = _shown.maxlevel = 6


def read(kind: type[T], raw: Any, where: str = "") -> T:
    """An instance of the options class `kind` from plain data.

    Args:
        raw: what GetConfiguration returned: a dict of anything.
        where: the key path of `raw` itself, for the sentences.

    Raises:
        OptionsError: with every fault. A class may define `check(self, where) -> list[str]` for rules over several options, each
            sentence naming in backticks every option that it looks at: where one of them is wrong by itself, the rule is left out.
            And a static `check_raw(raw, where) -> list[str]` for what it takes as plain data, asked together with the values.
    """
    _measure(raw, where)
    faults = list(_unusable(raw, where))
    value = _convert(kind, raw, where, faults)
    if faults:
        raise OptionsError(list(dict.fromkeys(faults)))
    return value


def _measure(raw: Any, where: str) -> None:
    """Raises OptionsError for what is too much to be looked at."""
    waiting: list[tuple[str, Any, int]] = [(where, raw, 1)]
    seen, deep = 0, []
    while waiting:
        place, value, depth = waiting.pop()
        seen += 1
        if seen > MOST:
            raise OptionsError([f"`{where or 'configuration'}` has more than {MOST} values; correct the configuration"])
        if isinstance(value, (dict, list)) and depth > DEEPEST:
            deep.append(f"`{place[:80]}…` is nested more than {DEEPEST} deep; correct the configuration")
        elif isinstance(value, dict):
            waiting += [(_join(place, str(key)), item, depth + 1) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(place, item, depth + 1) for item in value]
    if deep:
        raise OptionsError(deep)


def _unusable(raw: Any, where: str) -> Iterator[str]:
    """Sentences on what no option could be made of, whatever its type."""
    waiting: list[tuple[str, Any]] = [(where, raw)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str) and not _is_text(value):
            yield f"`{place}` is {_shown.repr(value)}, which is no text: it has half of a character; write it anew"
        elif isinstance(value, str) and len(value) > LONGEST:
            yield f"`{place}` has {len(value)} characters, at most {LONGEST} are read; shorten it"
        elif isinstance(value, str) and _CONTROL.search(value):
            yield f"`{place}` is {_shown.repr(value)}, which has control characters; write it without them"
        elif isinstance(value, dict):
            yield from (f"`{_join(place, str(key))}` is a key that is no text; write it anew" for key in value if not _is_text(str(key)))
            waiting += [(_join(place, str(key)), item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}[{number}]", item) for number, item in enumerate(value)]


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def document(kind: type, prefix: str = "") -> list[tuple[str, str, Any, str]]:
    """(key, type, default, description) of every option of `kind`, nested ones with a dotted key."""
    rows: list[tuple[str, str, Any, str]] = []
    for field in msgspec.structs.fields(kind):
        inner, description = _plain(field.type)
        key = prefix + field.encode_name
        if _is_struct(inner):
            rows += document(inner, key + ".")
        elif get_origin(inner) is dict and _is_struct(_plain(get_args(inner)[1])[0]):
            rows += document(_plain(get_args(inner)[1])[0], f"{key}.<name>.")
        else:
            rows.append((key, _type_name(inner), None if field.required else _default(field), description))
    return rows


def known(kind: type) -> dict[str, Any]:
    """The keys of an options class, each with those of its own options class; empty for any other type."""
    inner = {field.encode_name: _plain(field.type)[0] for field in msgspec.structs.fields(kind)}
    return {key: known(each) if _is_struct(each) else {} for key, each in inner.items()}


def _convert(kind: Any, raw: Any, where: str, faults: list[str]) -> Any:
    inner, description = _plain(kind)
    if _is_struct(inner):
        return _convert_struct(inner, raw, where, faults)
    if dict in (inner, get_origin(inner)) and isinstance(raw, dict):
        item = (get_args(inner) or (str, Any))[1]
        return dict(_each(((key, value, _join(where, key)) for key, value in entries(raw).items()), item, faults))
    if get_origin(inner) in (list, tuple) and isinstance(raw, list):
        item, before = get_args(inner)[0], len(faults)
        raw = [value for _, value in _each(((number, value, f"{where}[{number}]") for number, value in enumerate(raw)), item, faults)]
        if len(faults) > before:
            return raw
    try:
        value = msgspec.convert(_loose(raw), kind, strict=False)
    except msgspec.ValidationError as fault:
        faults.append(_sentence(where, raw, str(fault).split(" - at ")[0], description))
        return None
    except UnicodeError:  # half of a character, which has its sentence
        return None
    if isinstance(value, float) and not math.isfinite(value):
        faults.append(_sentence(where, raw, "Expected a finite number", description))
    elif isinstance(value, (int, float)) and (problem := _beyond(where, value)):
        faults.append(_sentence(where, raw, problem, description))
    return value


def _each(items: Iterable[tuple[Any, Any, str]], kind: Any, faults: list[str]) -> Iterator[tuple[Any, Any]]:
    """Key and converted value of each of (key, value, its key path), but of those that are wrong altogether."""
    for key, raw, where in items:
        before = len(faults)
        value = _convert(kind, raw, where, faults)
        if value is not None or len(faults) == before:
            yield key, value


def _beyond(where: str, value: float) -> str:
    """Why no option can be this number, whatever its own bounds are; empty: one can."""
    most = MOST_SECONDS if where.endswith("_s") else GREATEST
    if abs(value) > most:
        return f"Expected a number of at most {most:g}"
    return f"Expected 0, or a number of at least {LEAST:g}" if 0 < abs(value) < LEAST else ""


def _convert_struct(kind: Any, raw: Any, where: str, faults: list[str]) -> Any:
    if raw is None or raw == "":
        raw = {}
    if not isinstance(raw, dict):
        faults.append(f"`{where or 'configuration'}` is {_shown.repr(raw)}, wanted is a map of options")
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    before = len(faults)
    for key in raw:
        if key not in fields:
            faults.append(_unknown(_join(where, str(key)), str(key), list(fields)))
    check_raw: Callable[[dict[str, Any], str], list[str]] | None = getattr(kind, "check_raw", None)
    if check_raw is not None:
        faults += check_raw(raw, where)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in raw and not (_is_null(raw[key]) and not _takes_null(field.type)):
            had = len(faults)
            value = _convert(field.type, raw[key], _join(where, key), faults)
            if value is None and len(faults) > had:
                value = _blank(field)
            values[field.name] = value
        elif field.required:
            faults.append(f"`{_join(where, key)}` is missing; wanted is {_plain(field.type)[1] or _type_name(_plain(field.type)[0])}")
            values[field.name] = _blank(field)
    options = kind(**values)
    check: Callable[[str], list[str]] | None = getattr(options, "check", None)
    if check is not None:
        faults += _rules(check, where, faults[before:], sound=not faults)
    return options


def _blank(field: Any) -> Any:
    """What stands for an option that is wrong, until the last fault is found: nobody gets to see it."""
    if not field.required:
        return _default(field)
    kind = _plain(field.type)[0]
    return {str: "", int: 0, float: 0.0, bool: False, dict: {}, list: [], tuple: ()}.get(get_origin(kind) or kind)


def _rules(check: Callable[[str], list[str]], where: str, faults: list[str], *, sound: bool) -> list[str]:
    """The faults that `check` finds, but those about options that have a fault of their own."""
    try:
        found = check(where)
    except Exception:
        if sound:
            raise
        return []  # a rule met a value that is told to be wrong
    wrong = [keys[0] for keys in map(_KEY.findall, faults) if keys]
    return [sentence for sentence in found if not any(_overlap(key, each) for key in _KEY.findall(sentence) for each in wrong)]


def _overlap(one: str, other: str) -> bool:
    """Whether two key paths are the same, or one is inside the other."""
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def choose(table: dict[str, T], name: str, where: str, what: str) -> T:
    """The entry `name` of a table.

    Raises:
        OptionsError: no such entry; the sentence lists those there are.
    """
    if name not in table:
        raise OptionsError([f"`{where}` is {name!r}, an unknown {what}; choose one of {', '.join(sorted(table))}"])
    return table[name]


def entries(raw: dict[str, Any]) -> dict[str, Any]:
    """A map without the entries that are null: a merge on a device can add and change, but not remove."""
    return {str(key): value for key, value in raw.items() if not _is_null(value)}


def _is_null(raw: Any) -> bool:
    return raw is None or raw == "null"  # Lite hands out text


def _takes_null(kind: Any) -> bool:
    inner = _plain(kind)[0]
    return inner is Any or type(None) in get_args(inner)


def _loose(raw: Any) -> Any:
    # JSON has one kind of number: classic hands out 5.0, and msgspec takes "5" for an int, but not 5.0 inside containers.
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, list):
        return [_loose(item) for item in raw]
    return raw


def _plain(kind: Any) -> tuple[Any, str]:
    """The type without its Annotated wrapping, and the description in it."""
    description = ""
    while hasattr(kind, "__metadata__"):
        for note in kind.__metadata__:
            description = getattr(note, "description", None) or description
        kind = kind.__origin__
    return kind, description


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _type_name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind).replace("typing.", "")


def _default(field: Any) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _sentence(where: str, raw: Any, problem: str, description: str) -> str:
    problem = problem[:1].lower() + problem[1:]
    return f"`{where}` is {_shown.repr(raw)}: {problem.replace('`', '')}" + (f" ({description})" if description else "")


def _unknown(where: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean `{close[0]}`?" if close else f"known here are {', '.join(sorted(known)) or 'none'}"
    return f"`{where}` is an unknown option; {hint}"
