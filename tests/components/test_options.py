"""Any number or text in a configuration is refused in a sentence that names the option, or the component works with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from alert_dispatcher.actions import ACTIONS
from alert_dispatcher.options import AlertDispatcherOptions as DispatcherOptions
from edgeml.auth.device_key import MessageAuthOptions
from edgeml.config.schema import MAX_NUMBER, MAX_SECONDS, MIN_NUMBER, _is_struct, _plain, read
from edgeml.errors import EdgemlError, OptionsError
from inference.options import InferenceOptions
from sensor_ingestion.options import CaptureOptions
from sensor_ingestion.options import SensorIngestionOptions as IngestionOptions
from sensor_ingestion.sources import SOURCES
from tests.components.alert_dispatcher.kit import POLICY
from tests.components.alert_dispatcher.kit import Bench as Dispatcher
from tests.components.sensor_ingestion.kit import Bench as Ingestion

KINDS: dict[str, type[msgspec.Struct]] = {
    "dispatcher": DispatcherOptions,
    "inference": InferenceOptions,
    "ingestion": IngestionOptions,
    "capture": CaptureOptions,
    "message_auth": MessageAuthOptions,
    **{f"action {name}": kind.options for name, kind in ACTIONS.items()},
    **{f"source {name}": kind.options for name, kind in SOURCES.items()},
}
Leaf = tuple[str, tuple[str, ...]]


def leaves(kind: type[msgspec.Struct], numbers: bool, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each number, or of each text; `x` for the name of an entry of a map."""
    for field in msgspec.structs.fields(kind):
        yield from _below(field.type, numbers, (*path, field.encode_name))


def _below(kind: Any, numbers: bool, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    inner = _plain(kind)[0]
    if _is_struct(inner):
        yield from leaves(inner, numbers, path)
    elif get_origin(inner) is dict:
        yield from _below(get_args(inner)[1], numbers, (*path, "x"))
    elif inner in ((int, float) if numbers else (str,)):
        yield path
    elif get_args(inner) and get_origin(inner) not in (list, tuple):
        for each in get_args(inner):
            yield from _below(each, numbers, path)


def raw(path: tuple[str, ...], value: object) -> dict[str, Any]:
    return {path[0]: raw(path[1:], value) if len(path) > 1 else value}


NUMBERS: list[Leaf] = [(name, path) for name, kind in KINDS.items() for path in dict.fromkeys(leaves(kind, True))]
TEXTS: list[Leaf] = [(name, path) for name, kind in KINDS.items() for path in dict.fromkeys(leaves(kind, False))]
ABSURD = (
    10**400,
    -(10**400),
    "9" * 400,
    "9" * 5000,
    1e308,
    "-1e308",
    float("nan"),
    "nan",
    float("inf"),
    "-inf",
    2**64,
    1e-320,
    "1e-320",
    -1e16,
    [],
    {},
    [1] * 1000,
)


def faults(name: str, path: tuple[str, ...], value: object) -> list[str]:
    try:
        read(KINDS[name], raw(path, value))
    except OptionsError as wrong:
        return wrong.faults
    return []


def test_every_kind_of_option_is_found() -> None:
    assert ("ingestion", ("assets", "x", "quality", "channels", "x", "low")) in NUMBERS and len(NUMBERS) > 40 and len(TEXTS) > 15


@pytest.mark.parametrize(("name", "path"), NUMBERS, ids=lambda part: part if isinstance(part, str) else ".".join(part))
def test_extreme_number_is_refused_with_the_name_of_its_option(name: str, path: tuple[str, ...]) -> None:
    for value in ABSURD:
        sentences = [each for each in faults(name, path, value) if f"`{'.'.join(path)}`" in each]
        assert sentences, f"{value!r} is taken"
        assert all(len(each) < 1000 and "\n" not in each for each in sentences)


@pytest.mark.parametrize(("name", "path"), TEXTS, ids=lambda part: part if isinstance(part, str) else ".".join(part))
@pytest.mark.parametrize("value", ["a" * 10_001, "a\x00b", "\x1b[2J", "\ud800", "a\rb"], ids=["long", "NUL", "escape", "half", "CR"])
def test_invalid_text_is_refused_with_the_name_of_its_option(name: str, path: tuple[str, ...], value: str) -> None:
    sentences = [each for each in faults(name, path, value) if ".".join(path) in each]
    assert sentences and all(len(each) < 1000 and each.isprintable() for each in sentences)


def extremes(path: tuple[str, ...]) -> tuple[float, ...]:
    maximum = MAX_SECONDS if path[-1].endswith("_s") else MAX_NUMBER
    return (maximum, -maximum, MIN_NUMBER, 0, 1)


def works(make: Callable[[], Any], use: Callable[[Any], None]) -> None:
    try:
        made = make()
    except OptionsError:
        return
    try:
        use(made)
    except EdgemlError:  # one sentence, which the loop of every component logs
        pass
    finally:
        made.service.close()


@pytest.mark.parametrize("path", [path for name, path in NUMBERS if name == "dispatcher"], ids=".".join)
def test_alert_dispatcher_works_at_the_bounds(tmp_path: Path, path: tuple[str, ...]) -> None:
    for at, value in enumerate(extremes(path)):
        (tmp_path / str(at)).mkdir()
        given = raw(path, value)
        given["policy"] = {**POLICY, **given.get("policy", {})}

        def use(bench: Dispatcher) -> None:
            bench.results([0.97] * 20)
            bench.wait(2)

        works(lambda place=tmp_path / str(at), options=given: Dispatcher(place, **options), use)


@pytest.mark.parametrize("path", [path for name, path in NUMBERS if name == "action command"], ids=".".join)
def test_commands_work_at_the_bounds(tmp_path: Path, path: tuple[str, ...]) -> None:
    for at, value in enumerate(extremes(path)):
        (tmp_path / str(at)).mkdir()
        actions = {"command": raw(path, value)}

        def use(bench: Dispatcher) -> None:
            bench.results([0.97] * 20)
            bench.wait(2)

        works(lambda place=tmp_path / str(at), options=actions: Dispatcher(place, actions=options), use)


@pytest.mark.parametrize(
    "path",
    [(*("assets", "x", "options"), *path) for name, path in NUMBERS if name == "source simulator"]
    + [path for name, path in NUMBERS if name == "ingestion"]
    + [("capture", *path) for name, path in NUMBERS if name == "capture"],
    ids=".".join,
)
def test_sensor_ingestion_works_at_the_bounds(tmp_path: Path, path: tuple[str, ...]) -> None:
    for at, value in enumerate(extremes(path)):
        (tmp_path / str(at)).mkdir()
        given = raw(path, value)
        asset = given.setdefault("assets", {}).setdefault("x", {})
        asset |= {"source": "simulator", "options": {"duration_s": 3, **asset.get("options", {})}}
        if path[0] == "capture":
            given["capture"]["mode"] = "all"

        def use(bench: Ingestion) -> None:
            for _ in range(3):
                bench.tick()
                bench.clock.now += 1

        works(lambda place=tmp_path / str(at), options=given: Ingestion(place, options["assets"], capture=options.get("capture", {})), use)
