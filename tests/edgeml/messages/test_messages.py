"""The wire format: pinned bytes, refusals, and the maximum size of batches."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeml import messages as m
from edgeml.errors import MessageError, NewerVersionError
from tests.edgeml.samples import BATCH, COLUMNS, EXPLAINED, RESULTS, SAMPLES, TIMES

GOLDEN = Path(__file__).parents[1] / "golden"


def test_every_type_has_a_sample():
    assert {type(sample) for sample in SAMPLES.values()} == set(m.MESSAGES)


@pytest.mark.parametrize("name", SAMPLES)
def test_wire_format_is_pinned(name):
    # A failure here means that components of different versions on one device can no longer communicate:
    # raise VERSION and keep the old file, or revert the change.
    pinned = bytes.fromhex((GOLDEN / f"{name}.v1.hex").read_text())
    assert m.encode(SAMPLES[name]).hex() == pinned.hex()
    assert m.decode(pinned) == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_json_decodes_to_the_same_message(name):
    assert m.decode(m.encode_json(SAMPLES[name])) == SAMPLES[name]


def test_batch_preserves_its_arrays():
    times, values, quality = BATCH.arrays()
    np.testing.assert_array_equal(times, TIMES)
    np.testing.assert_array_equal(values, np.array([[1.5, 32.0], [np.nan, 31.5], [1.25, 1e6]], np.float32))
    np.testing.assert_array_equal(quality, [[0, 0], [1, 0], [0, 2]])


def test_good_quality_costs_no_bytes():
    batch = m.SensorBatch.of("a", "s", 0, ("x",), ("V",), TIMES, np.ones((3, 1)), np.zeros((3, 1)))
    assert batch.quality == b""
    assert not batch.arrays()[2].any()


def test_results_preserve_their_columns():
    columns = RESULTS.arrays()
    for name in set(COLUMNS.__struct_fields__) - {"levels", "relations"}:
        np.testing.assert_allclose(getattr(columns, name), getattr(COLUMNS, name), rtol=1e-3)


@pytest.mark.parametrize("change", [{"times": b"12345678"}, {"values": b""}, {"units": ("bar",)}, {"quality": b"\0"}])
def test_batch_with_inconsistent_columns_is_refused(change):
    with pytest.raises(MessageError, match="length"):
        msgspec.structs.replace(BATCH, **change).arrays()


@pytest.mark.parametrize("change", [{"score": b""}, {"deviations": b"1"}, {"reasons": ()}])
def test_results_with_inconsistent_columns_are_refused(change):
    with pytest.raises(MessageError):
        msgspec.structs.replace(RESULTS, **change).arrays()


def test_results_carry_a_text_for_the_rows_that_have_one():
    assert EXPLAINED.explains and not RESULTS.explains
    EXPLAINED.arrays()
    assert [EXPLAINED.explanation(row) for row in range(3)] == ["", "", "flow is low for pressure; pressure is high"]
    assert [RESULTS.explanation(row) for row in range(3)] == [""] * 3
    quiet = msgspec.structs.replace(RESULTS, **m.packed_explanations([""] * 3))
    assert quiet.explains and len(m.encode(quiet)) == len(m.encode(RESULTS)) + 5


@pytest.mark.parametrize("change", [{"why_code": b"12"}, {"why_code": b"\0\0\2"}, {"why": ()}, {"why": msgspec.UNSET}])
def test_explanations_with_wrong_codes_are_refused(change):
    with pytest.raises(MessageError, match="why_code"):
        msgspec.structs.replace(EXPLAINED, **change).arrays()


def test_newer_version_is_reported():
    newer = msgspec.msgpack.encode({"type": "command", "v": 2, "order": {"completely": "different"}})
    with pytest.raises(NewerVersionError, match="command message of version 2.*up to 1, update"):
        m.decode(newer)


def test_newer_version_with_compatible_fields_is_refused_too():
    newer = msgspec.msgpack.encode({**msgspec.to_builtins(SAMPLES["replay-request"]), "v": 2})
    with pytest.raises(NewerVersionError):
        m.decode(newer)


def test_unknown_field_is_ignored():
    later = msgspec.msgpack.encode({**msgspec.to_builtins(SAMPLES["command"]), "colour": "red"})
    assert m.decode(later) == SAMPLES["command"]


def test_unknown_type_lists_the_valid_ones():
    with pytest.raises(MessageError, match="'alarm'; known types: sensor-batch, results, alert"):
        m.decode(b'{"type": "alarm", "v": 1}')


def test_missing_field_is_reported():
    with pytest.raises(MessageError, match="`alarm`"):
        m.decode(b'{"type": "acknowledge"}')


def test_wrong_message_on_a_topic_is_refused():
    with pytest.raises(MessageError, match="received a replay-request message, expected command"):
        m.decode_as(m.Command, m.encode(SAMPLES["replay-request"]))


def test_random_bytes_raise_only_message_errors():
    chance = random.Random(1)
    whole = [m.encode(sample) for sample in SAMPLES.values()] + [m.encode_json(sample) for sample in SAMPLES.values()]
    for _ in range(3000):
        data = bytearray(chance.choice(whole)) if chance.random() < 0.7 else bytearray(chance.randbytes(chance.randrange(200)))
        for _ in range(chance.randrange(6)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            message = m.decode(bytes(data[: chance.randrange(len(data) + 1)]))
            if isinstance(message, m.SensorBatch | m.ResultBlock):
                message.arrays()
        except MessageError as fault:
            assert str(fault)


if os.environ.get("EDGEML_WRITE_GOLDEN"):
    for _name, _sample in SAMPLES.items():
        (GOLDEN / f"{_name}.v1.hex").write_text(m.encode(_sample).hex() + "\n")
