"""The configuration of the component."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeml.errors import BundleError
from edgeml.model.signature import public_key


class SignatureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Trust in bundles."""

    required: Annotated[bool, Meta(description="refuse a bundle without a signature")] = True
    public_key: Annotated[str, Meta(description="a trusted public key, as `edgeml model keygen` prints it")] = ""
    public_keys: Annotated[
        dict[str, str], Meta(description="further trusted public keys, by any name; a merge adds to them, null removes one")
    ] = {}
    public_key_file: Annotated[str, Meta(description="a file on the device with further trusted public keys, one a line")] = ""

    def check(self, where: str) -> list[str]:
        named = {f"{where}.public_key": self.public_key, **{f"{where}.public_keys.{name}": key for name, key in self.public_keys.items()}}
        named = {name: key for name, key in named.items() if key}
        faults = []
        if self.required and not named and not self.public_key_file:
            remedy = f"set `{where}.public_key`, or `{where}.required` to false to run unsigned bundles"
            faults.append(f"`{where}` names no public key; {remedy}")
        for name, key in named.items():
            try:
                public_key(key, f"`{name}`")
            except BundleError as fault:
                faults.append(str(fault))
        return faults


class InferenceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Inference; see its README."""

    bundle: Annotated[str, Meta(min_length=1, description="the model bundle's folder: a name among the artifacts, or a path")] = (
        "pump_anomaly"
    )
    model: Annotated[str, Meta(description="the model component whose bundle replaces `bundle` once it is installed")] = (
        "com.edgeml.Model.PumpAnomaly"
    )
    signature: SignatureOptions = msgspec.field(default_factory=SignatureOptions)
    engine: Annotated[Literal["auto", "litert", "tflite-runtime"], Meta(description="the TFLite runtime")] = "auto"
    threads: Annotated[int, Meta(ge=1, le=16, description="threads of the TFLite runtime")] = 1
    replay_buffer_s: Annotated[float, Meta(ge=0, le=86400, description="seconds of event time of results kept for a replay")] = 900.0
