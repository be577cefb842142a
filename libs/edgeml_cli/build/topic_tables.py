"""Writes the records of `edgeml.messages.topics` into the recipes (`accessControl`) and the components' READMEs (table of topics).

Recipes are text that gdk reads, and READMEs are text that people read, so both hold a copy. A test compares the copies with the records.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeml.messages import topics
from edgeml.messages.topics import Parties, Topic
from edgeml_cli.build.package import COMPONENTS, ROOT, BuildError

COMMAND = "edgeml dev topics"
THING = "+"
"""One level for any thing's name: the classic nucleus replaces `{iot:thingName}` only if `interpolateComponentConfiguration` is set."""
PUBSUB, MQTT_PROXY = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy"
TABLE = "| direction | topic | message | use |"


def resource(topic: Topic, component: str) -> str:
    """The topic as `accessControl` of a component names it."""
    return topic.name.format(component=component.rsplit(".", 1)[-1], thing=THING)


def grants(component: str) -> dict[tuple[str, str], list[str]]:
    """(service, operation) -> resources of a component."""
    found: dict[tuple[str, str], list[str]] = {}
    for cloud, service, place in ((False, PUBSUB, "Topic"), (True, MQTT_PROXY, "IoTCore")):
        for verb in ("PublishTo", "SubscribeTo"):
            mine = [topic for topic in topics.TOPICS if topic.cloud is cloud and component in _parties(topic, verb)]
            if mine:
                found[service, f"aws.greengrass#{verb}{place}"] = [resource(topic, component) for topic in mine]
    return found


def access_control(component: str) -> str:
    """`accessControl` as the recipe of a component holds it, without the key itself."""
    lines, services = [], set()
    numbers = {PUBSUB: 1, MQTT_PROXY: 3}
    for (service, operation), resources in grants(component).items():
        if service not in services:
            lines.append(f"      {service}:")
            services.add(service)
        verb = "Publish" if "#Publish" in operation else "Subscribe"
        kind = "local" if service == PUBSUB else "IoT Core"
        lines += [
            f"        {component}:{service.rsplit('.', 1)[-1]}:{numbers[service]}:",
            f"          policyDescription: {verb} to the {kind} topics that {component.rsplit('.', 1)[-1]} uses.",
            f"          operations: [{operation}]",
            "          resources:",
            *(f'            - "{name}"' if THING in name else f"            - {name}" for name in resources),
        ]
        numbers[service] += 1
    return "\n".join(lines) + "\n"


def rows(component: str) -> Iterator[str]:
    """Rows of the table of topics in a component's README."""
    yield TABLE
    yield "|---|---|---|---|"
    for direction, verb in (("in", "SubscribeTo"), ("out", "PublishTo")):
        for topic in topics.TOPICS:
            if component not in _parties(topic, verb):
                continue
            name = topic.name.format(component=component.rsplit(".", 1)[-1], thing="<thing>")
            types = ", ".join(f"`{each.__name__}`" for each in topic.messages)
            condition = _parties(topic, verb)[component]
            use = f"{topic.about} ({condition})" if condition else topic.about
            yield f"| {direction}{', IoT Core' if topic.cloud else ''} | `{name}` | {types} | {use} |"


def in_recipe(text: str, component: str) -> str:
    """A recipe with `accessControl` as the records have it."""
    return _replaced(text, r"(?<=^    accessControl:\n)(?: {6,}.*\n)+", access_control(component))


def in_readme(text: str, component: str) -> str:
    """A README with the table of topics as the records have it."""
    return _replaced(text, r"^\| (?:direction \| )?topic \|.*\n(?:\|.*\n)+", "\n".join(rows(component)) + "\n")


def places(root: Path) -> Iterator[tuple[Path, Callable[[str, str], str], str]]:
    """(file, how its copy is replaced, component) of every copy."""
    for component, folder in COMPONENTS.items():
        yield root / "recipes" / f"{component}.yaml", in_recipe, component
        yield root / "components" / folder / "README.md", in_readme, component


def outdated(root: Path) -> dict[Path, str]:
    """Files whose copy differs from the records, and the text that each must have.

    Raises:
        BuildError: a file has no place for its copy.
    """
    found = {}
    for path, write, component in places(root):
        text = path.read_text(encoding="utf-8")
        try:
            new = write(text, component)
        except ValueError:
            missing = "`accessControl`" if write is in_recipe else "table of topics that begins with `| direction | topic |`"
            raise BuildError(f"{path} has no {missing}; restore it") from None
        if new != text:
            found[path] = new
    return found


def _parties(topic: Topic, verb: str) -> Parties:
    return topic.publishers if verb == "PublishTo" else topic.subscribers


def _replaced(text: str, pattern: str, new: str) -> str:
    """
    Raises:
        ValueError: the text has no such place, or several.
    """
    changed, count = re.subn(pattern, lambda _: new, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError
    return changed


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n\n")[0])
    made.add_argument("--check", action="store_true", help="change nothing; fail if a file is out of date")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 if a file has no place for its copy or, with --check, is out of date."""
    given = parser().parse_args(arguments)
    try:
        changed = outdated(ROOT)
    except BuildError as fault:
        print(f"{COMMAND}: {fault}", file=sys.stderr)
        return 1
    for path, text in changed.items():
        name = path.relative_to(ROOT).as_posix()
        if given.check:
            print(f"{COMMAND}: {name} differs from edgeml.messages.topics; run: {COMMAND}", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(name)
    return 1 if given.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
