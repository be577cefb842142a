"""The command `edgeml`: `edgeml COMMAND [OPTION...]`, as the table in `edgeml_cli.verbs` lists them.

Requires only the standard library until a command runs. The first run of a command installs its further requirements into an
environment of the checkout. Help never installs anything.
"""

from __future__ import annotations

import importlib
import os
import sys
import time

from edgeml_cli import command, environments, help_text, modules, output, status_line, verbs
from edgeml_cli.verbs import FAMILIES, Verb

HELP = ("-h", "--help")
READY = "EDGEML_ENVIRONMENT_READY"
"""Set for the process that takes over in an environment that was just made."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit code, one of `command.EXIT_CODES`."""
    given = sys.argv[1:] if arguments is None else arguments
    verb, rest = verbs.find(given)
    return command.run(verb.command if verb else "edgeml", lambda: _verb(verb, rest) if verb else _overview(given))


def _overview(words: list[str]) -> int:
    """Answer a command line that names no command."""
    typed = [word for word in words if word not in HELP]
    if not typed:
        print(help_text.overview(), end="")
        return command.DONE
    if typed[0] in FAMILIES and len(typed) == 1:
        print(help_text.family(typed[0]), end="")
        return command.DONE
    if typed == ["--version"]:
        return importlib.import_module("edgeml_cli.build.set_version").main([]) or command.DONE
    *others, last = [f"`edgeml {name}`" for name in verbs.nearest(typed)] or [""]
    near = f"{', '.join(others)} or {last}" if others else last
    hint = f"did you mean {near}? " if near else ""
    print(f"edgeml: there is no command `{' '.join(typed[:2])}`; {hint}`edgeml --help` lists all commands", file=sys.stderr)
    return command.USAGE


def _verb(verb: Verb, rest: list[str]) -> int:
    """Run one verb, or print its help."""
    modules.find_checkout()
    before = rest[: rest.index("--")] if "--" in rest else rest
    if any(word in HELP for word in before):
        return _help(verb, rest)
    ready = os.environ.pop(READY, None)
    extras = needed_extras(verb, rest)
    if verb.venv and not ready and not environments.suits(extras):
        return _hand_over(verb, extras, rest)
    sys.dont_write_bytecode = sys.dont_write_bytecode and not verb.venv
    begun = time.monotonic()
    chosen, arguments = output.take(rest)
    if chosen.json and verb.own_json:
        arguments = ["--json", *arguments]
    with status_line.shown(verb, chosen), output.shaped(verb, chosen):
        code = command.run(verb.command, lambda: int(modules.load(verb).main([*verb.prefix, *arguments]) or 0))
    output.print_result(verb, chosen, code, begun)
    return code


def _help(verb: Verb, rest: list[str]) -> int:
    """Print a verb's help: with its options where its module can be imported."""
    try:
        parser, _ = modules.parser_of(verb)
    except (ImportError, SystemExit):
        print(help_text.static(verb), end="")
        return command.DONE
    parser.parse_args([*verb.prefix, *(word for word in rest if word not in output.OPTIONS)])  # which prints it and exits
    return command.USAGE


def needed_extras(verb: Verb, arguments: list[str]) -> list[str]:
    """The extras for a command line: the verb's, and those of the options that it names."""
    named = {argument.split("=")[0] for argument in arguments}
    return [*verb.extras, *(extra for option, extra in verb.option_extras if option in named)]


def _hand_over(verb: Verb, extras: list[str], rest: list[str]) -> int:
    """Make the verb's environment, and continue there as the same process; returns only if it cannot be made."""
    try:
        python = environments.make(verb.venv, extras)
        os.environ[READY] = "1"
        os.execv(python, [str(python), "-m", "edgeml_cli.main", *verb.words.split(), *rest])
    except environments.EnvironmentFailed as fault:
        print(f"{verb.command}: {fault}", file=sys.stderr)
    return command.FAILED


if __name__ == "__main__":
    sys.exit(main())
