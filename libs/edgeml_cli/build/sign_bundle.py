"""Generates signing keys, and signs and verifies model bundles: `edgeml model keygen`, `sign`, `verify`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgeml.errors import BundleError
from edgeml.model.bundle import Bundle
from edgeml.model.signature import make_key, pinned, private_key, public_text, sign
from edgeml_cli.build.package import ROOT

KEY = ROOT / "build" / "keys" / "bundle.key"
TRUST_HINT = "edgeml model package BUNDLE prints the configuration that adds this key to the devices' trusted keys"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml model", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    make = commands.add_parser("keygen", help="make a key pair: FILE, readable by you alone, and the public key beside it as .pub")
    make.add_argument("file", metavar="FILE", nargs="?", type=Path, default=KEY, help="default: build/keys/bundle.key in the checkout")
    put = commands.add_parser("sign", help="write manifest.sig into bundles")
    put.add_argument("bundle", nargs="+", type=Path)
    put.add_argument("--key", type=Path, default=KEY, help="the private key; default: build/keys/bundle.key in the checkout")
    ask = commands.add_parser("verify", help="verify bundles as a device does")
    ask.add_argument("bundle", nargs="+", type=Path)
    which = ask.add_mutually_exclusive_group(required=True)
    which.add_argument("--public-key", default="", metavar="TEXT", help="as keygen prints it")
    which.add_argument("--public-key-file", default="", metavar="FILE")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when a key or a bundle is not right."""
    given = parser().parse_args(arguments)
    try:
        if given.command == "keygen":
            text = make_key(given.file)
            print(f"wrote the private key {given.file}; do not copy it to devices or into repositories")
            print(f"public key: {text}")
            print(TRUST_HINT)
        elif given.command == "sign":
            key = private_key(given.key)
            for folder in given.bundle:
                bundle = sign(folder, key)
                print(f"signed {folder}: {bundle.manifest.name} {bundle.manifest.version}, SHA-256 {bundle.digest}")
            print(f"public key: {public_text(key.public_key())}")
            print(TRUST_HINT)
        else:
            check = pinned(given.public_key, given.public_key_file, required=True)
            for folder in given.bundle:
                bundle = Bundle.load(folder, check)
                print(f"verified {folder}: {bundle.manifest.name} {bundle.manifest.version}, SHA-256 {bundle.digest}")
    except BundleError as fault:
        print(f"edgeml model {given.command}: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
