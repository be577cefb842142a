"""The README lists every option and function, and its plan is valid."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from model_training.datasets import DATASETS
from model_training.prepare.enrich import FUNCTIONS
from model_training.prepare.plan import Plan

from edgeml.config.schema import document, read

README = (Path(__file__).parents[3] / "model_training" / "README.md").read_text()
DATA = README.split("\n## Data\n")[1].split("\n## ")[0]


def test_readme_plan_is_valid() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", DATA, re.DOTALL)
    plan = read(Plan, yaml.safe_load(block))
    assert len(plan.channels) == 8 and list(plan.derived) == ["power", "flow_minute"]


def test_readme_lists_options_functions_and_data_sets() -> None:
    table = "\n".join(line for line in DATA.splitlines() if line.startswith("|"))
    for key, *_ in document(Plan):
        assert re.search(rf"[`.]{re.escape(key.rsplit('.', 1)[-1])}`", table), key
    assert all(f"| `{name}` |" in table for name in (*FUNCTIONS, *DATASETS))


def test_readme_counts_known_digests() -> None:
    known = {name: sum(bool(file.sha256) for file in dataset.files) for name, dataset in DATASETS.items()}
    assert known == {"skab": 24, "cmapss": 1, "ai4i": 0} and "24 of 35" in DATA
