"""Only bundles signed with the pinned key are accepted, and only unchanged."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_training import model_kinds, train
from model_training.training_request import TrainingResult

from edgeml.errors import BundleError
from edgeml.model.bundle import MODEL, SIGNATURE, Bundle, save
from edgeml.model.runtime import open_engine
from edgeml.model.signature import make_key, pinned, private_key, public_text, sign
from edgeml_cli.build import sign_bundle as command
from tests.edgeml.keys import PINNED, STRANGER, TRAINER, TRUSTED, edit, shipped_as
from tests.edgeml.tiny import MANIFEST, SHIPPED, tiny
from tests.test_architecture import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small bundle, signed by the trainer."""
    tiny(tmp_path / "bundle")
    sign(tmp_path / "bundle", TRAINER)
    return tmp_path / "bundle"


def refused(folder: Path, required: bool = True, key: str = TRUSTED) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder, pinned(key, "", required))
    text = str(caught.value)
    assert str(folder) in text and "\n" not in text
    return text


def test_bundle_signed_with_the_pinned_key_is_accepted(folder: Path) -> None:
    assert Bundle.load(folder, pinned(TRUSTED, "", True)).manifest.name == "tiny"


def test_shipped_bundle_is_signed_with_the_key_in_the_recipe() -> None:
    assert PINNED["required"] is True
    Bundle.load(SHIPPED, pinned(PINNED["public_key"], "", True))


def test_checkout_has_no_private_key() -> None:
    mark = b"PRIVATE" + b" KEY-----"
    assert [path for path in files() if mark in path.read_bytes()] == []


def test_unsigned_bundle_is_refused_unless_configured_otherwise(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / SIGNATURE).unlink()
    assert "has no manifest.sig" in refused(folder)
    Bundle.load(folder, pinned(TRUSTED, "", False))
    Bundle.load(folder, pinned("", "", False))
    assert caplog.text.count("runs without a verified signature") == 2


def test_bundle_is_refused_if_a_signature_is_required_without_a_key(folder: Path) -> None:
    assert "without a public key" in refused(folder, key="")


def test_bundle_signed_with_another_key_is_refused(folder: Path) -> None:
    sign(folder, STRANGER)
    text = refused(folder)
    assert public_text(STRANGER.public_key()) in text and TRUSTED in text


def test_signature_of_another_key_that_names_the_trusted_one_is_refused(folder: Path) -> None:
    sign(folder, STRANGER)
    kind, _, proof = (folder / SIGNATURE).read_text().split()
    (folder / SIGNATURE).write_text(f"{kind} {TRUSTED} {proof}\n")
    assert "does not match its signature" in refused(folder)


@pytest.mark.parametrize("required", [True, False])
def test_changed_manifest_is_refused_even_if_no_signature_is_required(folder: Path, required: bool) -> None:
    edit(folder, verdict_level=0.99)
    assert "does not match its signature" in refused(folder, required)


def test_any_changed_bit_of_manifest_or_signature_is_refused(folder: Path) -> None:
    for name, step in (("manifest.json", 7), (SIGNATURE, 1)):
        good = (folder / name).read_bytes()
        for at in range(0, len(good.rstrip()), step):
            (folder / name).write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            refused(folder)
        (folder / name).write_bytes(good)
    Bundle.load(folder, pinned(TRUSTED, "", True))


def test_changed_model_with_a_matching_digest_is_refused(folder: Path) -> None:
    evil = b"no NETWORK"
    (folder / MODEL).write_bytes(evil)
    assert "SHA-256" in refused(folder)
    edit(folder, digests={MODEL: {"sha256": hashlib.sha256(evil).hexdigest(), "bytes": len(evil)}})
    Bundle.load(folder)  # sound in itself: only the signature tells
    assert "does not match its signature" in refused(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\xff\xfe",
        b"ed25519",
        b"ed25519 x y",
        b"ed25519  " + b"A" * 100_000,
        b"rsa AAAA AAAA",
        b"ed25519 AAAA AAAA more",
        f"ed25519 {TRUSTED} {base64.b64encode(b'short').decode()}".encode(),
    ],
    ids=["empty", "blank", "no text", "one word", "no base64", "long", "other algorithm", "four words", "short"],
)
def test_invalid_signature_is_refused(folder: Path, content: bytes) -> None:
    (folder / SIGNATURE).write_bytes(content)
    assert len(refused(folder)) < 600


def test_signature_of_another_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    tiny(tmp_path / "other", version="2.0.0")
    sign(tmp_path / "other", TRAINER)
    shutil.copy(tmp_path / "other" / SIGNATURE, folder)
    assert "does not match its signature" in refused(folder)


def test_bundle_replaced_after_the_check_does_not_run(tmp_path: Path) -> None:
    good, evil = shipped_as(tmp_path / "good", TRAINER), shipped_as(tmp_path / "evil", None, version="6.6.6", verdict_level=0.99)
    check = pinned(TRUSTED, "", True)

    def replaced(manifest: bytes, signature: bytes | None, where: str) -> None:
        check(manifest, signature, where)
        shutil.copy(evil / "manifest.json", good)

    bundle = Bundle.load(good, replaced)
    assert bundle.manifest.version == Bundle.load(SHIPPED).manifest.version
    (good / MODEL).write_bytes(b"something else")
    features = np.linspace(-3, 3, 960, dtype=np.float32).reshape(60, 16)
    assert open_engine(bundle).run(features) == open_engine(Bundle.load(SHIPPED)).run(features)


def test_model_replaced_after_the_check_is_refused(folder: Path) -> None:
    check = pinned(TRUSTED, "", True)

    def replaced(manifest: bytes, signature: bytes | None, where: str) -> None:
        check(manifest, signature, where)
        (folder / MODEL).write_bytes(b"no NETWORK")

    with pytest.raises(BundleError, match="SHA-256"):
        Bundle.load(folder, replaced)


def test_key_is_read_from_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{TRUSTED}\n")
    Bundle.load(folder, pinned("", str(tmp_path / "key.pub"), True))
    with pytest.raises(BundleError, match="nowhere: the key cannot be read"):
        pinned("", "nowhere", True)
    for content in (b"", b"\xff\n", b"AAAA\n"):
        (tmp_path / "key.pub").write_bytes(content)
        with pytest.raises(BundleError, match=r"key\.pub is not an Ed25519 public key"):
            pinned("", str(tmp_path / "key.pub"), False)


def test_invalid_bundle_is_not_signed(tmp_path: Path) -> None:
    tiny(tmp_path)
    (tmp_path / MODEL).write_bytes(b"no NETWORK")
    with pytest.raises(BundleError, match="SHA-256"):
        sign(tmp_path, TRAINER)
    assert not (tmp_path / SIGNATURE).exists()


def test_save_removes_the_earlier_signature(folder: Path) -> None:
    save(folder, MANIFEST, b"another")
    assert not (folder / SIGNATURE).exists()


def test_private_key_is_readable_by_its_owner_only_and_not_overwritten(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        text = make_key(tmp_path / "keys" / "a.key")
    finally:
        os.umask(before)
    path = tmp_path / "keys" / "a.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert text == (path.with_suffix(".pub")).read_text().strip() == public_text(private_key(path).public_key())
    with pytest.raises(BundleError, match="exists and is not overwritten"):
        make_key(path)
    path.chmod(0o640)
    with pytest.raises(BundleError, match="other users may read this private key; run: chmod 600"):
        private_key(path)


@pytest.mark.parametrize("name", ["x.pub", "x.PUB"])
def test_private_key_with_the_name_of_a_public_one_is_refused_before_writing(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="is the name of a public key; name the private one, such as x.key"):
        make_key(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [False, True])
def test_existing_public_key_is_not_overwritten(tmp_path: Path, link: bool) -> None:
    (tmp_path / "other").write_text("kept")
    if link:
        (tmp_path / "a.pub").symlink_to(tmp_path / "other")
    else:
        (tmp_path / "a.pub").write_text("kept")
    with pytest.raises(BundleError, match="a.pub: exists and is not overwritten"):
        make_key(tmp_path / "a.key")
    assert not (tmp_path / "a.key").exists() and (tmp_path / "a.pub").read_text() == (tmp_path / "other").read_text() == "kept"


def test_signing_follows_no_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    for name in ("manifest.new", "manifest.sig.new"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(tmp_path / "other")
    sign(folder, TRAINER)
    assert (tmp_path / "other").read_text() == "kept"
    assert not list(folder.glob(".manifest-*"))
    Bundle.load(folder, pinned(TRUSTED, "", True))


def test_each_of_several_trusted_keys_is_accepted_and_no_other(folder: Path, tmp_path: Path) -> None:
    third = public_text(STRANGER.public_key())
    shipped = PINNED["public_key"]
    for check in (pinned(shipped, "", True, [TRUSTED]), pinned(TRUSTED, "", True, [shipped]), pinned("", "", True, ["", TRUSTED])):
        Bundle.load(folder, check)
    (tmp_path / "keys").write_text(f"{shipped}\n\n{TRUSTED}\n")
    Bundle.load(folder, pinned(third, str(tmp_path / "keys"), True))
    with pytest.raises(BundleError, match="signature.public_keys") as caught:
        Bundle.load(folder, pinned(shipped, "", True, [third]))
    assert shipped in str(caught.value) and third in str(caught.value)


def test_invalid_private_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    with pytest.raises(BundleError, match="cannot be read"):
        private_key(path)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", path], check=True, umask=0o077)
    private_key(path)
    for content in (b"", path.read_bytes()[:60]):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="not an Ed25519 private key"):
            private_key(path)


def test_commands_create_sign_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, key = shipped_as(tmp_path / "bundle", None), tmp_path / "a.key"
    assert command.main(["keygen", str(key)]) == 0
    text = key.with_suffix(".pub").read_text().strip()
    assert f"public key: {text}" in capsys.readouterr().out
    assert command.main(["verify", str(bundle), "--public-key", text]) == 1
    assert capsys.readouterr().err.startswith(f"edgeml model verify: {bundle}: has no manifest.sig")
    assert command.main(["sign", str(bundle), "--key", str(key)]) == 0
    assert command.main(["verify", str(bundle), "--public-key-file", str(key.with_suffix(".pub"))]) == 0
    assert "verified" in capsys.readouterr().out
    assert command.main(["verify", str(bundle), "--public-key", TRUSTED]) == 1


def written(name: str) -> Callable[[object, object], TrainingResult]:
    def write(self: object, request: object) -> TrainingResult:
        for suffix in ("", "-float32"):
            shutil.copytree(SHIPPED, request.out / f"{name}{suffix}")  # type: ignore[attr-defined]
        return TrainingResult(request.out / name)  # type: ignore[attr-defined]

    return write


def test_training_with_a_key_signs_both_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_kinds.ModelKind, "train", written("m"))  # the training itself wants TensorFlow
    make_key(tmp_path / "a.key")
    public = str(tmp_path / "a.pub")
    assert train.main(["anomaly", "--from", str(tmp_path), "--out", str(tmp_path / "out"), "--key", str(tmp_path / "a.key")], {}) == 0
    for name in ("m", "m-float32"):
        assert Bundle.load(tmp_path / "out" / name, pinned("", public, True)).golden is not None


def test_training_with_a_missing_key_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model_kinds.ModelKind, "train", written("m"))
    assert train.main(["anomaly", "--out", str(tmp_path / "out"), "--key", str(tmp_path / "no.key")], {}) == 1
    assert "no.key: the key cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
