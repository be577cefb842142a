"""A model bundle: a folder with `model.tflite`, the `manifest.json` that describes it, and optionally `golden.json` and `manifest.sig`.

`golden.json`, if the manifest names it, holds sample inputs and the model's outputs for them (`edgeml.model.self_test`).

A bundle is verified before it is used. `Bundle.load` checks the signature of the manifest with the given function
(`edgeml.model.signature`), then the manifest and the digests, and reads each file once. `edgeml.model.runtime.open_engine` checks that
the model has the input and output that the manifest declares; `match_channels` checks the data.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from edgeml.errors import BundleError
from edgeml.model.manifest import MANIFEST, Digest, Manifest, decode_manifest, least_format
from edgeml.model.manifest_rules import manifest_faults
from edgeml.storage.regular_files import plain_bytes

MODEL = "model.tflite"
SIGNATURE = "manifest.sig"
GOLDEN = "golden.json"
MAX_FILE_BYTES = 64 * 2**20

Check = Callable[[bytes, bytes | None, str], None]
"""Verifies a signature: called with the bytes of the manifest, those of `manifest.sig` (None: there is none) and the place for the error
text. Raises BundleError if the manifest cannot be trusted."""


class Bundle:
    """A verified bundle.

    Attributes:
        manifest: the model's input and output.
        model: the bytes of `model.tflite`.
        digest: their SHA-256, hex.
        golden: the bytes of `golden.json`; None: the manifest names none.
    """

    def __init__(self, manifest: Manifest, model: bytes, where: str = "bundle", golden: bytes | None = None) -> None:
        """Verify a manifest and its files against each other.

        Raises:
            BundleError: the manifest is invalid, or a file does not match it.
        """
        faults = list(manifest_faults(manifest))
        if MODEL not in manifest.digests:
            faults.append(f"`digests` has no {MODEL}")
        if faults:
            raise BundleError(f"{where}: {MANIFEST}: {'; '.join(faults)}")
        self.manifest, self.model, self.where, self.golden = manifest, model, where, golden
        self.digest = _verified(MODEL, model, manifest, where)
        if golden is not None:
            _verified(GOLDEN, golden, manifest, where)

    @classmethod
    def load(cls, folder: Path, check: Check | None = None) -> Bundle:
        """Load the bundle in `folder`.

        Each file is read once, and the bytes read are verified and kept, so that replacing a file meanwhile has no effect.

        Args:
            check: verifies the signature before the manifest is decoded; None: signatures are not verified.

        Raises:
            BundleError: a file is missing or does not match the manifest, the manifest is invalid, or `check` refuses it.
        """
        folder = Path(folder)
        text = read_file(folder / MANIFEST)
        if check is not None:
            signature = folder / SIGNATURE
            check(text, read_file(signature) if os.path.lexists(signature) else None, str(folder))
        manifest = decode_manifest(text, str(folder))
        golden = read_file(folder / GOLDEN) if GOLDEN in manifest.digests else None
        return cls(manifest, read_file(folder / MODEL), str(folder), golden)


def _verified(name: str, content: bytes, manifest: Manifest, where: str) -> str:
    """Verify a file against the manifest; returns its SHA-256 digest."""
    digest, expected = hashlib.sha256(content).hexdigest(), manifest.digests[name]
    if len(content) != expected.bytes:
        change = "truncated" if len(content) < expected.bytes else "another file"
        raise BundleError(
            f"{where}: {name} has {len(content)} bytes, the manifest names {expected.bytes}: it is {change}; copy the bundle again"
        )
    if digest != expected.sha256.lower():
        raise BundleError(f"{where}: {name} has the SHA-256 digest {digest}, the manifest names {expected.sha256}; copy the bundle again")
    return digest


def save(folder: Path, manifest: Manifest, model: bytes, golden: bytes | None = None) -> Bundle:
    """Write a bundle whose digests are those of `model` and `golden`; the same arguments give the same bytes.

    Raises:
        BundleError: the manifest is invalid.
    """
    bundle = assemble(manifest, model, str(folder), golden)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIGNATURE).unlink(missing_ok=True)  # it belongs to the previous content
    (folder / MODEL).write_bytes(model)
    (folder / GOLDEN).unlink(missing_ok=True)
    if golden is not None:
        (folder / GOLDEN).write_bytes(golden)
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(bundle.manifest), indent=2) + b"\n")
    return bundle


def assemble(manifest: Manifest, model: bytes, where: str = "bundle", golden: bytes | None = None) -> Bundle:
    """Build a bundle with the digests of `model` and `golden`, without writing it; `where` names it in errors.

    The manifest gets the lowest format that has its keys, so that components of earlier versions read it if they can.

    Raises:
        BundleError: the manifest is invalid.
    """
    files = {MODEL: model} if golden is None else {MODEL: model, GOLDEN: golden}
    digests = {name: Digest(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)) for name, content in files.items()}
    return Bundle(msgspec.structs.replace(manifest, format=least_format(manifest), digests=digests), model, where, golden)


def match_channels(bundle: Bundle, names: tuple[str, ...], units: tuple[str, ...]) -> np.ndarray:
    """Find the model's channels among those of the data: (c,) indices. Further channels of the data are ignored.

    A model that was trained on a table without units states none, and takes its channels in any.

    Raises:
        BundleError: a channel is missing, or has another unit.
    """
    units_by_name = dict(zip(names, units, strict=True))
    faults = []
    for channel in bundle.manifest.channels:
        if channel.name not in units_by_name:
            faults.append(f"no `{channel.name}`{f' in {channel.unit}' if channel.unit else ''}")
        elif channel.unit and units_by_name[channel.name] != channel.unit:
            faults.append(f"`{channel.name}` in {units_by_name[channel.name]} instead of {channel.unit}")
    if faults:
        expected = ", ".join(_named(channel.name, channel.unit) for channel in bundle.manifest.channels)
        received = ", ".join(_named(name, unit) for name, unit in units_by_name.items()) or "no channels"
        raise BundleError(
            f"the data do not fit model {bundle.manifest.name}: {'; '.join(faults)}; expected {expected}; received {received}"
        )
    return np.array([names.index(name) for name in bundle.manifest.names], np.intp)


def _named(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def read_file(path: Path) -> bytes:
    """Read a regular file of a bundle.

    Raises:
        BundleError: it does not exist, cannot be read, is a link or not a regular file, or has more than `MAX_FILE_BYTES`.
    """
    try:
        return plain_bytes(path, MAX_FILE_BYTES, follow=False)  # a link could lead out of the bundle
    except OSError as fault:
        remedy = {
            errno.ELOOP: "is a symbolic link, expected a regular file; copy the bundle again",
            errno.EINVAL: "is not a regular file; copy the bundle again",
            errno.EFBIG: f"has more than {MAX_FILE_BYTES} bytes, the maximum of a bundle's file; copy or export it again",
        }
        otherwise = f"cannot be read ({fault.strerror}); a bundle is a folder with {MODEL} and {MANIFEST}"
        raise BundleError(f"{path}: {remedy.get(fault.errno or 0, otherwise)}") from None
