"""The help that comes from the table alone, and the options that every command has besides its own.

Nothing here imports a command, so that help is there before anything is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from edgeml_cli.command import EXIT_CODES
from edgeml_cli.output import OPTIONS
from edgeml_cli.verbs import FAMILIES, VENV, VERBS, Verb

ABOUT = "Machine learning on the edge with AWS IoT Greengrass: build, try, train, deploy and observe."
AWS = "Needs an AWS account: credentials and region as for every AWS tool."
_WIDTH = max(len(verb.words) for verb in VERBS) + 2


def overview() -> str:
    """`edgeml --help`: every family with its verbs."""
    parts = ["usage: edgeml COMMAND [OPTION...]", ABOUT]
    singles = [verb for verb in VERBS if verb.words == verb.family]
    parts.append("\n".join(_line(verb) for verb in singles if verb.words != "completion"))
    for family, about in FAMILIES.items():
        verbs = [verb for verb in VERBS if verb.family == family and verb not in singles]
        if verbs:
            parts.append("\n".join((f"{family}: {about}", *map(_line, verbs))))
    parts.append("\n".join(("shell:", *(_line(verb) for verb in singles if verb.words == "completion"))))
    parts.append("\n".join(("options of every command:", *_options())))
    parts.append("\n".join(("exit codes:", *(f"  {code:<{_WIDTH}}{meaning}" for code, meaning in EXIT_CODES.items()))))
    parts.append("`edgeml COMMAND --help` lists the options of a command. Help never installs anything.")
    return "\n\n".join(parts) + "\n"


def family(name: str) -> str:
    """`edgeml model --help`: the verbs of one family."""
    verbs = [verb for verb in VERBS if verb.family == name]
    body = "\n".join(map(_line, verbs))
    return f"usage: edgeml {name} COMMAND [OPTION...]\n\n{FAMILIES[name]}.\n\n{body}\n\n`edgeml {name} COMMAND --help` lists its options.\n"


def static(verb: Verb) -> str:
    """The help of a verb whose module cannot be imported here."""
    words = " ".join(("scripts/env", *(() if verb.venv == VENV else ("--venv", verb.venv)), *verb.extras))
    where = f"Its options are listed once its environment exists: the first run creates it, or `{words}`."
    parts = [f"usage: {verb.command} [OPTION...]", verb.summary, where, *([AWS] if verb.aws else [])]
    parts.append("\n".join(("options of every command:", *_options())))
    return "\n\n".join(parts) + "\n"


def complete(leaf: argparse.ArgumentParser, verb: Verb) -> None:
    """Complete the parser of a verb's arguments from the table."""
    leaf.prog = verb.command
    leaf.description = leaf.description or verb.summary
    if verb.aws and not leaf.epilog:
        leaf.epilog = AWS
    known = option_strings(leaf)
    group = leaf.add_argument_group("options of every command")
    for option, text in OPTIONS.items():
        if option not in known:
            group.add_argument(option, action="store_true", help=text)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's commands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def option_strings(parser: argparse.ArgumentParser) -> list[str]:
    """The long options that a parser and its commands show in their help, each once."""
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    own = [text for action in shown for text in action.option_strings if text.startswith("--")]
    return list(dict.fromkeys([*own, *(text for below in subparsers(parser).values() for text in option_strings(below))]))


def _line(verb: Verb) -> str:
    return f"  {verb.words:<{_WIDTH}}{verb.summary}"


def _options() -> Iterator[str]:
    return (f"  {option:<{_WIDTH}}{text}" for option, text in OPTIONS.items())
