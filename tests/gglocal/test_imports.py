"""gglocal emulates a device, so it must not depend on the components that run on one."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import gglocal

ALLOWED = {*sys.stdlib_module_names, "gglocal", "yaml", "paho", "pytest"}


def test_gglocal_imports_nothing_of_the_suite() -> None:
    found = set()
    for path in Path(gglocal.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {(alias.name.split(".")[0], path.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(((node.module or "").split(".")[0], path.name))
    assert {(module, path) for module, path in found if module not in ALLOWED} == set()
