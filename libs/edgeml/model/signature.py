"""Signed bundles: an Ed25519 signature over the exact bytes of the manifest authenticates the origin of a model.

The manifest contains the digest of the model, so the signature covers both. `manifest.sig` is one line of text,
`ed25519 PUBLIC SIGNATURE`, both in base64. PUBLIC only names the signing key; trust comes from the configured keys. A public key is the
base64 text of its 32 bytes; a private key is a PKCS #8 file readable only by its owner. `cryptography` is imported when it is used, because
only Inference requires it.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.errors import BundleError
from edgeml.model.bundle import SIGNATURE, Bundle, Check
from edgeml.model.manifest import MANIFEST
from edgeml.storage.regular_files import plain_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "ed25519"
MAX_KEY_FILE_BYTES = 65_536
MAX_NAMED_KEYS = 3
"""Maximum keys named in an error."""
log = logging.getLogger(__name__)


def pinned(public: str, public_file: str, required: bool, more: Iterable[str] = ()) -> Check:
    """The signature check for `Bundle.load`: one of the trusted public keys must have signed the bundle.

    Args:
        public, public_file, more: text of a key, a file with one key per line, and texts of further keys. Without any key, no signature
            can be verified.
        required: False accepts a bundle without a signature; an existing signature must be valid in any case.

    Raises:
        BundleError: the file of keys cannot be read, or a key is invalid.
    """
    keys = [public_key(text, "the pinned public key") for text in (public, *more) if text]
    if public_file:
        lines = _read(Path(public_file)).decode("ascii", "replace").split("\n")
        keys += [public_key(line, public_file) for line in lines if line.strip()] or [public_key("", public_file)]

    def check(manifest: bytes, signature: bytes | None, where: str) -> None:
        if signature is None or not keys:
            if required:
                problem = f"has no {SIGNATURE}" if signature is None else "cannot be verified without a public key"
                raise BundleError(
                    f"{where}: {problem}, and unsigned bundles are refused; sign it with `edgeml model sign`, or copy it again"
                )
            log.warning("%s: the bundle runs without a verified signature, because `signature.required` is false", where)
            return
        verify(manifest, signature, keys, where)

    return check


def verify(manifest: bytes, signature: bytes, keys: Sequence[Ed25519PublicKey], where: str) -> None:
    """Raise BundleError, which names `where`, unless `signature` (the bytes of `manifest.sig`) is a signature of
    `manifest` by one of `keys`."""
    from cryptography.exceptions import InvalidSignature

    try:
        algorithm, signer, value = signature.decode("ascii").split()
        signed_by, proof = _base64(signer), _base64(value)
    except (ValueError, binascii.Error):
        raise BundleError(f"{where}: {SIGNATURE} is not a signature; sign the bundle again with `edgeml model sign`") from None
    if algorithm != ALGORITHM:
        raise BundleError(
            f"{where}: {SIGNATURE} has the algorithm {algorithm[:40]!r}, expected {ALGORITHM}; sign it with `edgeml model sign`"
        )
    key = next((each for each in keys if each.public_bytes_raw() == signed_by), None)
    if key is None:
        known = ", ".join(map(public_text, keys[:MAX_NAMED_KEYS])) + (
            f" and {len(keys) - MAX_NAMED_KEYS} more" if len(keys) > MAX_NAMED_KEYS else ""
        )
        raise BundleError(
            f"{where}: is signed with the key {signer[:44]}, trusted {'is' if len(keys) == 1 else 'are'} {known}; "
            "sign it with a trusted key, or add this key to `signature.public_keys` if you trust it"
        )
    try:
        key.verify(proof, manifest)
    except InvalidSignature:
        raise BundleError(f"{where}: {MANIFEST} does not match its signature; copy the bundle again") from None


def sign(folder: Path, key: Ed25519PrivateKey) -> Bundle:
    """Write `manifest.sig` into a valid bundle.

    Raises:
        BundleError: the bundle does not match its manifest, or the signature cannot be written.
    """
    seen: list[bytes] = []
    bundle = Bundle.load(folder, lambda manifest, signature, where: seen.append(manifest))
    line = f"{ALGORITHM} {public_text(key.public_key())} {base64.b64encode(key.sign(seen[0])).decode()}\n"
    target = Path(folder) / SIGNATURE
    try:
        # A new file with an unpredictable name: an existing one could be a link to another file.
        with tempfile.NamedTemporaryFile("w", encoding="ascii", dir=folder, prefix=".manifest-", delete=False) as fresh:
            fresh.write(line)
        Path(fresh.name).chmod(0o644)
        Path(fresh.name).replace(target)
    except OSError as fault:
        raise BundleError(f"{target}: cannot be written ({fault.strerror}); make the folder writable") from None
    return bundle


def public_key(text: str, where: str) -> Ed25519PublicKey:
    """Parse a public key.

    Raises:
        BundleError: it is invalid; names `where`.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        return Ed25519PublicKey.from_public_bytes(_base64(text.strip()))
    except (ValueError, binascii.Error):
        raise BundleError(f"{where} is not an Ed25519 public key; expected the 44 characters that `edgeml model keygen` prints") from None


def public_text(key: Ed25519PublicKey) -> str:
    """The text of a public key, 44 characters."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        BundleError: it cannot be read, is not an Ed25519 key without a passphrase, or other users may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path)
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BundleError(f"{path}: other users may read this private key; run: chmod 600 {path}")
        key = load_pem_private_key(content, None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path}: is not an Ed25519 private key; create one with `edgeml model keygen`")
    return key


def make_key(path: Path) -> str:
    """Write a new private key to `path`, readable only by its owner, and its public key beside it (`.pub`); returns the public key's text.

    Raises:
        BundleError: one of the two files exists, the name is that of a public key, or a file cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if not path.name or path.suffix.lower() == ".pub":
        raise BundleError(f"{path}: is the name of a public key; name the private one, such as {path.with_suffix('.key').name}")
    key, public = Ed25519PrivateKey.generate(), path.with_suffix(".pub")
    text = public_text(key.public_key())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.path.lexists(public):
            raise FileExistsError(17, "File exists", str(public))
        _create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _create(public, f"{text}\n".encode(), 0o644)
    except FileExistsError as fault:
        raise BundleError(f"{fault.filename}: exists and is not overwritten; choose another name") from None
    except OSError as fault:
        raise BundleError(f"{path}: cannot be written ({fault.strerror}); choose another folder") from None
    return text


def _create(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _read(path: Path) -> bytes:
    try:
        return plain_bytes(path, MAX_KEY_FILE_BYTES)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise BundleError(f"{path}: the key cannot be read ({reason}); `edgeml model keygen` creates a pair of keys") from None


def _base64(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if base64.b64encode(value).decode() != text:
        raise ValueError("the unused bits are not 0")
    return value
