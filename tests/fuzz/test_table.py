"""The table has every public function with the name of a decoder, or an exclusion with a reason."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.table import TARGETS
from tests.fuzz.target import ROOT

DECODER = re.compile(r"(decode|parse|load|read|split|unpack|recovered|from)(_.*)?")
PACKAGES = {
    "edgeml": ROOT / "libs" / "edgeml",
    "gglocal": ROOT / "libs" / "gglocal",
    "model_training": ROOT / "model_training",
    **{path.name: path for path in sorted((ROOT / "components").iterdir()) if (path / "__init__.py").is_file()},
}
EXCLUDED: dict[str, str] = {
    "edgeml.ipc.configuration_reader.ConfigurationReader.read": "requests the configuration from the nucleus; "
    "edgeml.config.schema.read decodes it",
    "edgeml.model.install_bundle.read_result": "reads the report that the reader of a bundle wrote; anything else counts as no report yet",
    "edgeml.runtime.last_good_config.read_all_options": "LastGoodConfig.read, which is a target, calls it",
    "inference.unpacked_batch.UnpackedBatch.from_row": "takes rows that edgeml.messages has decoded",
    "model_training.anomaly.rig_recordings.load_recordings": "reads a folder of recordings with model_training.datasets.skab",
    "model_training.anomaly.training_examples.from_recording": "receives rows, not a file",
    "model_training.anomaly.training_examples.from_pump": "generates rows",
    "model_training.comparison.public_sets.load": "reads folders with model_training.history",
    "model_training.datasets.skab.load_skab": "reads a folder, each file with read_recording",
    "model_training.evaluation.result_json.from_json": "reads figures that the same module has written",
    "model_training.evaluation.history_data.read_for": "reads with model_training.history.read, which is a target",
    "model_training.history.captured_table.read_prepared": "reads a folder with model_training.prepare.parquet.load_prepared, a target",
    "model_training.history.parquet_table.read_parquet": "reads with pyarrow",
    "model_training.tables.public_data.load": "reads a folder with model_training.datasets",
    "model_training.tables.training.load": "reads with model_training.tables.read and spec, which are targets",
    "model_training.tflite_export.from_function": "receives a function",
    "model_training.train.parse": "reads arguments of the command line",
    "sensor_ingestion.sources.base.Source.read": "a protocol",
    "sensor_ingestion.sources.simulator.Simulator.read": "generates rows",
}


def decoders() -> Iterator[str]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            module = ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
            yield from _named(module, ast.parse(path.read_text(encoding="utf-8")).body)


def _named(place: str, body: list[Any]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and DECODER.fullmatch(node.name):
            yield f"{place}.{node.name}"
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _named(f"{place}.{node.name}", node.body)


def found(name: str) -> Any:
    """Import the object with this full name."""
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            value = getattr(value, part)
        return value
    raise AssertionError(f"there is no {name}")


def test_table_has_every_decoder() -> None:
    known = {name for target in TARGETS.values() for name in target.reads}
    assert [name for name in decoders() if name not in known and name not in EXCLUDED] == []


def test_table_names_exist() -> None:
    for target in TARGETS.values():
        for name in target.reads:
            assert callable(found(name))
    assert set(EXCLUDED) <= set(decoders())


def test_scan_finds_decoders(tmp_path: Path) -> None:
    text = "def decode_it(): ...\nclass A:\n    def load(self): ...\n    def other(self): ...\nclass _B:\n    def read(self): ...\n"
    assert list(_named("m", ast.parse(text).body)) == ["m.decode_it", "m.A.load"]
