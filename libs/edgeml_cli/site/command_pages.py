"""Reference pages of the commands, from their parsers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from edgeml_cli import environments, modules
from edgeml_cli.environments import ROOT
from edgeml_cli.site.markdown import table
from edgeml_cli.verbs import FAMILIES, VERBS
from gglocal.cli.main import _parser as gglocal_parser


def gglocal_page() -> str:
    """The page of `gglocal`."""
    introduction = "[gglocal](gglocal.md) is the local nucleus. `scripts/env` installs the command as `.venv/bin/gglocal`."
    return "\n".join([f"# The gglocal command\n\n{introduction}\n", *_verbs(gglocal_parser(), 2)])


def edgeml_page() -> str:
    """The page of `edgeml`: every verb of its table, with the options of its parser."""
    head = "# The edgeml command\n\n`edgeml COMMAND --help` prints the same. `scripts/edgeml` installs what a command needs on first use.\n"
    parts = [head]
    for family, about in FAMILIES.items():
        parts.append(f"## {family}\n\n{about}.\n")
        for verb in (each for each in VERBS if each.family == family):
            if verb.words != family:
                parts.append(f"### {verb.command}\n")
            needs = [f"the extras {', '.join(f'`{extra}`' for extra in verb.extras)}"] if verb.extras else []
            needs += ["an AWS account"] if verb.aws else []
            parts.append(" ".join([verb.summary, *([f"Needs {' and '.join(needs)}."] if needs else [])]) + "\n")
            try:
                _, parser = modules.parser_of(verb)
            except (ImportError, SystemExit):
                if not environments.missing(verb.extras):
                    raise
                parts.append(f"`{verb.command} --help` lists its options once its extras are installed.\n")
            else:
                parts += _verbs(parser, 4)
    return "\n".join(parts)


def _verbs(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    """The arguments of a parser, and those of the verbs below it, under headings of `level`."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    groups = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    rows = [
        (", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`", _help(parser, action))
        for action in actions
        if action not in groups and action.help != argparse.SUPPRESS
    ]
    if rows:
        yield table(("argument", "meaning"), rows)
    for group in groups:
        for name, verb in group.choices.items():
            if verb.prog.split()[-1] != name:
                continue  # an alias
            yield f"{'#' * level} {verb.prog}\n"
            if verb.description:
                text = _plain(verb.description)
                yield f"{text[:1].upper()}{text[1:].rstrip('.')}.\n"
            yield from _verbs(verb, min(level + 1, 6))


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if not action.help:
        return ", ".join(f"`{choice}`" for choice in action.choices) if action.choices else ""
    text = parser._get_formatter()._expand_help(action).replace(f"{ROOT}/", "")
    return _plain(re.sub(r" \(default: (?:None|False)\)", "", text))


def _plain(text: str) -> str:
    """Help as Markdown: one paragraph, in which nothing is markup."""
    return re.sub(r"([<*_\[])", r"\\\1", " ".join(text.split()))
