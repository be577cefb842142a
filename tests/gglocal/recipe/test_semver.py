from __future__ import annotations

import pytest

from gglocal.errors import VersionError
from gglocal.recipe.semver import Range, Version


@pytest.mark.parametrize(
    "text, inside, outside",
    [
        ("*", ["0.0.1", "9.9.9"], ["1.0.0-rc.1"]),
        ("", ["1.0.0"], []),
        ("1.0.0", ["1.0.0", "1.0.0+build"], ["1.0.1", "1.0.0-rc"]),
        (">=1.0.0 <2.0.0", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        (">= 1.0.0", ["1.0.0"], ["0.9.0"]),
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("~1.0", ["1.0.9"], ["1.1.0"]),
        ("~1", ["1.9.9"], ["2.0.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
        ("1.x", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("1.2.*", ["1.2.7"], ["1.3.0"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        ("<=1.2", ["1.2.9"], ["1.3.0"]),
        ("1.0.0 - 2.0", ["1.0.0", "2.0.9"], ["2.1.0"]),
        ("1.0.0 || >=3.0.0", ["1.0.0", "3.1.0"], ["2.0.0"]),
        ("~2.0.0-rc.1", ["2.0.0-rc.1", "2.0.0-rc.2", "2.0.5"], ["2.0.1-rc.1", "2.1.0"]),
    ],
)
def test_ranges_contain_versions(text: str, inside: list[str], outside: list[str]) -> None:
    expected = Range.parse(text)
    assert [each for each in inside if Version.parse(each) not in expected] == []
    assert [each for each in outside if Version.parse(each) in expected] == []


def test_versions_are_ordered_semantically() -> None:
    texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.10", "1.2.0"]
    versions = [Version.parse(text) for text in texts]
    shuffled = versions[1::2] + versions[::2]
    assert sorted(shuffled) == versions
    assert [str(version) for version in versions] == texts


@pytest.mark.parametrize("text", ["1.0", "v1", "", "1.0.0.0", "latest"])
def test_invalid_versions_are_rejected(text: str) -> None:
    with pytest.raises(VersionError, match="write major.minor.patch"):
        Version.parse(text)


@pytest.mark.parametrize("text", ["latest", "1.0.0 and more", ">>1"])
def test_invalid_ranges_are_rejected(text: str) -> None:
    with pytest.raises(VersionError, match="not a version range"):
        Range.parse(text)
