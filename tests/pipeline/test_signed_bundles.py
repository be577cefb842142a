"""A bundle that is not the trainer's is refused in the running pipeline, and the old model continues: Inference's README 14 and 15."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeml.messages import ResultBlock, Status, decode, topics
from gglocal.core.state import Delivery
from tests.edgeml.keys import STRANGER, TRAINER, TRUSTED, edit, shipped_as
from tests.edgeml.tiny import SHIPPED
from tests.pipeline.line import COMPONENTS, Line, valve

INFERENCE = COMPONENTS[1]
DIGEST = hashlib.sha256((SHIPPED / "model.tflite").read_bytes()).hexdigest()
VERSION, NEW = json.loads((SHIPPED / "manifest.json").read_text())["version"], "9.0.0"


def other_model(folder: Path) -> bytes:
    """The model with one bit of its weights changed: it loads, and has other outputs."""
    model = bytearray((folder / "model.tflite").read_bytes())
    model[len(model) // 2] ^= 1
    return bytes(model)


def tampered(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(other_model(folder))


def tampered_with_its_digest(folder: Path) -> None:
    tampered(folder)
    model = (folder / "model.tflite").read_bytes()
    edit(folder, digests={"model.tflite": {"sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)}})


def linked(folder: Path) -> None:
    (folder / "model.tflite").rename(folder.parent / "linked.tflite")
    (folder / "model.tflite").symlink_to(folder.parent / "linked.tflite")


REFUSED: dict[str, tuple[Callable[[Path], None], bool, str]] = {
    "tampered": (tampered, False, "has the SHA-256 digest"),
    "tampered with its digest": (tampered_with_its_digest, False, "does not match its signature"),
    "unsigned": (lambda folder: (folder / "manifest.sig").unlink(), False, "has no manifest.sig"),
    "wrong key": (lambda folder: None, True, "is signed with the key"),
    "a link": (linked, False, "is a symbolic link"),
}
"""Change of a signed bundle, whether a stranger signs it, and the sentence of Inference."""


class Watch:
    """Reports of Inference: its status, and each result."""

    def __init__(self, suite: Line) -> None:
        self.suite = suite
        self.status: Status | None = None
        self.blocks: list[ResultBlock] = []
        suite.nucleus.tap(self._take)

    def _take(self, delivery: Delivery) -> None:
        if delivery.sender == INFERENCE and delivery.topic in (topics.STATUS, topics.RESULTS):
            message = decode(delivery.payload)
            if isinstance(message, ResultBlock):
                self.blocks.append(message)
            elif isinstance(message, Status):
                self.status = message

    def says(self, sentence: str) -> bool:
        return self.status is not None and any(sentence in fault for fault in self.status.faults)

    def more(self, n: int = 3) -> list[ResultBlock]:
        """The next results."""
        at = len(self.blocks)
        self.suite.until(lambda: len(self.blocks) >= at + n, 60, "results")
        return self.blocks[at:]


@pytest.mark.parametrize("profile", ["classic", "lite"])
def test_foreign_bundle_is_refused_and_the_old_model_continues(line, version, tmp_path, profile):
    suite = line(profile=profile)
    watch = Watch(suite)
    suite.deploy(valve(speed=20, duration_s=100_000).config, version)
    stream = watch.more()[-1].stream

    def configure(**options: object) -> None:
        suite.deploy({INFERENCE: options}, version)

    old = shipped_as(tmp_path / "old", TRAINER)
    configure(bundle=str(old), signature={"public_key": TRUSTED})
    suite.until(lambda: watch.blocks[-1].stream != stream, 60, "results by the trainer's bundle")
    stream = watch.more()[-1].stream
    starts = suite.nucleus.component(INFERENCE).starts
    for name, (spoil, strange, sentence) in REFUSED.items():
        folder = shipped_as(tmp_path / name.replace(" ", "-") / "bundle", STRANGER if strange else TRAINER, version=NEW)
        spoil(folder)
        configure(bundle=str(folder))
        suite.until(lambda says=sentence: watch.says(says), 60, f"the refusal of {name}")
        assert watch.status is not None and watch.status.state == "running"
        after = watch.more()
        assert {(block.model_version, block.digest) for block in after} == {(VERSION, DIGEST)}, name
        if profile == "classic":  # Lite restarts a component for its configuration
            assert {block.stream for block in after} == {stream}, name
    if profile == "classic":
        assert suite.nucleus.component(INFERENCE).starts == starts

    configure(bundle=str(shipped_as(tmp_path / "new", TRAINER, version=NEW)))
    suite.until(lambda: watch.blocks[-1].model_version == NEW, 60, "the new model")
    assert watch.status is not None
    suite.until(lambda: watch.status is not None and not watch.status.faults, 60, "a status without faults")
    assert "Traceback" not in suite.log(INFERENCE)
    assert {block.digest for block in watch.blocks} == {DIGEST}


def test_bundle_replaced_while_it_loads_runs_as_signed_or_not_at_all(line, version, tmp_path):
    suite = line(profile="classic")
    watch = Watch(suite)
    swapped = shipped_as(tmp_path / "swapped", TRAINER, version=NEW)
    files = {name: (swapped / name).read_bytes() for name in ("manifest.json", "model.tflite")}
    evil = other_model(swapped)
    lie = json.dumps(
        json.loads(files["manifest.json"])
        | {"version": "6.6.6", "digests": {"model.tflite": {"sha256": hashlib.sha256(evil).hexdigest(), "bytes": len(evil)}}}
    ).encode()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for pair in ({"manifest.json": lie, "model.tflite": evil}, files):
                for name, content in pair.items():
                    (tmp_path / "fresh").write_bytes(content)
                    (tmp_path / "fresh").replace(swapped / name)

    def loads() -> int:
        log = suite.log(INFERENCE)
        return log.count(" on litert") + log.count("edgeml: configuration: ")

    suite.deploy(valve(speed=20, duration_s=100_000).config, version)
    watch.more()
    assert loads() == 1
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for turn in range(10):
            # Another way to the same folder is another configuration, so that it is loaded each time.
            suite.deploy({INFERENCE: {"bundle": str(swapped) + "/." * turn + "/", "signature": {"public_key": TRUSTED}}}, version)
            suite.until(lambda wanted=turn + 2: loads() >= wanted, 60, "a load")
            watch.more(1)
    finally:
        stop.set()
        thread.join()
    assert {(block.model_version, block.digest) for block in watch.blocks} <= {(VERSION, DIGEST), (NEW, DIGEST)}
    suite.deploy({INFERENCE: {"bundle": f"{swapped}//"}}, version)
    suite.until(lambda: watch.blocks[-1].model_version == NEW, 60, "the signed model, now that nobody swaps it")
    assert suite.nucleus.component(INFERENCE).starts == 1
    assert "Traceback" not in suite.log(INFERENCE)
