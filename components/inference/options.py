"""What can be set in the component's configuration."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Inference; see its README."""

    bundle: Annotated[str, Meta(min_length=1, description="the model bundle's folder: a name among the artifacts, or a path")] = (
        "pump_anomaly"
    )
    engine: Annotated[Literal["auto", "litert", "tflite-runtime"], Meta(description="the TFLite runtime")] = "auto"
    threads: Annotated[int, Meta(ge=1, le=16, description="threads of the TFLite runtime")] = 1
    history_s: Annotated[float, Meta(ge=0, le=86400, description="seconds of event time of results kept for a replay")] = 900.0
