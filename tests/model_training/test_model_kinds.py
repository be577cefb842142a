"""The table of kinds: its entries can be trained, and errors are one sentence."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from model_training import model_kinds, train
from model_training.model_kinds import ModelKind
from model_training.training_request import TrainingError, TrainingRequest

REQUEST = TrainingRequest(None, Path("out"), 1, True, print)


def test_model_kinds_import_neither_tensorflow_nor_kinds() -> None:
    code = (
        "import sys, model_training.model_kinds; print(sorted(m for m in sys.modules if m == 'tensorflow' or "
        "m.startswith('model_training.')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(model_kinds.__file__).parents[1],
        timeout=60,
    )
    assert ended.stdout.strip() == "['model_training.kind_options', 'model_training.model_kinds', 'model_training.training_request']"


@pytest.mark.parametrize("name", sorted(model_kinds.KINDS))
def test_each_kind_has_train(name: str) -> None:
    assert callable(importlib.import_module(model_kinds.find(name).module).train)


def test_unknown_kind_lists_known_kinds() -> None:
    with pytest.raises(
        TrainingError, match="unknown kind of model `anomalous`; the kinds are machine, anomaly, regression, classification"
    ):
        model_kinds.find("anomalous")


def test_missing_module_fails_with_one_sentence() -> None:
    with pytest.raises(TrainingError, match=r"^model_training.forecast: no such module in this checkout; update the checkout$"):
        ModelKind("", "model_training.forecast").train(REQUEST)


def test_missing_package_fails_with_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wanting.py").write_text("def train(request):\n    import tensorfloh\n")
    monkeypatch.syspath_prepend(tmp_path)
    sentence = r"^wanting needs the Python package tensorfloh, .* edgeml model train, or: pip install -e .\[train\]$"
    with pytest.raises(TrainingError, match=sentence):
        ModelKind("", "wanting").train(REQUEST)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "own has no function `train`"),
        ("def train(request): pass", "own: `train` returned None; it must return a TrainingResult"),
        (
            "from pathlib import Path\nfrom model_training.training_request import TrainingResult\n"
            "def train(request): return TrainingResult(Path('nowhere'))",
            "own: `train` returned .*nowhere.*; it must return a TrainingResult",
        ),
        (
            "from model_training.prepare import load_prepared\ndef train(request): load_prepared(request.data)",
            r"card.json is missing; name a folder that edgeml data prepare has written",
        ),
    ],
)
def test_invalid_kind_fails_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    (tmp_path / "own.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.setitem(model_kinds.KINDS, "own", ModelKind("", "own"))
    assert train.main(["own", "--from", str(tmp_path / "wrong"), "--out", str(tmp_path / "out")], {}) == 1
    output = capsys.readouterr().err
    assert re.search(sentence, output) and "Traceback" not in output
    monkeypatch.delitem(sys.modules, "own", raising=False)


def test_files_may_be_named_one_by_one() -> None:
    parsed = train.parse(["machine", "--name", "m", "--data", "a.csv", "--data", "b.csv", "c.csv"])
    assert [str(path) for path in parsed.data] == ["a.csv", "b.csv", "c.csv"]
