"""The artifact store of a root: copies what a component version ships, and unpacks its zips."""

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
    """Put a component's files where its recipe variables point.

    Everything in `<artifact dir>/<name>/<version>/` is copied to `into`, as a local deployment does; each artifact of the
    manifest is then looked for by the last segment of its URI, gets its permissions, and is unpacked to
    `unarchived/<stem>/` when it says so.

    Raises:
        ArtifactError: a file is missing, or is no zip.
    """
    into.mkdir(parents=True, exist_ok=True)
    unarchived.mkdir(parents=True, exist_ok=True)
    places = [each / recipe.name / str(recipe.version) for each in artifact_dirs]
    for place in places:
        if place.is_dir():
            _copy_tree(place, into)
    for artifact in manifest.artifacts:
        if artifact.is_image:
            log.warning("%s: images are left to the step that runs them: %s is not pulled", recipe, artifact.uri)
            continue
        stored = _fetch(recipe, artifact, into, places)
        _set_mode(stored, artifact)
        if artifact.unarchive == "ZIP":
            _unzip(recipe, artifact, stored, unarchived / artifact.stem)


def _fetch(recipe: Recipe, artifact: Artifact, into: Path, places: list[Path]) -> Path:
    stored, parts = into / artifact.file_name, urlsplit(artifact.uri)
    if parts.scheme in ("", "file"):
        source = Path(unquote(parts.path))
        source = source if source.is_absolute() else recipe.path.parent / source
        if source.is_file():
            _copy_file(source, stored)
    if not stored.is_file():
        looked = ", ".join(map(str, places)) or "no directory; give --artifact-dir"
        raise ArtifactError(f"{recipe}: the artifact {artifact.uri} is missing; {artifact.file_name} was looked for in {looked}")
    return stored


def _copy_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            _copy_tree(entry, target / entry.name)
        elif entry.is_file():
            _copy_file(entry, target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    """Replaces the file and not its content: a process that still runs the old one is not disturbed."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.copy2(source, fresh)
    fresh.replace(target)


def _set_mode(path: Path, artifact: Artifact) -> None:
    # The components run as the developer: nothing is taken from the owner but execution, which is what catches people.
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
                    raise ArtifactError(f"{recipe}: {archive.name} holds {member.filename!r}, which lies outside of it")
                unpacked = Path(packed.extract(member, target))
                if unpacked.is_file():
                    _set_mode(unpacked, artifact)
    # Damage shows in many ways: offsets before the file's beginning, compressions that nobody knows, names with a NUL, passwords.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, NotImplementedError, RuntimeError) as fault:
        raise ArtifactError(f"{recipe}: {archive} is no zip ({fault}); build it again, or write Unarchive: NONE") from None
    mark.write_text(digest)
