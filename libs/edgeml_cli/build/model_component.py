"""Packages a signed model bundle as a component: `edgeml model package BUNDLE`.

The component's name is derived from the bundle's (`pump_anomaly` becomes com.edgeml.Model.PumpAnomaly), and its version is the
bundle's. An unsigned bundle, or one that fails its golden samples on this machine, is rejected. The package is reproducible.
Standard output is the configuration for devices: `edgeml model package BUNDLE > model.yaml`, then deploy with `--config model.yaml`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from edgeml.errors import BundleError
from edgeml.model import self_test
from edgeml.model.bundle import GOLDEN, MODEL, SIGNATURE, Bundle
from edgeml.model.manifest import MANIFEST, Manifest
from edgeml.model.runtime import open_engine
from edgeml.model.signature import pinned
from edgeml_cli.build.package import (
    MODEL_PREFIX,
    NO_BUCKET,
    ROOT,
    VERSION,
    BuildError,
    Project,
    bucket_name,
    fill,
    write_text,
    write_zip,
)

TEMPLATE = Path(__file__).with_name("model.yaml")


def component_name(bundle: str) -> str:
    """The component name for a bundle's name.

    Raises:
        BuildError: the bundle's name contains neither letters nor digits.
    """
    words = re.findall(r"[A-Za-z0-9]+", bundle)
    if not words:
        raise BuildError(f"the bundle's name {bundle!r} has neither letters nor digits; rename it in its manifest and sign it again")
    return MODEL_PREFIX + "".join(word[0].upper() + word[1:] for word in words)


def package(folder: Path, root: Path, out: Path, bucket: str = NO_BUCKET, public_key: str = "") -> list[Path]:
    """Add the component to the build in `out`; returns the written files: the zip and the recipe.

    Args:
        folder: the bundle.
        root: the checkout.
        public_key: required signing key; empty accepts the key in the signature.

    Raises:
        BundleError: the bundle does not match its manifest, is not signed, or fails its golden samples.
        BuildError: the version is not semantic.
    """
    trusted = pinned(public_key or signer(folder), "", required=True)
    bundle = Bundle.load(folder, trusted)
    self_test.verify(bundle, open_engine(bundle))
    name, version = component_name(bundle.manifest.name), bundle.manifest.version
    if not re.fullmatch(VERSION, version):
        raise BuildError(f"{folder}: the bundle's version is {version!r}; a component needs major.minor.patch, such as 1.2.3")
    files = [file for file in (MANIFEST, SIGNATURE, MODEL, GOLDEN) if file != GOLDEN or bundle.golden is not None]
    members = {f"bundle/{file}": folder / file for file in files} | {
        "install_bundle.py": root / "libs" / "edgeml" / "model" / "install_bundle.py"
    }
    text = fill(TEMPLATE.read_text(encoding="utf-8"), name, version, Project.read(root).author, bucket)
    return [
        write_zip(out / "artifacts" / name / version / "model.zip", members),
        write_text(out / "recipes" / f"{name}-{version}.yaml", text),
    ]


def configuration(bundle: Bundle, key: str) -> str:
    """The configuration with which a device runs the packaged model, as YAML for `--config`. It changes no other setting.

    If the manifest has a policy, the configuration sets it for the results of this model.

    Args:
        key: public key of the signature.
    """
    # The name is derived from the key, so that a merge of another key keeps this one.
    name = f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    merge = {"model": component_name(bundle.manifest.name), "signature": {"public_keys": {name: key}}}
    components: dict[str, Any] = {"com.edgeml.Inference": {"merge": merge}}
    if bundle.manifest.policy:
        components["com.edgeml.AlertDispatcher"] = {"merge": {"policy_by_model": {bundle.manifest.name: dict(bundle.manifest.policy)}}}
    return yaml.safe_dump(components, sort_keys=False) + _asset_comment(bundle.manifest)


def asset_quality(manifest: Manifest) -> dict[str, Any]:
    """The option `quality` of an asset that a model with a reference scores; empty for another model.

    The defaults of SensorIngestion are for a row a second: at slower rows each would count as late, and a coarse, steady channel as stuck.
    Such a model evaluates a steady channel itself.
    """
    if manifest.reference is None:
        return {}
    return {"max_gap_s": manifest.longest_gap_s, "channels": {name: {"stuck_after_s": 0} for name in manifest.names}}


def _asset_comment(manifest: Manifest) -> str:
    quality = asset_quality(manifest)
    if not quality:
        return ""
    text = yaml.safe_dump({"quality": quality}, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False).strip()
    return f"# Options of each asset of com.edgeml.SensorIngestion that this model scores:\n# {text.removeprefix('{').removesuffix('}')}\n"


def signer(folder: Path) -> str:
    """The public key in a bundle's signature; empty if it cannot be read."""
    try:
        return (folder / SIGNATURE).read_text(encoding="ascii").split()[1]
    except (OSError, UnicodeDecodeError, IndexError):
        return ""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml model package", description=(__doc__ or "").split("\n\n")[0])
    made.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder of a bundle that edgeml model sign signed")
    made.add_argument("--bucket", type=bucket_name, help="S3 bucket of the artifact, for a deployment from the cloud")
    made.add_argument("--out", type=Path, default=ROOT / "greengrass-build", help="default: greengrass-build in the checkout")
    made.add_argument("--public-key", default="", metavar="TEXT", help="refuse a bundle that another key signed")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when the bundle is not right."""
    given = parser().parse_args(arguments)
    try:
        written = package(given.bundle, ROOT, given.out, given.bucket or NO_BUCKET, given.public_key)
    except (BuildError, BundleError) as fault:
        print(f"edgeml model package: {fault}", file=sys.stderr)
        return 1
    for path in written:
        print(f"{path.stat().st_size:>9,} bytes  {os.path.relpath(path)}", file=sys.stderr)
    key = signer(given.bundle)
    print(f"Configuration with which devices run {written[1].stem}, for --config:", file=sys.stderr)
    print(configuration(Bundle.load(given.bundle, pinned(key, "", required=True)), key), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
