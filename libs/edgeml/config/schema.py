"""Typed configuration: options are declared as `msgspec.Struct` classes, values are coerced by their declared type.

Nuclei return different types: Lite turns scalars into strings, classic turns integers into floats. So `"5"`, `5.0` and `5` are all
the integer 5 here. A merge cannot remove a key on a device, so null does: it resets an option to its default and removes an entry
of a map. Every fault is reported, not just the first, each with its key, its value and the expected one.

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

MAX_DEPTH = 50
"""Maximum levels of maps and lists in a configuration."""
MAX_VALUES = 100_000
"""Maximum values in a configuration."""
_KEY = re.compile("`([^`]*)`")
"""A key path in a sentence; the first one is the key of the fault."""
MAX_CHARACTERS = 10_000
"""Maximum characters of a string; a nucleus accepts no more in one message."""
MAX_SECONDS = 1e9
"""Maximum of an option whose name ends in `_s`: about thirty years, which fit 64 bits as nanoseconds."""
MAX_NUMBER, MIN_NUMBER = 1e15, 1e-9
"""Bounds of the size of any other number but 0; beyond them, sums and quotients are not accurate."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 160
_repr.maxlist = _repr.maxdict = _repr.maxlevel = 6


def read(kind: type[T], raw: Any, where: str = "") -> T:
    """Return an instance of the options class `kind` from plain data.

    Args:
        raw: the result of GetConfiguration, a dict with values of any type.
        where: the key path of `raw`, for the sentences.

    Raises:
        OptionsError: with every fault. A class may define `check(self, where) -> list[str]` for rules over several options. Each
            sentence names in backticks every option that the rule reads; if one of them is invalid by itself, the rule is omitted.
            A static `check_raw(raw, where) -> list[str]` checks options that remain plain data; it runs together with the values.
    """
    _check_size(raw, where)
    faults = list(_invalid(raw, where))
    value = _convert(kind, raw, where, faults)
    if faults:
        raise OptionsError(list(dict.fromkeys(faults)))
    return value


def _check_size(raw: Any, where: str) -> None:
    """Raise OptionsError if the configuration is too large or too deep to be checked."""
    pending: list[tuple[str, Any, int]] = [(where, raw, 1)]
    seen, deep = 0, []
    while pending:
        place, value, depth = pending.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise OptionsError([f"`{where or 'configuration'}` has more than {MAX_VALUES} values; correct the configuration"])
        if isinstance(value, (dict, list)) and depth > MAX_DEPTH:
            deep.append(f"`{place[:80]}…` is nested more than {MAX_DEPTH} deep; correct the configuration")
        elif isinstance(value, dict):
            pending += [(_join(place, str(key)), item, depth + 1) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [(place, item, depth + 1) for item in value]
    if deep:
        raise OptionsError(deep)


def _invalid(raw: Any, where: str) -> Iterator[str]:
    """Yield sentences on values and keys that are invalid for an option of any type."""
    pending: list[tuple[str, Any]] = [(where, raw)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str) and not _is_unicode(value):
            yield f"`{place}` is {_repr.repr(value)}, which is not valid Unicode; it has half of a surrogate pair; correct it"
        elif isinstance(value, str) and len(value) > MAX_CHARACTERS:
            yield f"`{place}` has {len(value)} characters; expected at most {MAX_CHARACTERS}; shorten it"
        elif isinstance(value, str) and _CONTROL.search(value):
            yield f"`{place}` is {_repr.repr(value)}, which has control characters; remove them"
        elif isinstance(value, dict):
            yield from (
                f"`{_join(place, str(key))}` is a key that is not valid Unicode; correct it" for key in value if not _is_unicode(str(key))
            )
            pending += [(_join(place, str(key)), item) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [(f"{place}[{number}]", item) for number, item in enumerate(value)]


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def document(kind: type, prefix: str = "") -> list[tuple[str, str, Any, str]]:
    """Return (key, type, default, description) of every option of `kind`; nested options have a dotted key."""
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
    """Return the keys of an options class, each with those of its nested options class; empty for any other type."""
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
        value = msgspec.convert(_unify_numbers(raw), kind, strict=False)
    except msgspec.ValidationError as fault:
        faults.append(_sentence(where, raw, str(fault).split(" - at ")[0], description))
        return None
    except UnicodeError:  # half of a surrogate pair, which `_invalid` reports
        return None
    if isinstance(value, float) and not math.isfinite(value):
        faults.append(_sentence(where, raw, "Expected a finite number", description))
    elif isinstance(value, (int, float)) and (problem := _out_of_range(where, value)):
        faults.append(_sentence(where, raw, problem, description))
    return value


def _each(items: Iterable[tuple[Any, Any, str]], kind: Any, faults: list[str]) -> Iterator[tuple[Any, Any]]:
    """Convert the value of each (key, value, key path); items without a usable value are omitted."""
    for key, raw, where in items:
        before = len(faults)
        value = _convert(kind, raw, where, faults)
        if value is not None or len(faults) == before:
            yield key, value


def _out_of_range(where: str, value: float) -> str:
    """Return why this number is invalid for every option, or an empty string."""
    maximum = MAX_SECONDS if where.endswith("_s") else MAX_NUMBER
    if abs(value) > maximum:
        return f"Expected a number of at most {maximum:g}"
    return f"Expected 0, or a number of at least {MIN_NUMBER:g}" if 0 < abs(value) < MIN_NUMBER else ""


def _convert_struct(kind: Any, raw: Any, where: str, faults: list[str]) -> Any:
    if raw is None or raw == "":
        raw = {}
    if not isinstance(raw, dict):
        faults.append(f"`{where or 'configuration'}` is {_repr.repr(raw)}; expected a map of options")
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
            count = len(faults)
            value = _convert(field.type, raw[key], _join(where, key), faults)
            if value is None and len(faults) > count:
                value = _placeholder(field)
            values[field.name] = value
        elif field.required:
            faults.append(f"`{_join(where, key)}` is missing; expected {_plain(field.type)[1] or _type_name(_plain(field.type)[0])}")
            values[field.name] = _placeholder(field)
    options = kind(**values)
    check: Callable[[str], list[str]] | None = getattr(options, "check", None)
    if check is not None:
        faults += _rules(check, where, faults[before:], sound=not faults)
    return options


def _placeholder(field: Any) -> Any:
    """Return a placeholder for an invalid option, so that the other faults are found; no caller receives it."""
    if not field.required:
        return _default(field)
    kind = _plain(field.type)[0]
    return {str: "", int: 0, float: 0.0, bool: False, dict: {}, list: [], tuple: ()}.get(get_origin(kind) or kind)


def _rules(check: Callable[[str], list[str]], where: str, faults: list[str], *, sound: bool) -> list[str]:
    """Return the faults that `check` finds, except those about options that are invalid by themselves."""
    try:
        found = check(where)
    except Exception:
        if sound:
            raise
        return []  # a rule read a value that is reported as invalid
    invalid = [keys[0] for keys in map(_KEY.findall, faults) if keys]
    return [sentence for sentence in found if not any(_overlap(key, each) for key in _KEY.findall(sentence) for each in invalid)]


def _overlap(one: str, other: str) -> bool:
    """Whether two key paths are the same, or one is inside the other."""
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def choose(table: dict[str, T], name: str, where: str, what: str) -> T:
    """Return the entry `name` of a table.

    Raises:
        OptionsError: no such entry; the sentence lists the valid ones.
    """
    if name not in table:
        raise OptionsError([f"`{where}` is {name!r}, an unknown {what}; choose one of {', '.join(sorted(table))}"])
    return table[name]


def entries(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a map without its null entries: a merge on a device can add and change entries, but not remove them."""
    return {str(key): value for key, value in raw.items() if not _is_null(value)}


def _is_null(raw: Any) -> bool:
    return raw is None or raw == "null"  # Lite returns strings


def _takes_null(kind: Any) -> bool:
    inner = _plain(kind)[0]
    return inner is Any or type(None) in get_args(inner)


def _unify_numbers(raw: Any) -> Any:
    # JSON has one number type: classic returns 5.0. msgspec converts "5" to an int, but not 5.0 inside containers.
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, list):
        return [_unify_numbers(item) for item in raw]
    return raw


def _plain(kind: Any) -> tuple[Any, str]:
    """Return the type without its `Annotated`, and the description in that."""
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
    return f"`{where}` is {_repr.repr(raw)}: {problem.replace('`', '')}" + (f" ({description})" if description else "")


def _unknown(where: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean `{close[0]}`?" if close else f"valid options are {', '.join(sorted(known)) or 'none'}"
    return f"`{where}` is an unknown option; {hint}"
