"""The suite's version stands in `gdk-config.json`; this sets another there, and wherever else it must be written: `edgeml dev version`.

Needs nothing but the standard library, as the build does.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from edgeml_cli.build.package import ROOT, VERSION, BuildError, Project

PLACES = {
    "gdk-config.json": r'(?<="version": ")[^"]*(?=")',
    "libs/edgeml/__init__.py": r'(?<=^__version__ = ")[^"]*(?="$)',
    "README.md": r"(?<=com\.edgeml\.Suite=)\d[0-9A-Za-z.+-]*",
}
"""Where it stands, and how it is found there. gdk takes a literal; the library's copy travels in the zips, where there is no
`gdk-config.json`; `pyproject.toml` reads the library's; the README's commands are to be copied."""


def found(root: Path) -> dict[str, set[str]]:
    """The versions that each place names."""
    return {name: set(re.findall(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)) for name, pattern in PLACES.items()}


def write(root: Path, version: str) -> list[str]:
    """Set the version everywhere; returns the files that changed.

    Raises:
        BuildError: it is no version, or a place has none that could be set; nothing was changed.
    """
    if not re.fullmatch(VERSION, version):
        raise BuildError(f"{version!r} is no version; give major.minor.patch, such as 1.2.3")
    texts = {}
    for name, pattern in PLACES.items():
        text = (root / name).read_text(encoding="utf-8")
        changed, count = re.subn(pattern, version, text, flags=re.MULTILINE)
        if not count:
            raise BuildError(f"{root / name} names no version where one is wanted; restore it, nothing was changed")
        if changed != text:
            texts[name] = changed
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    return list(texts)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml dev version", description="Print the version of the suite, or set another.")
    made.add_argument("version", nargs="?", help="the new one: major.minor.patch, such as 1.2.3")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    try:
        if given.version is not None:
            for name in write(ROOT, given.version):
                print(f"edgeml dev version: {name}", file=sys.stderr)
        print(Project.read(ROOT).version)
    except BuildError as fault:
        print(f"edgeml dev version: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
