"""`model_training/train.py` under the contract of a SageMaker training container, in a folder in place of `/opt/ml`."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from model_training import model_kinds, train
from model_training.model_kinds import ModelKind
from model_training.sagemaker import source
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult

from edgeml.model.bundle import Bundle

SHIPPED = Path(train.__file__).parent / "bundles" / "pump_anomaly"
NAME = SHIPPED.name


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder in place of /opt/ml, with data in the channel `training`."""
    channel = tmp_path / "ml" / "input" / "data" / "training"
    channel.mkdir(parents=True)
    (channel / "0.csv").write_text("a\n")
    (tmp_path / "ml" / "input" / "config").mkdir()
    return tmp_path / "ml"


class Recorder:
    """A kind of model that records the request and writes a bundle and a report."""

    def __init__(self) -> None:
        self.requests: list[TrainingRequest] = []

    def train(self, request: TrainingRequest) -> TrainingResult:
        self.requests.append(request)
        if request.seed == 13:
            raise TrainingError("skab/valve1/0.csv: no column Current; give recordings with all eight channels")
        if request.seed == 14:
            raise ZeroDivisionError("no rows")
        bundle = Bundle.load(SHIPPED)
        folder = request.out / bundle.manifest.name
        folder.mkdir(parents=True)
        for name in ("manifest.json", "model.tflite", "golden.json"):
            (folder / name).write_bytes((SHIPPED / name).read_bytes())
        (request.out / f"{NAME}-report").mkdir()
        (request.out / f"{NAME}-report" / "card.md").write_text("# card\n")
        return TrainingResult(folder, {"rmse": 1.5})


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    created = Recorder()
    module = type(sys)("recorded_kind")
    module.train = created.train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "recorded_kind", module)
    monkeypatch.setitem(model_kinds.KINDS, "anomaly", ModelKind("what was asked", "recorded_kind"))
    return created


def variables(base: Path, **hyperparameters: object) -> dict[str, str]:
    """Environment variables that the toolkit sets."""
    return {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_OUTPUT_DIR": str(base / "output"),
        "SM_CHANNELS": '["training"]',
        "SM_CHANNEL_TRAINING": str(base / "input" / "data" / "training"),
        "SM_HPS": json.dumps(hyperparameters),
        "SAGEMAKER_BASE_DIR": str(base),
    }


def test_container_reads_toolkit_variables_and_arguments(base: Path, recorder: Recorder) -> None:
    environ = variables(base, kind="anomaly", seed=7, quick=True, model_dir="s3://bucket/model")
    arguments = ["--kind", "anomaly", "--model_dir", "s3://bucket/model", "--quick", "True", "--seed", "7"]
    assert train.main(arguments, environ) == 0
    (request,) = recorder.requests
    assert (request.data, request.out) == (base / "input" / "data" / "training", base / "model")
    assert (request.seed, request.quick) == (7, True)
    assert Bundle.load(base / "model" / NAME).digest == Bundle.load(SHIPPED).digest
    assert (base / "output" / "data" / f"{NAME}-report" / "card.md").is_file(), "what is no model goes to the output data"
    assert not list((base / "model").glob("*-report"))
    assert not (base / "output" / "failure").exists()


def test_container_reads_configuration_files_without_toolkit(base: Path, recorder: Recorder) -> None:
    config = base / "input" / "config"
    hyperparameters = {"kind": '"anomaly"', "seed": "5", "quick": "false", "sagemaker_program": '"model_training/train.py"'}
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
    assert train.main([], {"SAGEMAKER_BASE_DIR": str(base)}) == 0
    (request,) = recorder.requests
    assert (request.data, request.out) == (base / "input" / "data" / "training", base / "model")
    assert (request.seed, request.quick) == (5, False)


def test_single_channel_may_have_any_name_several_need_training(base: Path, recorder: Recorder) -> None:
    folder = str(base / "input" / "data" / "training")
    environ = {"SM_MODEL_DIR": str(base / "model"), "SM_CHANNEL_SKAB": folder}
    assert train.main(["anomaly"], environ) == 0
    assert recorder.requests[0].data == Path(folder)
    assert train.main(["anomaly"], {**environ, "SM_CHANNEL_MORE": folder, "SAGEMAKER_BASE_DIR": str(base)}) == 1
    assert "the channels more, skab" in (base / "output" / "failure").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["anomaly", "--seed", "13"], "skab/valve1/0.csv: no column Current; give recordings with all eight channels"),
        (["anomaly", "--seed", "14"], "ZeroDivisionError: no rows"),
        (["anomalous"], "unknown kind of model `anomalous`; the kinds are machine, anomaly, regression, classification"),
        (["anomaly", "--sed", "1"], "unrecognized arguments: --sed 1; see --help"),
        ([], "NAME is missing; choose one of machine, anomaly, regression, classification; see --help"),
    ],
)
def test_failure_file_has_reason(
    base: Path,
    recorder: Recorder,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    assert train.main(arguments, variables(base)) == 1
    assert (base / "output" / "failure").read_text() == sentence
    assert capsys.readouterr().err.endswith(f"edgeml model train: {sentence}\n")


@pytest.mark.parametrize("hps", ["[1]", "{", ""])
def test_invalid_hyperparameters_fail_with_one_sentence(base: Path, recorder: Recorder, hps: str) -> None:
    assert train.main(["anomaly"], {**variables(base), "SM_HPS": hps}) == 1
    assert (base / "output" / "failure").read_text().startswith("SM_HPS is not a JSON object")


def test_channel_without_folder_fails_with_one_sentence(base: Path, recorder: Recorder) -> None:
    assert train.main(["anomaly"], {**variables(base), "SM_CHANNEL_TRAINING": str(base / "nowhere")}) == 1
    assert "the channel `training` has no folder" in (base / "output" / "failure").read_text()


def test_failure_reason_is_truncated(base: Path, recorder: Recorder) -> None:
    train.main(["x" * 5000], variables(base))
    reason = (base / "output" / "failure").read_text()
    assert 1000 < len(reason.encode()) <= 1024 and reason.endswith("…")


def test_options_select_paths_outside_container(tmp_path: Path, recorder: Recorder) -> None:
    environ = {"SAGEMAKER_BASE_DIR": str(tmp_path / "nothing")}
    assert train.main(["anomaly", "--quick", "--from", str(tmp_path), "--out", str(tmp_path / "out")], environ) == 0
    assert (recorder.requests[0].data, recorder.requests[0].quick) == (tmp_path, True)
    assert (tmp_path / "out" / f"{NAME}-report").is_dir()
    assert train.main(["anomaly", "--seed", "13"], environ) == 1
    assert not (tmp_path / "nothing").exists()


def test_version_option_sets_bundle_version(tmp_path: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["anomaly", "--from", str(tmp_path), "--out", str(tmp_path / "out")]
    assert train.main([*words, "--version", "2.0"], {}) == 2 and recorder.requests == []
    assert "write three numbers, such as 2.0.0" in capsys.readouterr().err
    assert train.main([*words, "--version", "2.0.0"], {}) == 0
    created, shipped = Bundle.load(tmp_path / "out" / NAME), Bundle.load(SHIPPED)
    assert (created.manifest.version, created.digest) == ("2.0.0", shipped.digest) and created.golden == shipped.golden


def test_last_line_is_the_result(tmp_path: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["anomaly", "--out", str(tmp_path)], {}) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"bundle": str(tmp_path / NAME), "signed": False, "rmse": 1.5}


def test_each_kind_has_options_of_its_own(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = dataclasses.replace(model_kinds.KINDS["anomaly"], add_options=lambda parser: parser.add_argument("--target"))
    monkeypatch.setitem(model_kinds.KINDS, "own", own)
    assert train.main(["own", "--target", "life", "--out", str(tmp_path / "a")], {}) == 0
    assert train.main(["--kind", "own", "--target", "x", "--out", str(tmp_path / "b")], {}) == 0
    assert [request.options.target for request in recorder.requests] == ["life", "x"]
    assert train.main(["anomaly", "--target", "life"], {}) == 2


def start(base: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Unpack the source archive and start it as the toolkit does: as a file, in the folder `code`."""
    with tarfile.open(fileobj=io.BytesIO(source.pack()), mode="r:gz") as tar:
        for member in tar:
            path = base / "code" / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None
            path.write_bytes(content.read())
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, source.ENTRY, *arguments],
        cwd=base / "code",
        env={**environ, **variables(base), **more},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_packed_source_reports_failure(base: Path) -> None:
    ended = start(base, "--kind", "anomaly", "--seed", "1")
    assert ended.returncode == 1
    reason = (base / "output" / "failure").read_text()
    assert "has no file of skab" in reason
    assert ended.stderr == f"edgeml model train: {reason}\n"


@pytest.mark.training
def test_packed_source_trains(base: Path, shared: Path) -> None:
    ended = start(base, "--kind", "anomaly", "--quick", "True", "--seed", "1", SM_CHANNEL_TRAINING=str(shared / "data"))
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"epoch 1/[0-9]+: loss [0-9.]+", ended.stdout)
    for name in (NAME, f"{NAME}-float32"):
        assert Bundle.load(base / "model" / name).manifest.name == NAME
    assert not (base / "output" / "failure").exists()
