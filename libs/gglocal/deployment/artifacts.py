"""The artifact store of a root folder: copies the artifacts of a component version, and unpacks its zips."""

from __future__ import annotations

import hashlib
import logging
import shutil
import zipfile
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gglocal.errors import ArtifactError
from gglocal.recipe.parser import Artifact, Manifest, Recipe

log = logging.getLogger("gglocal")


def store(recipe: Recipe, manifest: Manifest, artifact_dirs: list[Path], into: Path, unarchived: Path) -> None:
    """Copy a component's files to the folders of its recipe variables.

    Everything in `<artifact dir>/<name>/<version>/` is copied to `into`, as in a local deployment. Each artifact of the manifest
    is then looked up by the last segment of its URI, gets its permissions, and is unpacked to `unarchived/<stem>/` if requested.

    Raises:
        ArtifactError: a file is missing or is not a zip.
    """
    into.mkdir(parents=True, exist_ok=True)
    unarchived.mkdir(parents=True, exist_ok=True)
    folders = [each / recipe.name / str(recipe.version) for each in artifact_dirs]
    for folder in folders:
        if folder.is_dir():
            _copy_tree(folder, into)
    for artifact in manifest.artifacts:
        if artifact.is_image:
            log.warning("%s: image %s not pulled; the step that runs it must pull it", recipe, artifact.uri)
            continue
        stored = _fetch(recipe, artifact, into, folders)
        _set_mode(stored, artifact)
        if artifact.unarchive == "ZIP":
            _unzip(recipe, artifact, stored, unarchived / artifact.stem)


def _fetch(recipe: Recipe, artifact: Artifact, into: Path, folders: list[Path]) -> Path:
    stored, parts = into / artifact.file_name, urlsplit(artifact.uri)
    if parts.scheme in ("", "file"):
        source = Path(unquote(parts.path))
        source = source if source.is_absolute() else recipe.path.parent / source
        if source.is_file():
            _copy_file(source, stored)
    if not stored.is_file():
        searched = ", ".join(map(str, folders)) or "no folder; pass --artifact-dir"
        raise ArtifactError(f"{recipe}: artifact {artifact.uri} not found; searched for {artifact.file_name} in {searched}")
    return stored


def _copy_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            _copy_tree(entry, target / entry.name)
        elif entry.is_file():
            _copy_file(entry, target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    """Replace the file, not its content, so that a process running the old one is not affected."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.copy2(source, fresh)
    fresh.replace(target)


def _set_mode(path: Path, artifact: Artifact) -> None:
    # Components run as the developer, so only the owner's execute permission can differ from a device.
    path.chmod(0o755 if artifact.execute == "ALL" else 0o744 if artifact.execute == "OWNER" else 0o644)


def _unzip(recipe: Recipe, artifact: Artifact, archive: Path, target: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest() + artifact.execute
    mark = target.with_name(f".{target.name}.unpacked")
    if target.is_dir() and mark.is_file() and mark.read_text() == digest:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                if not (target / member.filename).resolve().is_relative_to(target.resolve()):
                    raise ArtifactError(f"{recipe}: {archive.name} contains {member.filename!r}, which is outside of its folder")
                unpacked = Path(packed.extract(member, target))
                if unpacked.is_file():
                    _set_mode(unpacked, artifact)
    # Corrupt zips fail in many ways: negative offsets, unknown compressions, names with a NUL, passwords.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, NotImplementedError, RuntimeError) as error:
        raise ArtifactError(f"{recipe}: {archive} is not a valid zip ({error}); build it again, or write Unarchive: NONE") from None
    mark.write_text(digest)
