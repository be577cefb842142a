"""The modules of the verbs, imported when they are needed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from typing import Protocol, cast

from edgeml_cli import help_text
from edgeml_cli.environments import ROOT
from edgeml_cli.verbs import Verb


class VerbModule(Protocol):
    """The contract of a verb's module."""

    def parser(self) -> argparse.ArgumentParser: ...

    def main(self, arguments: list[str] | None = None) -> int: ...


def load(verb: Verb) -> VerbModule:
    """
    Raises:
        ImportError, SystemExit: this interpreter lacks a requirement of the module.
    """
    return cast(VerbModule, importlib.import_module(verb.module))


def parser_of(verb: Verb) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser that reads a verb's prefix and arguments, and the one below it that reads the arguments alone.

    Raises:
        ImportError, SystemExit: this interpreter lacks a requirement of the module.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # an import may write there, and help is not the place for it
        whole = leaf = load(verb).parser()
    for word in verb.prefix:
        leaf = help_text.subparsers(leaf)[word]
    help_text.complete(leaf, verb)
    return whole, leaf


def find_checkout() -> None:
    """Put the folders of the checkout on the path of this process and of those that it starts."""
    folders = [str(ROOT / "libs"), str(ROOT / "components"), str(ROOT)]
    others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each and each not in folders]
    os.environ["PYTHONPATH"] = os.pathsep.join((*folders, *others))
    sys.path[:0] = [each for each in folders if each not in sys.path]
