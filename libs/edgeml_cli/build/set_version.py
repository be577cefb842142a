"""Prints or sets the suite's version, in `gdk-config.json` and its copies: `edgeml dev version`.

Needs the standard library only, as the build does.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from edgeml_cli.build.package import ROOT, VERSION, BuildError, Project

VERSION_PATTERNS = {
    "gdk-config.json": r'(?<="version": ")[^"]*(?=")',
    "libs/edgeml/__init__.py": r'(?<=^__version__ = ")[^"]*(?="$)',
    "libs/gglocal/__init__.py": r'(?<=^__version__ = ")[^"]*(?="$)',
    "README.md": r"(?<=com\.edgeml\.Suite=)\d[0-9A-Za-z.+-]*",
}
"""The files that contain the version, each with a pattern that finds it. gdk needs a literal. The library's copy is shipped in the zips,
which have no `gdk-config.json`, and `pyproject.toml` reads it. The commands in the README can be copied."""


def read_versions(root: Path) -> dict[str, set[str]]:
    """The versions in each file."""
    return {
        name: set(re.findall(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name, pattern in VERSION_PATTERNS.items()
    }


def set_version(root: Path, version: str) -> list[str]:
    """Set the version in all files; returns the changed files.

    Raises:
        BuildError: the version is invalid, or a file contains no version. Nothing is changed then.
    """
    if not re.fullmatch(VERSION, version):
        raise BuildError(f"{version!r} is not a version; expected major.minor.patch, such as 1.2.3")
    texts = {}
    for name, pattern in VERSION_PATTERNS.items():
        text = (root / name).read_text(encoding="utf-8")
        changed, count = re.subn(pattern, version, text, flags=re.MULTILINE)
        if not count:
            raise BuildError(f"{root / name} does not contain the version where it is expected; restore the file; nothing was changed")
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
            for name in set_version(ROOT, given.version):
                print(f"edgeml dev version: {name}", file=sys.stderr)
        print(Project.read(ROOT).version)
    except BuildError as fault:
        print(f"edgeml dev version: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
