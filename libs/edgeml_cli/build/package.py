"""Builds the suite into `greengrass-build/`: recipes, a zip for each component and model bundle, and `deployment.json`.

Builds are reproducible: the same sources give the same bytes on any machine, in any directory, with any umask, at any time. The
build needs the standard library only, so that `gdk component build` can run it with any python3; `--wheels` also needs pip.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeml_cli.build import wheelhouse
from edgeml_cli.build.wheelhouse import Target, WheelError
from edgeml_cli.environments import ROOT

SUITE = "com.edgeml.Suite"
MODEL_PREFIX = "com.edgeml.Model."
"""Start of the component name of a model."""
COMPONENTS: dict[str, str] = {
    "com.edgeml.SensorIngestion": "sensor_ingestion",
    "com.edgeml.Inference": "inference",
    "com.edgeml.AlertDispatcher": "alert_dispatcher",
}
"""The folder in `components/` of each component, by full name."""
BUNDLES: dict[str, tuple[str, ...]] = {"com.edgeml.Inference": ("pump_anomaly",)}
"""Model bundles in `model_training/bundles/` that a component ships, each as a separate artifact."""
BUNDLE_FILES = ("manifest.json", "manifest.sig", "model.tflite")

NO_BUCKET = "BUCKET_NAME"
NO_THING_GROUP = "arn:aws:iot:REGION:000000000000:thinggroup/THING_GROUP"
TARGETS_FILE = "targets.txt"
"""File beside the wheels in a zip that lists their targets, for `edgeml.runtime.install_venv`."""
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
VERSION = r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
"""A semantic version."""


class BuildError(Exception):
    """A build failure; the text is one sentence with the remedy."""


@dataclass(frozen=True)
class Project:
    """The suite's entry in `gdk-config.json`; its version applies to every component."""

    version: str
    author: str

    @classmethod
    def read(cls, root: Path) -> Project:
        path = root / "gdk-config.json"
        try:
            suite = json.loads(path.read_text(encoding="utf-8"))["component"][SUITE]
            version, author = suite["version"], suite["author"]
        except (OSError, ValueError, KeyError) as fault:
            raise BuildError(f"{path}: expected `component.{SUITE}` with `version` and `author`; reading failed: {fault!r}") from None
        if not re.fullmatch(VERSION, version):
            raise BuildError(f"{path}: the version is {version!r}; expected major.minor.patch, such as 1.2.3")
        return cls(version, author)


def build(
    root: Path,
    out: Path,
    bucket: str = NO_BUCKET,
    thing_group: str = NO_THING_GROUP,
    devices: Sequence[Target] = (),
) -> list[Path]:
    """Build the suite; returns the written files.

    Args:
        root: the checkout.
        out: output directory; its previous content is removed.
        bucket: S3 bucket in the recipes' artifact URIs.
        thing_group: ARN of the thing group in `deployment.json`.
        devices: targets whose wheels are included in the zips, so that installing needs no package index.

    Raises:
        BuildError: a source is missing or invalid.
    """
    project = Project.read(root)
    _check_library_version(root, project.version)
    recipes = {name: _recipe(root, name, project, bucket) for name in (*COMPONENTS, SUITE)}
    archives = {name: dict(_archives(root, name, devices)) for name in COMPONENTS}
    _empty(out)
    (out / "artifacts" / SUITE / project.version).mkdir(parents=True)
    written = []
    for name, files in archives.items():
        for archive, members in files.items():
            written.append(write_zip(out / "artifacts" / name / project.version / archive, members))
    for name, text in recipes.items():
        written.append(write_text(out / "recipes" / f"{name}-{project.version}.yaml", text))
    # `gdk component publish` expects the recipe under the name to which the root's recipe.yaml links.
    written.append(write_text(out / "recipes" / f"{SUITE}.yaml", recipes[SUITE]))
    written.append(write_text(out / "deployment.json", json.dumps(deployment(project.version, thing_group), indent=2) + "\n"))
    return written


def deployment(version: str, thing_group: str = NO_THING_GROUP) -> dict[str, Any]:
    """The input of `aws greengrassv2 create-deployment`. It lists every component, so that each can be configured."""
    names = (SUITE, *COMPONENTS)
    return {
        "targetArn": thing_group,
        "deploymentName": f"edgeml {version}",
        "components": {name: {"componentVersion": version} for name in names},
    }


def _check_library_version(root: Path, version: str) -> None:
    """Check that the library, which reports its version on devices, has the project's version.

    Raises:
        BuildError: the versions differ.
    """
    path = root / "libs" / "edgeml" / "__init__.py"
    if f'\n__version__ = "{version}"\n' not in path.read_text(encoding="utf-8"):
        raise BuildError(f"{path} does not have the version {version} of gdk-config.json; run: edgeml dev version {version}")


def _recipe(root: Path, name: str, project: Project, bucket: str) -> str:
    path = root / "recipes" / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise BuildError(f"{path} cannot be read: {fault.strerror}") from None
    return fill(text, name, project.version, project.author, bucket)


def fill(text: str, name: str, version: str, author: str, bucket: str) -> str:
    """A recipe with its placeholders filled in."""
    values = {
        "{COMPONENT_VERSION}": version,
        "{COMPONENT_AUTHOR}": author,
        "COMPONENT_AUTHOR": author,
        "BUCKET_NAME": bucket,
        "COMPONENT_NAME": name,
        "COMPONENT_VERSION": version,
    }
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], text)


def _archives(root: Path, name: str, devices: Sequence[Target]) -> Iterator[tuple[str, dict[str, Path]]]:
    """Yield each archive of a component: its name, and the source file of each member."""
    folder = COMPONENTS[name]
    source = root / "components" / folder
    members = dict(_files(source, folder)) | dict(_files(root / "libs" / "edgeml", "edgeml"))
    for file in ("requirements.txt", "requirements.lock"):
        members[file] = source / file
        members.pop(f"{folder}/{file}", None)
    for required in (f"{folder}/__main__.py", "edgeml/runtime/install_venv.py", "requirements.txt"):
        if not members.get(required, Path()).is_file():
            raise BuildError(f"{name} needs {required}, which is missing from {source} and {root / 'libs'}; restore it")
    try:
        lock = wheelhouse.current_lock(members["requirements.txt"])
        wheels = {path.name: path for device in devices for path in wheelhouse.download(lock, device, root / "build" / "wheels")}
    except WheelError as fault:
        raise BuildError(str(fault)) from None
    if devices:
        members |= {f"wheels/{file}": path for file, path in wheels.items()}
        members[f"wheels/{TARGETS_FILE}"] = write_text(
            root / "build" / "wheels" / TARGETS_FILE, "".join(f"{each}\n" for each in sorted(devices))
        )
    yield f"{folder}.zip", members
    for bundle in BUNDLES.get(name, ()):
        bundle_dir = root / "model_training" / "bundles" / bundle
        names = BUNDLE_FILES + tuple(file for file in ("golden.json",) if (bundle_dir / file).is_file())
        missing = [file for file in names if not (bundle_dir / file).is_file()]
        if missing:
            remedy = "restore it, or train a model with edgeml model train and sign it with edgeml model sign"
            raise BuildError(f"the model bundle {bundle_dir} lacks {' and '.join(missing)}; {remedy}")
        yield f"{bundle}.zip", {file: bundle_dir / file for file in names}


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not hidden and path.suffix not in (".pyc", ".md", ".typed") and not path.name.endswith("~"):
            yield "/".join((prefix, *parts)), path


def write_zip(path: Path, members: dict[str, Path]) -> Path:
    """Write a reproducible zip: the same members give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Stored, not compressed, because compressed bytes depend on the version of zlib.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, members[name].read_bytes())
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a file and create its parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def _empty(out: Path) -> None:
    if not out.is_dir():
        out.mkdir(parents=True)
        return
    for entry in out.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def bucket_name(text: str) -> str:
    """Parse the name of an S3 bucket on the command line."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid name of an S3 bucket: expected 3 to 63 lower-case letters, digits, dots and hyphens"
        )
    return text


def _thing_group(text: str) -> str:
    if not re.fullmatch(r"arn:[^:]+:iot:[^:]+:[0-9]+:thinggroup/[a-zA-Z0-9:_-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the ARN of a thing group; expected one such as {NO_THING_GROUP}")
    return text


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml build", description=(__doc__ or "").split("\n\n")[0])
    made.add_argument("--bucket", type=bucket_name, help="S3 bucket of the artifacts, for a deployment from the cloud")
    made.add_argument("--thing-group-arn", type=_thing_group, help="ARN of the thing group that deployment.json targets")
    made.add_argument("--out", type=Path, default=ROOT / "greengrass-build", help="default: greengrass-build in the checkout")
    made.add_argument(
        "--wheels", metavar="PLATFORM,…", help="ship the wheels of these devices, such as linux-aarch64,linux-x86_64; no index is needed"
    )
    made.add_argument("--python", metavar="VERSION,…", help="with --wheels: the Pythons of these devices, such as 3.11")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when something is missing."""
    given = parser().parse_args(arguments)
    try:
        if bool(given.wheels) != bool(given.python):
            raise BuildError("--wheels and --python go together, such as --wheels linux-aarch64 --python 3.11")
        devices = wheelhouse.parse_targets(given.wheels.split(","), given.python.split(",")) if given.wheels else []
        written = build(ROOT, given.out, given.bucket or NO_BUCKET, given.thing_group_arn or NO_THING_GROUP, devices)
    except (BuildError, WheelError) as fault:
        print(f"edgeml build: {fault}", file=sys.stderr)
        return 1
    for path in written:
        print(f"{path.stat().st_size:>9,} bytes  {os.path.relpath(path)}")
    if given.bucket is None or given.thing_group_arn is None:
        print(
            "Ready for a local deployment. From the cloud: edgeml fleet publish, edgeml fleet deploy; or build "
            "with --bucket, --thing-group-arn."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
