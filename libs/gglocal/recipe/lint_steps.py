"""Lint rules for lifecycle steps, their environment, and recipe variables. Each yields sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gglocal.recipe.key_case import LITE_STEPS
from gglocal.recipe.lint_case import Case
from gglocal.recipe.variables import BRACED, SYSTEM, recipe_variable

MAX_VARIABLE_BYTES = 256
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[\w./:@%+=,-]*", re.ASCII)
_WHOLE = re.compile(r"\s*\d+")


def step_shape(case: Case) -> Iterator[str]:
    if isinstance(case.lifecycle, str):
        yield case.lifecycle
    for name in LITE_STEPS:
        if case.selected and name in case.selected.lifecycle and case.selected.lifecycle[name] is None:
            yield f"{name} is null; remove it, or write the script"
    for name, step in case.raw_steps:
        if "Setenv" in step and not isinstance(step["Setenv"], dict):
            yield f"{name}/Setenv must be a map of names and values"


def privilege(case: Case) -> Iterator[str]:
    for name, step in case.raw_steps:
        value = step.get("RequiresPrivilege", False)
        if not isinstance(value, bool) and value not in ("true", "false"):
            yield f"{name}/RequiresPrivilege is {value!r}; Nucleus Lite accepts true or false, in lower case"


def timeout(case: Case) -> Iterator[str]:
    for name, step in case.raw_steps:
        value = step.get("Timeout", 1)
        whole = type(value) is int and value >= 0 or isinstance(value, str) and _WHOLE.fullmatch(value)
        if not whole:
            yield f"{name}/Timeout is {value!r}; Nucleus Lite accepts a whole number of seconds, and no recipe variable"


def run_timeout(case: Case) -> Iterator[str]:
    for name, step in case.raw_steps:
        if name == "run" and "Timeout" in step:
            yield "run/Timeout limits the time to start and to stop on Nucleus Lite, not the time that the step runs"


def skip_if(case: Case) -> Iterator[str]:
    for step in case.steps:
        if step.skip_if is not None:
            yield f"{step.name}/Skipif is not supported by Nucleus Lite, which runs the step; check the condition inside the script"


def ignored_steps(case: Case) -> Iterator[str]:
    for name in () if isinstance(case.lifecycle, str) else case.lifecycle.steps:
        if name not in LITE_STEPS:
            yield f"step {name} is ignored; Nucleus Lite does not run it"


def startup(case: Case) -> Iterator[str]:
    if any(step.name == "startup" for step in case.steps):
        yield (
            "Nucleus Lite appends commands to startup that hide its exit code, and one of them fails with systemd 252 (Debian 12);"
            " use install for steps that must succeed, and run for a process that keeps running"
        )


def startup_and_run(case: Case) -> Iterator[str]:
    if {"startup", "run"} <= {step.name for step in case.steps}:
        yield "the run step is ignored, because there is a startup step; keep one of them"


def environment_names(case: Case) -> Iterator[str]:
    for where, _ in case.environment:
        name = where.rpartition("/")[2]
        if not _ENV_NAME.fullmatch(name):
            yield f"{where} is not a valid name of an environment variable on Nucleus Lite; use letters, digits and _"


def environment_values(case: Case) -> Iterator[str]:
    for where, value in case.environment:
        if not _PLAIN.fullmatch(BRACED.sub("", value)):
            yield (
                f"{where} is {value!r}; Nucleus Lite 2.6.0 and older write it into a shell script without quotes; "
                "set it in the script instead"
            )


def environment_types(case: Case) -> Iterator[str]:
    maps = [("", case.selected.lifecycle)] if case.selected else []
    for above, holder in (*maps, *((f"{name}/", step) for name, step in case.raw_steps)):
        setenv = holder.get("Setenv")
        for name, value in setenv.items() if isinstance(setenv, dict) else ():
            if not isinstance(value, str):
                yield f"{above}Setenv/{name} is {value!r}; it must be a string, otherwise Nucleus Lite does not run the script"


def braces(case: Case) -> Iterator[str]:
    for where, text in case.texts:
        for found in BRACED.finditer(text):
            if recipe_variable(found[1]) is None:
                yield f"{where} contains {found[0]}; Nucleus Lite treats every brace as a recipe variable, so move it to a file"
            elif len(found[1].encode()) > MAX_VARIABLE_BYTES:
                yield f"{where} contains a variable of {len(found[1].encode())} bytes; the limit of Nucleus Lite is {MAX_VARIABLE_BYTES}"
        if "{" in BRACED.sub("", text):
            yield f"{where} contains an unmatched or nested brace; Nucleus Lite treats it as a recipe variable"


def variables(case: Case) -> Iterator[str]:
    for where, text in case.texts:
        for found in BRACED.finditer(text):
            variable = recipe_variable(found[1])
            if variable is None:
                continue
            if variable[0] is not None:
                yield f"{where} contains {found[0]}; Nucleus Lite does not support variables of other components"
            elif variable[1] != "configuration" and f"{variable[1]}:{variable[2]}" not in SYSTEM:
                yield f"{where} contains {found[0]}; known variables: {', '.join('{' + name + '}' for name in SYSTEM)}"
