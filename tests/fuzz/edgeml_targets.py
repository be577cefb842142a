"""The common library's decoders and readers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeml import messages
from edgeml.alarms.alarm_policy import AlarmPolicy, PolicyOptions, PolicyState
from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.device_key import read as read_key
from edgeml.auth.envelope import sign, split
from edgeml.auth.verifier import MessageVerifier
from edgeml.config.schema import read
from edgeml.errors import AuthenticationError, BundleError, MessageError, OptionsError
from edgeml.messages import sequencing, topics
from edgeml.messages.sequencing import SequenceTracker
from edgeml.model.baseline import Baseline
from edgeml.model.bundle import MODEL, SIGNATURE, Bundle, match_channels
from edgeml.model.explanation import explanations
from edgeml.model.manifest import MANIFEST, Manifest, decode_manifest
from edgeml.model.scorer import AssetScorer
from edgeml.model.signature import pinned, private_key, public_key
from edgeml.parsing import csv_records, readings
from edgeml.runtime.last_good_config import LAST_GOOD, LastGoodConfig
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import SECOND, from_iso, to_iso
from inference.baseline_files import BaselineFiles, LostBaselineError
from inference.options import InferenceOptions
from inference.recent_rows import RecentRows
from inference.scored_asset import ScoredAsset
from inference.unpacked_batch import UnpackedBatch
from tests.edgeml.contrast import MANIFEST as CONTRAST
from tests.edgeml.contrast import Contrasts
from tests.edgeml.keys import PINNED, TRAINER, TRUSTED
from tests.edgeml.samples import BATCH, SAMPLES, T0
from tests.edgeml.tiny import MANIFEST as TINY
from tests.edgeml.tiny import SHIPPED, Largest
from tests.fake_bus import FakeBus
from tests.fuzz.target import Target, in_file, scratch

GOLDEN = Path(__file__).parents[1] / "edgeml" / "golden"
KEY = b"k" * 32


def golden() -> list[bytes]:
    return [bytes.fromhex(path.read_text()) for path in sorted(GOLDEN.glob("*.hex"))]


def context(work: Path, component: str = "com.edgeml.X") -> ComponentContext:
    """A component context with fixed clocks."""
    return ComponentContext(
        bus=FakeBus(),
        component=component,
        thing="t",
        work=work,
        artifacts=SHIPPED.parent,
        monotonic=lambda: 100.0,
        wall_ns=lambda: T0,
    )


def options_of(kind: type) -> Callable[[Any], Any]:
    """Read a tree as options of `kind`; faults must fit into a status, as in `edgeml.runtime.runner`."""

    def run(tree: Any) -> Any:
        try:
            return read(kind, tree)
        except OptionsError as wrong:
            messages.encode(messages.Status(component="c", state="faulty", faults=tuple(wrong.faults)))
            raise

    return run


class Inner(msgspec.Struct, frozen=True):
    word: Literal["a", "b"] = "a"
    level: Annotated[float, Meta(ge=0, le=1)] = 0.5


class EveryKind(msgspec.Struct, frozen=True):
    """Options with every supported type."""

    needed: int
    text: Annotated[str, Meta(min_length=1, max_length=20)] = "x"
    flag: bool = False
    number: Annotated[float, Meta(gt=0)] = 1.0
    maybe: float | None = None
    words: list[str] = []
    pairs: tuple[tuple[float, ...], ...] = ()
    units: dict[str, str] = {}
    inner: Inner = Inner()
    inners: dict[str, Inner] = {}
    anything: dict[str, Any] = {}


EVERY_KIND = {
    "needed": "5",
    "text": "abc",
    "flag": "true",
    "number": 5,
    "maybe": None,
    "words": ["a"],
    "pairs": [[1, 2.0], ["3"]],
    "units": {"a": "b"},
    "inner": {"word": "b", "level": "0.25"},
    "inners": {"one": {"level": 1}},
    "anything": {"a": [1, {"b": None}]},
}


def decoded(data: bytes) -> None:
    message = messages.decode(data)
    if message.BINARY:
        message.arrays()
    if isinstance(message, messages.ResultBlock):
        for row in range(len(message)):
            message.explanation(row)
    again = messages.decode(messages.encode(message))
    assert type(again) is type(message)


def last_configuration(path: Path) -> None:
    """Restore the last-good configuration; any problem of the file is reported, and the component waits."""
    settings = LastGoodConfig(EveryKind, path.parent)
    common, own = settings.read(settings.last_good())
    settings.remember({"message_auth": msgspec.to_builtins(common), **msgspec.to_builtins(own)})
    settings.read(settings.last_good())


def scored(data: bytes) -> None:
    """Score a batch as Inference does."""
    batch = messages.decode_as(messages.SensorBatch, data)
    asset = ScoredAsset("pump-1", "s", tiny_bundle(), Largest(), None, 900.0)  # type: ignore[arg-type]
    for block in asset.score(UnpackedBatch.of(batch)):
        messages.decode_as(messages.ResultBlock, block).arrays()


def received(data: bytes) -> None:
    """Sequence tracking of numbered messages, with replay requests."""
    receiver = SequenceTracker(topics.RESULTS, lambda replay: None, lambda: 1.0)
    receiver.resume("pump-1", "fedcba9876543210", 3, T0)
    message = messages.decode(data)
    if isinstance(message, messages.ReplayStart):
        receiver.on_replay_start(message)
    elif message.BINARY:
        receiver.accept(
            message.asset, message.stream, message.seq, int(message.arrays()[0][-1]) if len(message.times) >= 8 else 0
        ) if isinstance(message, messages.SensorBatch) else receiver.accept(message.asset, message.stream, message.seq, 0)
    elif isinstance(message, messages.ReplayRequest):
        history = sequencing.ReplayBuffer("pump-1", "s")
        history.add(T0, b"x")
        list(history.replay(message))


@cache
def tiny_bundle() -> Bundle:
    from edgeml.model.bundle import assemble as sealed_bundle

    return sealed_bundle(TINY, b"no network")


def manifest_text(manifest: Manifest = TINY) -> bytes:
    digests = tiny_bundle().manifest.digests
    return msgspec.json.encode(msgspec.structs.replace(manifest, digests=digests))


def manifest_texts() -> list[bytes]:
    return [manifest_text(), manifest_text(CONTRAST)]


def used(data: bytes) -> None:
    """An accepted manifest must be usable for scoring; rows are scored if the windows have a moderate size."""
    bundle = Bundle(decode_manifest(data, "here"), b"no network", "here")
    manifest = bundle.manifest
    manifest.scaling_id, manifest.input_shape, manifest.output_shape  # noqa: B018
    match_channels(bundle, manifest.names, manifest.units)
    scorer = AssetScorer(bundle, Contrasts(manifest) if manifest.explains else Largest())
    n, c = 40, len(manifest.channels)
    times = np.arange(n, dtype=np.int64) * max(1, min(round(manifest.interval_s * SECOND), 2**50))
    values = np.random.default_rng(0).normal(10, 1, (n, c)).astype(np.float32)
    columns, _ = scorer.feed(times, values, np.zeros((n, c), np.uint8))
    explanations(manifest, columns)
    for score in (-1e30, 0.0, 0.5, 1e30):
        assert 0 <= manifest.calibration.confidence(score) <= 1


def loaded(parts: bytes) -> None:
    """Load the three files of a bundle, concatenated in `parts`, from disk."""
    manifest, model, signature = (parts.split(b"\n---\n") + [b"", b""])[:3]
    with scratch() as folder:
        for name, content in ((MANIFEST, manifest), (MODEL, model), (SIGNATURE, signature)):
            (folder / name).write_bytes(content)
        Bundle.load(folder, pinned(TRUSTED, "", True))


def bundle_files() -> list[bytes]:
    import base64

    text = manifest_text()
    line = f"ed25519 {TRUSTED} {base64.b64encode(TRAINER.sign(text)).decode()}\n".encode()
    return [b"\n---\n".join((text, b"no network", line))]


def signature_checked(data: bytes) -> None:
    pinned(TRUSTED, "", True)(b"manifest", data, "here")


def signature_files() -> list[bytes]:
    import base64

    return [f"ed25519 {TRUSTED} {base64.b64encode(TRAINER.sign(b'manifest')).decode()}\n".encode()]


def pem() -> list[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return [TRAINER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]


def private_key_at(path: Path) -> None:
    path.chmod(0o600)
    private_key(path)


def message_key_at(path: Path) -> None:
    path.chmod(0o600)
    read_key(path)


def opened(data: bytes) -> None:
    """Verify and unpack a message from the bus before it is decoded."""
    split(data)
    guard = MessageVerifier("com.edgeml.X", Path("/nowhere"), lambda: 10 * SECOND, "boot")
    guard._key, guard._started = KEY, 0
    message = guard.verify(topics.COMMANDS, data)
    assert (message is None) == (guard.refused.total() == 1)
    list(guard.log_lines()), guard.faults(100.0)  # noqa: B018
    decoded(messages.strip_signature(data))


def sealed_messages() -> list[bytes]:
    payload = messages.encode(SAMPLES["command"])
    return [sign(KEY, topics.COMMANDS, "com.edgeml.Y", "boot", 9 * SECOND, payload), payload]


def time_text(text: str) -> None:
    assert isinstance(from_iso(text), int)


def reading_text(text: str) -> None:
    """Single and bulk readers agree, and their values fit into a message."""
    for decimal in (".", ","):
        each = number_or_reason(lambda decimal=decimal: readings.number(text, decimal))  # type: ignore[misc]
        values, reasons = readings.numbers([text, "1", text], decimal)
        assert isinstance(each, str) == (0 in reasons) == (2 in reasons) and values[1] == 1 and not np.isinf(values).any()
        if isinstance(each, float):
            assert np.array_equal(values[[0, 2]], np.array([each, each], "f4"), equal_nan=True)
        for unit in ("iso", "s", "ms", "us", "ns"):
            time = number_or_reason(lambda decimal=decimal, unit=unit: readings.time_ns(text, unit, decimal))  # type: ignore[misc]
            times, wrong = readings.times_ns([text, text], unit, decimal)
            assert isinstance(time, str) == (0 in wrong) and (isinstance(time, str) or times.tolist() == [time, time] and 0 <= time < 2**63)


def number_or_reason(read: Callable[[], float]) -> float | str:
    try:
        return read()
    except ValueError as fault:
        return str(fault)


def delimited_lines(data: bytes) -> None:
    """Every byte belongs to exactly one line, and each line can be read again from its position."""
    lines = csv_records.Lines(io.BytesIO(data))
    at, found = lines.offset, []
    while (line := lines.next()) is not None:
        assert line.start == at < line.end
        at = line.end
        found.append(line)
    assert at == max(len(data), lines.offset)
    lines.seek(found[0].start if found else lines.offset, 0)
    assert (lines.skip(len(found) + 1), lines.offset) == (len(found), at)
    for line in found[:: max(1, len(found) // 5)]:
        lines.seek(line.start, line.number - 1)
        assert lines.next() == line
        for delimiter in (",", ";", "\t", "§"):
            try:
                csv_records.cells(line.text or "", delimiter)
            except ValueError as fault:
                assert str(fault)


def time_there_and_back(data: bytes) -> None:
    """Any event time of a message can be formatted."""
    ns = int.from_bytes(data[:8], "little", signed=True)
    assert to_iso(ns).endswith("Z")


def baseline_kept(data: bytes) -> None:
    """Load a baseline file as Inference does; an invalid file is reported."""
    with scratch() as folder:
        retained = BaselineFiles(folder, TINY)
        retained._path("pump-1").write_bytes(data)
        try:
            baseline = retained.load("pump-1")
        except LostBaselineError:
            baseline = None
        if baseline is not None:
            n = 20
            values = np.full((n, 2), 5.0, np.float32)
            AssetScorer(tiny_bundle(), Largest(), baseline).feed(np.arange(n) * SECOND, values, np.zeros((n, 2), np.uint8))


def baseline() -> dict[str, Any]:
    retained = Baseline(
        scaling_id=TINY.scaling_id,
        rows=30,
        mean=(5.0, 30.0),
        std=(0.1, 0.5),
        spread=((0.1, 0.5), (0.05, 0.25)),
    ).to_dict()
    return dict(json.loads(json.dumps(retained)))


def policy_went_on(tree: Any) -> None:
    """Restore the state of a policy as AlertDispatcher does, and continue."""
    state = msgspec.json.decode(json.dumps(tree), type=PolicyState)
    policy = AlarmPolicy(PolicyOptions(votes=1, of=3, hold_s=1.0), "pump-1", "model", state)
    policy.evaluate_block("other", [T0 + 100 * SECOND, T0 + 102 * SECOND], [0.99, 0.99])
    policy.acknowledge("a", "x")
    policy.evaluate_block("other", [T0 + 2000 * SECOND, T0 + 3000 * SECOND], [0.0, None])
    msgspec.json.encode(policy.state)


def policy_states() -> list[dict[str, Any]]:
    policy = AlarmPolicy(PolicyOptions(votes=1, of=3, hold_s=1.0), "pump-1", "model")
    empty = msgspec.to_builtins(policy.state)
    policy.evaluate_block("s", [T0, T0 + 2 * SECOND], [0.99, 0.99])
    return [msgspec.to_builtins(policy.state), empty]


def policy_configured(tree: Any) -> None:
    policy = AlarmPolicy(options_of(PolicyOptions)(tree), "pump-1", "model")
    policy.evaluate_block("s", [T0, T0 + 2 * SECOND], [0.99, 0.0])


def encoded_samples() -> list[bytes]:
    return [messages.encode(message) for message in SAMPLES.values()] + [
        messages.encode_json(SAMPLES["sensor-batch"]),
        *(each for each in golden() if not each.startswith(b"edgeml1")),
    ]


def batches() -> list[bytes]:
    channels, units = TINY.names, TINY.units
    rows = np.array([[5.0, 30.0], [np.nan, 31.0], [5.1, 29.0]])
    times = T0 + np.arange(3) * SECOND
    quality = np.array([[0, 0], [1, 0], [4, 0]])
    return [
        messages.encode(messages.SensorBatch.of("pump-1", "s", 0, channels, units, times, rows, quality)),
        messages.encode(SAMPLES["sensor-batch"]),
    ]


def rows_remembered(data: bytes) -> None:
    """With any content of the file of recent rows, a new batch is stored and read after the valid part."""
    batch = BATCH
    with scratch() as folder:
        (folder / f"{batch.asset}.newer").write_bytes(data)
        list(RecentRows(folder, batch.asset, 10).load().batches)
        memory = RecentRows(folder, batch.asset, 10)
        memory.append(batch, messages.encode(batch))
        assert list(RecentRows(folder, batch.asset, 10).load().batches)[-1] == batch


def remembered_rows() -> list[bytes]:
    batch = BATCH
    with scratch() as folder:
        memory = RecentRows(folder, batch.asset, 1000)
        for _ in range(2):
            memory.append(batch, messages.encode(batch))
        return [(folder / f"{batch.asset}.newer").read_bytes()]


TARGETS: dict[str, Target] = {
    "rows": Target(("inference.recent_rows.RecentRows.load",), "bytes", rows_remembered, (), remembered_rows),
    "message": Target(("edgeml.messages.codec.Decoder.decode",), "bytes", decoded, (MessageError,), encoded_samples),
    "message-as": Target(("edgeml.messages.codec.Decoder.decode_as",), "bytes", scored, (MessageError,), batches),
    "stream": Target(("edgeml.messages.sequencing.SequenceTracker.resume",), "bytes", received, (MessageError,), encoded_samples),
    "seal": Target(
        ("edgeml.auth.envelope.split", "edgeml.auth.verifier.MessageVerifier.verify"),
        "bytes",
        opened,
        (AuthenticationError, MessageError),
        sealed_messages,
    ),
    "message-key": Target(
        ("edgeml.auth.device_key.read", "edgeml.auth.device_key.parse_key"),
        "bytes",
        in_file("messages.key", message_key_at),
        (AuthenticationError,),
        lambda: [KEY],
    ),
    "manifest": Target(("edgeml.model.manifest.decode_manifest",), "bytes", used, (BundleError,), manifest_texts),
    "manifest-tree": Target(
        ("edgeml.model.manifest.decode_manifest",),
        "tree",
        lambda tree: used(json.dumps(tree).encode()),
        (BundleError,),
        lambda: [json.loads(text) for text in manifest_texts()],
    ),
    "bundle": Target(("edgeml.model.bundle.Bundle.load", "edgeml.model.bundle.read_file"), "bytes", loaded, (BundleError,), bundle_files),
    "signature": Target(("edgeml.model.signature.pinned",), "bytes", signature_checked, (BundleError,), signature_files),
    "public-key": Target(
        ("edgeml.model.signature.public_key",), "text", lambda text: public_key(text, "it"), (BundleError,), lambda: [TRUSTED]
    ),
    "private-key": Target(("edgeml.model.signature.private_key",), "bytes", in_file("k.key", private_key_at), (BundleError,), pem),
    "options": Target(("edgeml.config.schema.read",), "tree", options_of(EveryKind), (OptionsError,), lambda: [EVERY_KIND]),
    "last-configuration": Target(
        ("edgeml.runtime.last_good_config.LastGoodConfig.read", "edgeml.runtime.last_good_config.LastGoodConfig.last_good"),
        "bytes",
        in_file(LAST_GOOD, last_configuration),
        (OptionsError, OSError, ValueError, TypeError, RecursionError),
        lambda: [json.dumps({"message_auth": {}, **EVERY_KIND}).encode()],
    ),
    "options-message-auth": Target(
        ("edgeml.config.schema.read",),
        "tree",
        options_of(MessageAuthOptions),
        (OptionsError,),
        lambda: [{"required": "false", "key_file": "/k"}],
    ),
    "options-policy": Target(
        ("edgeml.config.schema.read",),
        "tree",
        policy_configured,
        (OptionsError,),
        lambda: [
            {"raise_at": 0.8, "clear_at": "0.2", "votes": 2, "of": 4.0, "hold_s": 3, "clear_hold_s": 4, "cooldown_s": 5, "rewind_s": 6}
        ],
    ),
    "options-inference": Target(
        ("edgeml.config.schema.read",),
        "tree",
        options_of(InferenceOptions),
        (OptionsError,),
        lambda: [{"bundle": "b", "signature": PINNED, "engine": "auto", "threads": "2", "replay_buffer_s": 5}],
    ),
    "time": Target(
        ("edgeml.timestamps.from_iso",),
        "text",
        time_text,
        (ValueError,),
        lambda: ["2020-03-09T10:14:33.000Z", "2020-03-09 10:14:33.123456+02:00", "2020-03-09"],
    ),
    "reading": Target(
        ("edgeml.parsing.readings.number", "edgeml.parsing.readings.time_ns"),
        "text",
        reading_text,
        (),
        lambda: ["121.5", "121,5", "1_000", "1583748873.25", "2020-03-09T10:14:33,5+01:00", "nan", "1e999", " -.5e-3 "],
    ),
    "delimited": Target(
        ("edgeml.parsing.csv_records.Lines", "edgeml.parsing.csv_records.cells"),
        "bytes",
        delimited_lines,
        (),
        lambda: [b'\xef\xbb\xbftime;"a;b""c";x\r\n1;2;3\r"4;5\n\n' + b"x" * 70_000],
    ),
    "time-shown": Target(("edgeml.timestamps.to_iso",), "bytes", time_there_and_back, (), lambda: [T0.to_bytes(8, "little"), b"\0" * 8]),
    "baseline": Target(
        ("edgeml.model.baseline.Baseline.from_dict", "inference.baseline_files.BaselineFiles.load"),
        "bytes",
        baseline_kept,
        (),
        lambda: [json.dumps(baseline()).encode()],
    ),
    "baseline-tree": Target(
        ("edgeml.model.baseline.Baseline.from_dict",),
        "tree",
        lambda tree: baseline_kept(json.dumps(tree).encode()),
        (),
        lambda: [baseline()],
    ),
    "policy-state": Target(("edgeml.alarms.alarm_policy.AlarmPolicy",), "tree", policy_went_on, (msgspec.DecodeError,), policy_states),
}
