"""Reference pages from the declarations: options, messages, topics, decisions and figures of measurements."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as types

from alert_dispatcher.actions import ACTIONS
from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import REASONS
from edgeml.messages import MESSAGES
from edgeml.messages.topics import TOPICS, Parties, Topic
from edgeml_cli.site.markdown import breakable, table
from inference.options import InferenceOptions
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.sources import SOURCES

_FIGURES = re.compile(r"<!-- (\w+): begin -->\n(.*?)<!-- \1: end -->", re.DOTALL)


def options() -> str:
    """Every option of every component, with type, bounds, default and meaning."""
    chapters: list[tuple[str, str, str, type]] = [
        ("SensorIngestion", "The component `com.edgeml.SensorIngestion`.", "", SensorIngestionOptions),
        *((f"Source `{name}`", "Under `assets.<name>.options`.", "", source.options) for name, source in SOURCES.items()),
        ("Inference", "The component `com.edgeml.Inference`.", "", InferenceOptions),
        ("AlertDispatcher", "The component `com.edgeml.AlertDispatcher`.", "", AlertDispatcherOptions),
        *((f"Action `{name}`", f"Under `actions.{name}`.", "", action.options) for name, action in ACTIONS.items()),
        ("Common options", "Every component has these.", "message_auth.", MessageAuthOptions),
    ]
    parts = [
        _head(
            "Options of the components",
            "Set options with a deployment's `merge`; a deployment's `reset` restores the default. `<name>` stands for any name. "
            "A duration (`_s`) is in seconds; the description names the clock where it is event time. "
            "Refusals name the option, its value and the expected values.",
        )
    ]
    for title, text, prefix, kind in chapters:
        rows = list(_option_rows(kind, prefix))
        body = table(("option", "type", "default", "meaning"), rows) if rows else "No options of its own.\n"
        parts.append(f"## {title}\n\n{text}\n\n{body}")
    return "\n".join(parts)


def _option_rows(kind: type, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    for field in info.fields:
        inner, description = _unwrap(field.type)
        key = prefix + field.encode_name
        nested = _nested(inner)
        if nested is not None:
            suffix = "." if isinstance(inner, types.StructType) else ".<name>."
            yield from _option_rows(nested, key + suffix)
        else:
            default = "required" if field.required else _shown(_default(field))
            yield breakable(key, "."), _type_name(inner), default, description


def _nested(inner: types.Type) -> type | None:
    """The options class inside a field: its own, or that of a map's values."""
    if isinstance(inner, types.StructType):
        return inner.cls
    if isinstance(inner, types.DictType) and isinstance(_unwrap(inner.value_type)[0], types.StructType):
        return _nested(_unwrap(inner.value_type)[0])
    return None


def _unwrap(kind: types.Type) -> tuple[types.Type, str]:
    """The type without its metadata, and the description in these."""
    description = ""
    while isinstance(kind, types.Metadata):
        description = (kind.extra_json_schema or {}).get("description", description)
        kind = kind.type
    return kind, description


def _default(field: types.Field) -> Any:
    if field.default is not NODEFAULT:
        return field.default
    return msgspec.UNSET if field.default_factory is NODEFAULT else field.default_factory()


def _shown(value: Any) -> str:
    if value is msgspec.UNSET:
        return "absent"
    if value is None or value in ("", b"", ()):
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"`{key}`" for key in value) or "none"
    return f"`{value}`" if isinstance(value, str) else str(value)


def _type_name(kind: types.Type) -> str:
    kind = _unwrap(kind)[0]
    if isinstance(kind, types.UnionType):
        return " or ".join(_type_name(each) for each in kind.types if not isinstance(each, types.CustomType))
    if isinstance(kind, types.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, (types.IntType, types.FloatType)):
        name = "integer" if isinstance(kind, types.IntType) else "number"
        bounds = ((kind.ge, "from {:g}"), (kind.gt, "above {:g}"), (kind.le, "to {:g}"), (kind.lt, "below {:g}"))
        return " ".join([name, *(words.format(bound) for bound, words in bounds if bound is not None)])
    if isinstance(kind, types.StrType):
        return "text" + ("" if kind.max_length is None else f" of at most {kind.max_length} characters")
    if isinstance(kind, types.DictType):
        return f"map of text to {_type_name(kind.value_type)}"
    if isinstance(kind, types.VarTupleType | types.ListType):
        return f"list of {_type_name(kind.item_type)}"
    if isinstance(kind, types.TupleType):
        return f"list of {', '.join(_type_name(each) for each in kind.item_types)}"
    if isinstance(kind, types.StructType):
        return kind.cls.__name__
    names = {types.BoolType: "`true` or `false`", types.BytesType: "bytes", types.NoneType: "null", types.AnyType: "options"}
    return names.get(type(kind), type(kind).__name__.removesuffix("Type").lower())


def messages() -> str:
    """Every message: its type, version, fields and their meaning."""
    parts = [
        _head(
            "Messages",
            "Blocks of rows are MessagePack with packed little-endian columns; all other messages are JSON. Components accept either "
            "form of each. Unknown fields are ignored; a message of a newer version is refused.",
        )
    ]
    for kind in MESSAGES:
        summary, meanings = _docstring(kind)
        info = types.type_info(kind)
        assert isinstance(info, types.StructType)
        rows = [
            (
                f"`{field.encode_name}`",
                _type_name(field.type),
                "required" if field.required else _shown(_default(field)),
                meanings.get(field.encode_name, ""),
            )
            for field in info.fields
            if field.encode_name != "v"
        ]
        heading = f"## {kind.__name__}\n\n`type`: `{info.tag}`, version {kind.VERSION}. {summary}\n"
        parts.append(f"{heading}\n{table(('field', 'type', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def _docstring(kind: type) -> tuple[str, dict[str, str]]:
    """A class's summary, and what its `Attributes:` section states for each name."""
    text = inspect.getdoc(kind) or ""
    summary, _, attributes = text.partition("Attributes:")
    meanings: dict[str, str] = {}
    for names, meaning in re.findall(r"^ {4}(\w[\w, ]*): (.*?)(?=^ {4}\w|\Z)", attributes, re.MULTILINE | re.DOTALL):
        meanings |= dict.fromkeys((name.strip() for name in names.split(",")), " ".join(meaning.split()))
    return " ".join(summary.split()), meanings


def topic_page() -> str:
    """Every topic with its messages, publishers and subscribers; then the reasons for refusing a message."""
    local, cloud = ([topic for topic in TOPICS if topic.cloud is where] for where in (False, True))
    return "\n".join(
        [
            "---\nhide: [toc]\n---\n",
            _head(
                "Topics",
                "The access policies of the recipes name exactly these topics. A message carries the name of its asset; "
                "the topic does not. [Messages](messages.md) lists the fields.",
            ),
            "## On the device\n\nGreengrass IPC publish/subscribe. "
            "*Signed* messages carry a [message authentication code](../security.md#signed-messages).\n",
            table(_TOPIC_COLUMNS, [(*_topic_row(topic), "yes" if topic.signed else "no") for topic in local]),
            "## In IoT Core\n\nJSON messages over MQTT. The device's IoT policy limits a device to the topics of its own thing.\n",
            table(_TOPIC_COLUMNS[:-1], map(_topic_row, cloud)),
            "## Refused messages\n\nA component counts a refused message by one of these reasons, logs it at most once a minute and "
            "reports it in its status.\n",
            table(("reason", "the message"), REASONS.items()),
        ]
    )


_TOPIC_COLUMNS = ("topic", "messages", "contents", "published by", "subscribed to by", "signed")


def _topic_row(topic: Topic) -> tuple[str, ...]:
    kinds = ", ".join(f"[{kind.__name__}](messages.md#{kind.__name__.lower()})" for kind in topic.messages)
    name = topic.name.replace("{", "<").replace("}", ">")
    return breakable(name, "/"), kinds, topic.about, _parties(topic.publishers), _parties(topic.subscribers)


def _parties(parties: Parties) -> str:
    return "; ".join(f"{name.rsplit('.', 1)[-1]}{f' ({condition})' if condition else ''}" for name, condition in parties.items())


def decisions(root: Path) -> str:
    """The index of decision records: number, title and status."""
    rows = []
    for path in sorted((root / "docs" / "decisions").glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        title = re.sub(r"^#+ (\d+[.:]? )?", "", text.partition("\n")[0])
        date = re.search(r"\d{4}-\d\d-\d\d", text)
        rows.append((f"[{path.name[:4]}]({path.name})", title, date[0] if date else ""))
    introduction = (
        "Each record gives a choice, its reason and the options that were rejected. Records are history: they use the names of their time, "
        "of options, commands, modules and terms. The [changelog](../changelog.md) lists earlier names with those of today."
    )
    return f"{_head('Decisions', introduction)}\n{table(('record', 'title', 'date'), rows)}"


def figures(root: Path) -> str:
    """The tables of measurements that runs wrote into the documents of training."""
    parts = [
        _head(
            "Evaluation of the models",
            "Each table was written by the command that its document names; "
            "[training and evaluation](model-training.md) describes the protocol.",
        )
    ]
    for path in sorted((root / "model_training").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for match in _FIGURES.finditer(text):
            headings = re.findall(r"^#+ (.*)", text[: match.start()], re.MULTILINE)
            title = headings[-1] if headings else match[1].replace("_", " ")
            parts.append(f"## {title}: {match[1].replace('_', ' ')}\n\n{match[2]}")
    return "\n".join(parts)


def _head(title: str, introduction: str) -> str:
    return f"# {title}\n\n{introduction}\n"
