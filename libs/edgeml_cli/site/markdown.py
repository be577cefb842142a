"""Markdown as the site needs it: tables, fenced blocks, headings and links. Pure functions over text."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

_FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)(?P=mark) *$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]*)"')
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:")


class Block(NamedTuple):
    """A fenced block; `line` is that of its first line of content, from 1."""

    language: str
    title: str
    body: str
    line: int


class Link(NamedTuple):
    """An inline link or image; `target` without its anchor, both as written."""

    image: bool
    text: str
    target: str
    anchor: str


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block of a document, in order."""
    for match in _FENCE.finditer(text):
        language, _, rest = match["info"].strip().partition(" ")
        title = _TITLE.search(rest)
        indent = len(match["indent"])
        body = "".join(line[indent:] for line in match["body"].splitlines(keepends=True))
        yield Block(language, title[1] if title else "", body, text.count("\n", 0, match.start()) + 2)


def prose(text: str) -> str:
    """The document with its fenced blocks and inline code blanked out; every other character keeps its line and column."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return _CODE.sub(blank, _FENCE.sub(blank, text))


def replace_links(text: str, replacement: Callable[[Link], str | None]) -> str:
    """The document with each link outside of code replaced; None leaves it as it is."""
    plain, parts, end = prose(text), [], 0
    for match in _LINK.finditer(text):
        if plain[match.start("target") - 1] != "(":
            continue
        target, _, anchor = match["target"].partition("#")
        new = replacement(Link(bool(match["image"]), match["text"], target, anchor))
        if new is not None:
            parts += [text[end : match.start()], new]
            end = match.end()
    return "".join([*parts, text[end:]])


def is_external(link: Link) -> bool:
    """Whether the link leads out of the repository, or within its own page."""
    return not link.target or _EXTERNAL.match(link.target) is not None


def move_links(text: str, source: str, pages: Mapping[str, str], exists: Callable[[str], bool]) -> tuple[str, list[str]]:
    """The document `source` with its links as its page on the site needs them, and a sentence for each broken one.

    Links to documents that are pages lead there. Links to other files of the repository become plain text, because the site has no copy.

    Args:
        source: the document's path in the repository.
        pages: path in the repository -> path on the site.
        exists: whether a path in the repository is a file or folder.
    """
    broken: list[str] = []

    def moved(link: Link) -> str | None:
        if is_external(link):
            return None
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link.target))
        if path in pages:
            target = posixpath.relpath(pages[path], posixpath.dirname(pages[source]) or ".")
            return f"{'!' if link.image else ''}[{link.text}]({target}{f'#{link.anchor}' if link.anchor else ''})"
        if not exists(path):
            broken.append(f"{source}: the link to {link.target} leads to no file; correct it")
        return link.text

    return replace_links(text, moved), broken


def breakable(name: str, after: str) -> str:
    """A name as code that a narrow column may break after each `after`."""
    escaped = name.replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{escaped.replace(after, f'{after}<wbr>')}</code>"


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; a `|` in a cell is escaped, and a line break becomes a space."""
    heading = tuple(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |" for line in lines) + "\n"
