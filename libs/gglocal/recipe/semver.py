"""Semantic versions, and the NPM-style ranges of `VersionRequirement`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import total_ordering

from gglocal.errors import VersionError

MAX_LENGTH = 256
"""Characters of a version, and of a range."""
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII)
_PARTIAL = r"[vV=]*(?:[xX*]|\d+)(?:\.(?:[xX*]|\d+)){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
_COMPARATOR = re.compile(rf"(\^|~>?|>=|<=|>|<|=)?\s*({_PARTIAL})")
_HYPHEN = re.compile(rf"\s*({_PARTIAL})\s+-\s+({_PARTIAL})\s*")


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """`major.minor.patch[-prerelease][+build]`; the build is ignored in comparisons."""

    core: tuple[int, int, int]
    pre: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """
        Raises:
            VersionError: the text is not a semantic version.
        """
        found = _VERSION.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if not found:
            raise VersionError(f"{text[:80]!r} is not a semantic version; write major.minor.patch, as in 1.0.0")
        major, minor, patch, pre, build = found.groups()
        return cls((int(major), int(minor), int(patch)), tuple(pre.split(".")) if pre else (), build or "")

    def __str__(self) -> str:
        text = ".".join(map(str, self.core))
        return text + (f"-{'.'.join(self.pre)}" if self.pre else "") + (f"+{self.build}" if self.build else "")

    def __hash__(self) -> int:
        return hash((self.core, self.pre))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and (self.core, self.pre) == (other.core, other.pre)

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[object, ...]:
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.core, not self.pre, parts)


@dataclass(frozen=True)
class _Bound:
    operator: str
    version: Version

    def holds(self, version: Version) -> bool:
        return {
            ">=": version >= self.version,
            "<=": version <= self.version,
            ">": version > self.version,
            "<": version < self.version,
            "=": version == self.version,
        }[self.operator]


@dataclass(frozen=True)
class Range:
    """A version requirement: `>=1.0.0 <2.0.0`, `^1.2`, `~1.0`, `1.x`, `1.0.0 - 2.0.0`, `1.0.0 || 3.x`, `*`."""

    text: str
    _sets: tuple[tuple[_Bound, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """
        Raises:
            VersionError: the text is not a version range.
        """
        if len(text) > MAX_LENGTH:
            raise VersionError(f"{text[:80]!r}… is not a version range: it has {len(text)} characters, {MAX_LENGTH} are allowed")
        return cls(text, tuple(tuple(_bounds(part, text)) for part in text.split("||")))

    def __str__(self) -> str:
        return self.text or "*"

    def __contains__(self, version: Version) -> bool:
        return any(_satisfies(bounds, version) for bounds in self._sets)


def _satisfies(bounds: tuple[_Bound, ...], version: Version) -> bool:
    if not all(bound.holds(version) for bound in bounds):
        return False
    # A range includes a prerelease only if it names a prerelease of the same major.minor.patch.
    return not version.pre or any(bound.version.pre and bound.version.core == version.core for bound in bounds)


def _bounds(part: str, whole: str) -> Iterator[_Bound]:
    hyphen = _HYPHEN.fullmatch(part)
    if hyphen:
        yield from _comparator(">=", hyphen[1])
        yield from _comparator("<=", hyphen[2])
        return
    at, text = 0, part.replace(",", " ").strip()
    while at < len(text):
        found = _COMPARATOR.match(text, at)
        if not found:
            raise VersionError(f"{whole!r} is not a version range; write for example >=1.0.0 <2.0.0, ^1.2 or *")
        yield from _comparator(found[1] or "", found[2])
        at = found.end()
        while at < len(text) and text[at].isspace():
            at += 1


def _comparator(operator: str, text: str) -> Iterator[_Bound]:
    release, _, pre = text.lstrip("vV=").partition("+")[0].partition("-")
    numbers = [int(piece) for piece in _leading(release.split("."))]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    low = Version((major, minor, patch), tuple(pre.split(".")) if pre else ())
    if not numbers:
        if operator in ("<", ">"):
            yield _Bound("<", Version((0, 0, 0), ("0",)))
        return
    exact = len(numbers) == 3
    if operator in (">=", "<") or exact and operator in (">", "<=", "", "="):
        yield _Bound(operator or "=", low)
    elif operator == ">":
        yield _Bound(">=", _after(numbers, len(numbers) - 1))
    elif operator == "<=":
        yield _Bound("<", _after(numbers, len(numbers) - 1))
    else:
        yield _Bound(">=", low)
        if operator == "^":
            place = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
        elif operator.startswith("~"):
            place = min(1, len(numbers) - 1)
        else:
            place = len(numbers) - 1
        yield _Bound("<", _after(numbers, place))


def _leading(pieces: list[str]) -> Iterator[str]:
    for piece in pieces:
        if not piece.isdigit():
            return
        yield piece


def _after(numbers: list[int], place: int) -> Version:
    """The first version whose number at `place` is one higher."""
    raised = [*numbers[:place], numbers[place] + 1, 0, 0, 0][:3]
    return Version((raised[0], raised[1], raised[2]))
