"""Checks prose by the rules in docs/styles/edgeml.

    edgeml dev prose [--warnings] [--count] [FILE|FOLDER...]

Each rule is a file in the format of Vale (https://vale.sh), so that editors with Vale apply the same rules. This runner reads the three
kinds of rules that are used: `existence`, `substitution` and `occurrence`. It checks the text of Markdown without its code, and the
docstrings of Python files.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from edgeml_cli.environments import ROOT
from edgeml_cli.site import markdown

STYLES = ROOT / "docs" / "styles" / "edgeml"
DOCUMENTS = ("README.md", "docs")
_SENTENCE = re.compile(r"[^.!?]+(?:[.!?](?!\s)[^.!?]*)*[.!?]?")
_HISTORY = ROOT / "docs" / "decisions"
"""Records of their time, which are not rewritten."""


@dataclass(frozen=True)
class Rule:
    """One rule: `pattern` finds a fault, or counts the words of a sentence when `most` is set."""

    name: str
    level: str
    message: str
    pattern: re.Pattern[str]
    remedies: tuple[str, ...] = ()
    most: int | None = None


class Finding(NamedTuple):
    """A fault at a line of a file."""

    path: Path
    line: int
    rule: Rule
    text: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.rule.level}: {self.text} ({self.rule.name})"


def rules(folder: Path = STYLES) -> list[Rule]:
    """The rules of a folder, by name.

    Raises:
        ValueError: a file is no rule of a known kind.
    """
    return [_rule(path.stem, yaml.safe_load(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.yml"))]


def _rule(name: str, raw: dict[str, Any]) -> Rule:
    flags = re.MULTILINE | (re.IGNORECASE if raw.get("ignorecase") else 0)
    kind = raw.get("extends")
    if kind == "occurrence":
        return Rule(name, raw["level"], raw["message"], re.compile(raw["token"], flags), most=raw["max"])
    tokens = list(raw["swap"]) if kind == "substitution" else raw["tokens"] if kind == "existence" else None
    if tokens is None:
        raise ValueError(f"{name}: a rule of the kind {kind!r}; existence, substitution and occurrence are known")
    edge = "" if raw.get("nonword") else r"\b"
    # A group per token tells which one matched; the tokens' own groups do not count.
    inner = [re.sub(r"(?<!\\)\((?!\?)", "(?:", token).replace(" ", r"\s+") for token in tokens]
    pattern = re.compile(edge + "(?:" + "|".join(f"({token})" for token in inner) + ")" + edge, flags)
    return Rule(name, raw["level"], raw["message"], pattern, tuple(raw["swap"].values()) if kind == "substitution" else ())


def findings(path: Path, checked: list[Rule]) -> Iterator[Finding]:
    """Every fault in the prose of a file."""
    for line, text in _passages(path):
        for rule in checked:
            if rule.most is not None:
                yield from _long_sentences(path, line, text, rule)
                continue
            for match in rule.pattern.finditer(text):
                found = " ".join(match[0].split())
                words = (rule.remedies[match.lastindex - 1], found) if rule.remedies and match.lastindex else (found,)
                yield Finding(path, line + text.count("\n", 0, match.start()), rule, rule.message % words)


def _long_sentences(path: Path, line: int, text: str, rule: Rule) -> Iterator[Finding]:
    """Sentences of running text; cells of tables and items of lists end one."""
    for passage in re.finditer(r"[^|]+?(?=\||\n\s*(?:\n|[-*#|]|\d+\. )|\Z)", text):
        for sentence in _SENTENCE.finditer(passage[0]):
            count = len(rule.pattern.findall(sentence[0]))
            if count > (rule.most or 0):
                start = passage.start() + sentence.start() + len(sentence[0]) - len(sentence[0].lstrip())
                yield Finding(path, line + text.count("\n", 0, start), rule, f"{rule.message}: {count} words")


def _passages(path: Path) -> Iterator[tuple[int, str]]:
    """(first line, prose) of a file: all of a document, the docstrings of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, re.sub(r"\]\([^)\s]*\)", "]", markdown.prose(text))
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            source = ast.get_source_segment(text, node.value) or ""
            yield node.lineno, markdown.prose(re.sub(r"``.*?``|^ {4,}\$.*$", "", source))


def files(places: list[Path]) -> list[Path]:
    """The documents and modules in some files and folders."""
    found: list[Path] = []
    for place in places:
        found += [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.suffix in (".md", ".py"))
    return [path for path in found if not path.is_relative_to(_HISTORY)]


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(prog="edgeml dev prose", description="Check the prose of documents and docstrings.")
    made.add_argument("place", nargs="*", type=Path, help=f"files or folders (default: {', '.join(DOCUMENTS)})")
    made.add_argument("--warnings", action="store_true", help="print warnings too")
    made.add_argument("--count", action="store_true", help="print how often each rule is broken, and not where")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 1 when a rule of the level `error` is broken."""
    options = parser().parse_args(arguments)
    places = [place.resolve() for place in options.place] or [ROOT / place for place in DOCUMENTS]
    known = rules()
    found = [finding for path in files(places) for finding in findings(path, known)]
    if options.count:
        for (name, level), count in sorted(Counter((finding.rule.name, finding.rule.level) for finding in found).items()):
            print(f"{name} ({level}): {count}")
    else:
        for finding in found:
            if options.warnings or finding.rule.level == "error":
                print(finding)
    return 1 if any(finding.rule.level == "error" for finding in found) else 0


if __name__ == "__main__":
    sys.exit(main())
