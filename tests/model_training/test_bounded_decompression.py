from __future__ import annotations

import gzip
import tracemalloc

import pytest
from model_training.bounded_decompression import DecompressionLimitError, gunzip
from model_training.prepare import sources
from model_training.prepare.rows import PrepareError


def test_decompression_limit_holds_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    assert gunzip(bomb, 64 * 2**20) == bytes(64 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(DecompressionLimitError, match="unpacks to more than 1000000 bytes"):
            gunzip(bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(sources, "gunzip", lambda content: gunzip(content, 1_000_000))
    with pytest.raises(PrepareError, match="split it into several files"):
        sources.text(bomb)
    assert gunzip(gzip.compress(b"a") + gzip.compress(b"b")) == b"ab"
