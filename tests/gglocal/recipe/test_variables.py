from __future__ import annotations

from pathlib import Path

import pytest

from gglocal.errors import VariableError
from gglocal.recipe.variables import Scope, interpolate

ROOT = Path("/gg")
CONFIG = {"text": 'say "$HOME"', "number": 300, "deep": {"a/b": True}, "list": ["x", "y"]}
OTHER = Scope("com.example.Other", "2.0.0", ROOT, "thing", lambda: {"port": 80})
SCOPE = Scope("com.example.A", "1.0.0", ROOT, "thing", lambda: CONFIG, {"com.example.Other": OTHER})


@pytest.mark.parametrize(
    "text, classic, lite",
    [
        ("{artifacts:path}/x", "/gg/packages/artifacts/com.example.A/1.0.0/x", "/gg/packages/artifacts/com.example.A/1.0.0//x"),
        (
            "{artifacts:decompressedPath}",
            "/gg/packages/artifacts-unarchived/com.example.A/1.0.0",
            "/gg/packages/artifacts-unarchived/com.example.A/1.0.0/",
        ),
        ("{work:path}", "/gg/work/com.example.A", "/gg/work/com.example.A/"),
        ("{kernel:rootPath} {iot:thingName}", "/gg thing", "/gg thing"),
        ("{configuration:/text}", 'say "$HOME"', 'say \\"\\$HOME\\"'),
        ("{configuration:/number} {configuration:/list/1}", "300 y", "300 y"),
        ("{configuration:/deep}", '{"a/b":true}', '{\\"a/b\\":true}'),
        ("{configuration:/deep/a~1b}", "true", "true"),
        ("for f in ${LIST}; do { echo ${f:-none}; }; done; awk '{print $1}'",) * 3,
    ],
)
def test_variables_have_values(text: str, classic: str, lite: str) -> None:
    assert interpolate(text, SCOPE, lite=False, in_script=True) == classic
    assert interpolate(text, SCOPE, lite=True, in_script=True) == lite


def test_environment_values_are_not_escaped() -> None:
    assert interpolate("{configuration:/text}", SCOPE, lite=True) == 'say "$HOME"'


def test_variables_of_dependencies_are_classic() -> None:
    text = "{com.example.Other:configuration:/port} {com.example.Other:artifacts:path}"
    assert interpolate(text, SCOPE, lite=False) == "80 /gg/packages/artifacts/com.example.Other/2.0.0"
    with pytest.raises(VariableError, match="is a variable of another component"):
        interpolate(text, SCOPE, lite=True)


@pytest.mark.parametrize("text", ["{configuration:/absent}", "{artifacts:where}", "{com.example.Stranger:work:path}"])
def test_unknown_variables_remain_on_classic_and_fail_on_lite(text: str) -> None:
    assert interpolate(text, SCOPE, lite=False) == text
    with pytest.raises(VariableError, match="com.example.A"):
        interpolate(text, SCOPE, lite=True)
