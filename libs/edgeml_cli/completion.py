"""Completion for shells, made from the table of commands: `edgeml completion bash|zsh|fish`.

A script names every command and, where the modules can be imported when it is made, their options. It runs no Python when a key is pressed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from edgeml_cli import help_text, modules
from edgeml_cli.output import OPTIONS
from edgeml_cli.verbs import FAMILIES, VERBS, Verb

LOAD = {
    "bash": "source <(edgeml completion bash), or write it to ~/.local/share/bash-completion/completions/edgeml",
    "zsh": "edgeml completion zsh > ~/.zfunc/_edgeml, with ~/.zfunc in fpath before compinit",
    "fish": "edgeml completion fish > ~/.config/fish/completions/edgeml.fish",
}


def options(verb: Verb) -> list[str]:
    """The long options of a verb; those of every command where its module cannot be imported here."""
    try:
        _, leaf = modules.parser_of(verb)
    except (ImportError, SystemExit):
        return ["--help", *OPTIONS]
    return sorted(help_text.option_strings(leaf))


def second_words() -> dict[str, list[Verb]]:
    """The verbs of every family that has more than its own name."""
    found: dict[str, list[Verb]] = {}
    for verb in VERBS:
        if verb.words != verb.family:
            found.setdefault(verb.family, []).append(verb)
    return found


def bash() -> str:
    """Completion for bash: commands and options by name, files elsewhere."""
    families = "\n".join(f"      {name}) words='{' '.join(v.words.split()[1] for v in each)}' ;;" for name, each in second_words().items())
    verbs = "\n".join(f"      '{verb.words}') words='{' '.join(options(verb))}' ;;" for verb in VERBS)
    return f"""_edgeml() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} typed=${{COMP_WORDS[1]}} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='{" ".join(FAMILIES)} --help'
  elif [ "$COMP_CWORD" -eq 2 ]; then
    case $typed in
{families}
    esac
  fi
  if [ -z "$words" ] && [[ $current == -* ]]; then
    case $typed in {"|".join(second_words())}) typed="$typed ${{COMP_WORDS[2]}}" ;; esac
    case $typed in
{verbs}
    esac
  elif [ "$typed" = completion ] && [ "$COMP_CWORD" -eq 2 ]; then
    words='{" ".join(SHELLS)}'
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _edgeml edgeml
"""


def zsh() -> str:
    """Completion for zsh, with the line of help of every command."""
    first = " ".join(_quoted(f"{name}:{about}") for name, about in FAMILIES.items())
    families = "\n".join(
        f"    {name}) verbs=({' '.join(_quoted(f'{v.words.split()[1]}:{v.summary}') for v in each)}) ;;"
        for name, each in second_words().items()
    )
    verbs = "\n".join(f"    '{verb.words}') options=({' '.join(options(verb))}) ;;" for verb in VERBS)
    return f"""#compdef edgeml
_edgeml() {{
  local -a families verbs options
  local typed=$words[2]
  families=({first})
  if (( CURRENT == 2 )); then
    _describe command families
    return
  fi
  case $typed in
{families}
  esac
  if (( $#verbs )); then
    if (( CURRENT == 3 )); then
      _describe command verbs
      return
    fi
    typed="$typed $words[3]"
  elif [[ $typed == completion ]]; then
    compadd {" ".join(SHELLS)}
    return
  fi
  case $typed in
{verbs}
  esac
  [[ $PREFIX == -* ]] && compadd -- $options || _files
}}
if [[ $funcstack[1] == _edgeml ]]; then _edgeml "$@"; else compdef _edgeml edgeml; fi
"""


def fish() -> str:
    """Completion for fish, with the line of help of every command."""
    lines = [f"complete -c edgeml -n __fish_use_subcommand -f -a {name} -d {_quoted(about)}" for name, about in FAMILIES.items()]
    for name, each in second_words().items():
        known = " ".join(verb.words.split()[1] for verb in each)
        at_family = _quoted(f"__fish_seen_subcommand_from {name}; and not __fish_seen_subcommand_from {known}")
        lines += [f"complete -c edgeml -n {at_family} -f -a {v.words.split()[1]} -d {_quoted(v.summary)}" for v in each]
    lines.append(f"complete -c edgeml -n '__fish_seen_subcommand_from completion' -f -a {_quoted(' '.join(SHELLS))}")
    for verb in VERBS:
        seen = _quoted("; and ".join(f"__fish_seen_subcommand_from {word}" for word in verb.words.split()))
        lines += [f"complete -c edgeml -n {seen} -l {option.removeprefix('--')}" for option in options(verb)]
    return "\n".join(lines) + "\n"


SHELLS: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml completion",
        description="Print a completion script.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{shell}: {how}" for shell, how in LOAD.items()),
    )
    made.add_argument("shell", choices=tuple(SHELLS), help="the shell that loads it")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    given = parser().parse_args(arguments)
    sys.stdout.write(f"# Completion of edgeml for {given.shell}. Load it: {LOAD[given.shell]}\n" if given.shell != "zsh" else "")
    sys.stdout.write(SHELLS[given.shell]())
    return 0
