"""Signed bundles: who made a model is proved by an Ed25519 signature over the exact bytes of its manifest.

The manifest holds the digest of the model, so the signature covers both. `manifest.sig` is one line of text,
`ed25519 PUBLIC SIGNATURE`, both in base64; PUBLIC only serves to say which key signed, what is believed is the key that is pinned.
A public key is the base64 text of its 32 bytes; a private key is a PKCS #8 file that only its owner may read.
`cryptography` is imported when it is used: only Inference has it among its requirements.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgeml.bundle import MANIFEST, SIGNATURE, Bundle, Check
from edgeml.errors import BundleError
from edgeml.files import plain_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "ed25519"
MOST_KEY = 65_536
"""Bytes of a file with a key."""
log = logging.getLogger(__name__)


def pinned(public: str, public_file: str, required: bool) -> Check:
    """The check of a bundle's signature against one public key, for `Bundle.load`.

    Args:
        public, public_file: the key's text, or a file with it; at most one. Neither: nothing can be verified.
        required: False lets a bundle without a signature pass; one that is there must be right all the same.

    Raises:
        BundleError: the key's file cannot be read, or the key is none.
    """
    if public_file:
        public = _read(Path(public_file)).decode("ascii", "replace")
    key = public_key(public, public_file or "the pinned public key") if public or public_file else None

    def check(manifest: bytes, signature: bytes | None, where: str) -> None:
        if signature is None or key is None:
            if required:
                what = f"has no {SIGNATURE}" if signature is None else "cannot be verified without a public key"
                raise BundleError(f"{where}: {what}, and an unsigned bundle is refused; sign it with scripts/sign, or copy it again")
            log.warning("%s: runs without proof of who made it; `signature.required` is false", where)
            return
        verify(manifest, signature, key, where)

    return check


def verify(manifest: bytes, signature: bytes, key: Ed25519PublicKey, where: str) -> None:
    """Raises BundleError, which names `where`, unless `signature` (the bytes of `manifest.sig`) is that of `manifest` by `key`."""
    from cryptography.exceptions import InvalidSignature

    try:
        algorithm, signer, value = signature.decode("ascii").split()
        signed_by, proof = _base64(signer), _base64(value)
    except (ValueError, binascii.Error):
        raise BundleError(f"{where}: {SIGNATURE} is no signature; sign the bundle again with scripts/sign") from None
    if algorithm != ALGORITHM:
        raise BundleError(f"{where}: {SIGNATURE} is of kind {algorithm[:40]!r} where {ALGORITHM} is wanted; sign it with scripts/sign")
    pinned_bytes = key.public_bytes_raw()
    if signed_by != pinned_bytes:
        raise BundleError(
            f"{where}: is signed with the key {signer[:44]} where {public_text(key)} is pinned; "
            "sign it with the right key, or pin the other one if you trust it"
        )
    try:
        key.verify(proof, manifest)
    except InvalidSignature:
        raise BundleError(f"{where}: {MANIFEST} is not what was signed; copy the bundle again") from None


def sign(folder: Path, key: Ed25519PrivateKey) -> Bundle:
    """Write `manifest.sig` into a bundle; what is no sound bundle is not signed.

    Raises:
        BundleError: the bundle is not what its manifest says, or the signature cannot be written.
    """
    seen: list[bytes] = []
    bundle = Bundle.load(folder, lambda manifest, signature, where: seen.append(manifest))
    line = f"{ALGORITHM} {public_text(key.public_key())} {base64.b64encode(key.sign(seen[0])).decode()}\n"
    target = Path(folder) / SIGNATURE
    fresh = target.with_suffix(".new")
    try:
        fresh.write_text(line, encoding="ascii")
        fresh.replace(target)
    except OSError as fault:
        raise BundleError(f"{target}: cannot be written ({fault.strerror}); make the folder writable") from None
    return bundle


def public_key(text: str, where: str) -> Ed25519PublicKey:
    """The key whose text is given.

    Raises:
        BundleError: it is none; names `where`.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        return Ed25519PublicKey.from_public_bytes(_base64(text.strip()))
    except (ValueError, binascii.Error):
        raise BundleError(f"{where} is no Ed25519 public key; wanted is the text that scripts/sign keygen prints, 44 characters") from None


def public_text(key: Ed25519PublicKey) -> str:
    """The text of a public key, 44 characters."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        BundleError: it cannot be read, is no Ed25519 key without a passphrase, or others may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path)
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BundleError(f"{path}: others may read this private key; run: chmod 600 {path}")
        key = load_pem_private_key(content, None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path}: is no Ed25519 private key; make one with scripts/sign keygen")
    return key


def make_key(path: Path) -> str:
    """Write a new private key to `path`, for its owner alone, and its public key beside it (`.pub`); gives the public key's text.

    Raises:
        BundleError: there is a file already, or it cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    text = public_text(key.public_key())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.with_suffix(".pub").write_text(text + "\n", encoding="ascii")
    except FileExistsError:
        raise BundleError(f"{path}: is there already and is not overwritten; choose another name") from None
    except OSError as fault:
        raise BundleError(f"{path}: cannot be written ({fault.strerror}); choose another folder") from None
    return text


def _read(path: Path) -> bytes:
    try:
        return plain_bytes(path, MOST_KEY)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise BundleError(f"{path}: the key cannot be read ({reason}); scripts/sign keygen makes a pair of keys") from None


def _base64(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if base64.b64encode(value).decode() != text:
        raise ValueError("the bits that stand for nothing are not 0")
    return value
