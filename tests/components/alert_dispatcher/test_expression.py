"""30: syntax and meaning of conditions, and refused ones."""

from __future__ import annotations

import math
import random

import pytest

from alert_dispatcher.actions.expression import MAX_DEPTH, MAX_LENGTH, Expression, ExpressionError
from alert_dispatcher.actions.interlock import InterlockOptions
from edgeml.config.schema import read
from edgeml.errors import OptionsError

PRESSURE, DOOR = "pressure", "door_open"


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("pressure > 2.0 and not door_open", {PRESSURE: 2.5, DOOR: 0.0}, True),
        ("pressure > 2.0 and not door_open", {PRESSURE: 2.5, DOOR: 1.0}, False),
        ("pressure > 2.0 and not door_open", {PRESSURE: 2.0, DOOR: 0.0}, False),
        ("pressure > 2 or door_open and pressure > 1", {PRESSURE: 1.5, DOOR: 0.0}, False),
        ("(pressure > 2 or door_open) and pressure > 1", {PRESSURE: 1.5, DOOR: 1.0}, True),
        ("1 < pressure <= 2", {PRESSURE: 2.0}, True),
        ("1 < pressure <= 2", {PRESSURE: 1.0}, False),
        ("pressure >= -1.5e-3", {PRESSURE: -0.002}, False),
        ("pressure < +3", {PRESSURE: 2.0}, True),
        ("door_open == True", {DOOR: 1.0}, True),
        ("door_open != 0", {DOOR: 1.0}, True),
        ("not not door_open", {DOOR: 1.0}, True),
        ("door_open or True", {DOOR: 0.0}, True),
        ('"motor temp" > 80', {"motor temp": 81.0}, True),
        ("a > b", {"a": 2.0, "b": 1.0}, True),
    ],
)
def test_30_expressions_are_evaluated(text, values, holds):
    expression = Expression(f"  {text} ")
    assert expression.holds(values) is holds and set(expression.channels) == set(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pressure >", "it cannot be parsed (invalid syntax)"),
        ("pressure > 2 and open()", "`open()` at character 18 is not allowed"),
        ("pressure.real > 2", "`pressure.real` at character 1 is not allowed"),
        ("pressure[0] > 2", "`pressure[0]` at character 1"),
        ("pressure + 1 > 2", "`pressure + 1` at character 1"),
        ("2 ** 9 ** 9 ** 9 < pressure", "`2 ** 9 ** 9 ** 9` at character 1"),
        ("-pressure > 2", "`-pressure` at character 1"),
        ("pressure if door_open else 1", "at character 1 is not allowed"),
        ("(lambda: 1)() and pressure", "is not allowed"),
        ("[x for x in pressure]", "is not allowed"),
        ("(pressure := 2) > 1", "is not allowed"),
        ("f'{pressure}' > 1", "is not allowed"),
        ("pressure in (1, 2)", "`(1, 2)` at character 13"),
        ("pressure is 2", "has an operator that is not allowed"),
        ("pressure and 2", "`2` at character 14 is no condition"),
        ("pressure > 1e999", "`1e999` at character 12"),
        ("pressure > 1" + "0" * 400, "is not allowed"),
        ("pressure > 2j", "`2j`"),
        ("pressure > None", "`None`"),
        ("pressure > b'x'", "is not allowed"),
        ("pressure > ...", "is not allowed"),
        ('pressure > ""', "is not allowed"),
        ("pressure; import os", "cannot be parsed"),
        ("import os", "cannot be parsed"),
        ("pressure\n> 2", "line breaks"),
        ("pressure > 2 \0", "are not printable"),
        ("1 < 2", "names no channel"),
        ("True", "names no channel"),
        ("x" * (MAX_LENGTH + 1), "501 characters, and 500 are allowed"),
        ("not " * (MAX_DEPTH + 1) + "x", "nested more than 30 deep"),
        ("(" * 240 + "x" + ")" * 240, "cannot be parsed"),
        ("größe > 1 and größe()", "`größe()` at character 15"),
    ],
)
def test_30_invalid_expressions_are_refused_with_their_position(text, said):
    with pytest.raises(ExpressionError) as refused:
        Expression(text)
    assert said in str(refused.value)


def test_30_fault_names_the_full_key_and_the_allowed_syntax():
    with pytest.raises(OptionsError) as refused:
        read(InterlockOptions, {"allow_when": "open()", "assets": {"pump-2": "1 <", "pump-3": ""}}, "actions.command.interlock")
    first, second = refused.value.faults
    assert first.startswith("`actions.command.interlock.allow_when` is 'open()': `open()` at character 1 is not allowed; allowed are")
    assert second.startswith("`actions.command.interlock.assets.pump-2` is '1 <': ")


def test_30_any_text_is_parsed_or_refused():
    chance = random.Random(30)
    words = [
        "'c d'",
        "a",
        "b",
        "and",
        "or",
        "not",
        "<",
        ">=",
        "==",
        "(",
        ")",
        "1",
        "-",
        "2.5",
        "True",
        "[",
        ".",
        "=",
        ",",
        ":",
        "lambda",
        "*",
    ]
    understood = 0
    for number in range(20_000):
        if number % 4:
            text = " ".join(chance.choices(words, k=chance.randrange(1, 8)))
        else:
            text = "".join(chr(chance.randrange(1, chance.choice((128, 0xD800)))) for _ in range(chance.randrange(30)))
        try:
            expression = Expression(text)
        except ExpressionError as fault:
            assert str(fault)
            continue
        understood += 1
        assert expression.holds(dict.fromkeys(expression.channels, math.pi)) in (True, False)
    assert understood > 500
