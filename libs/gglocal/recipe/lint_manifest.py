"""Lint rules for manifests: platform, selection of the lifecycle, and artifacts. Each yields sentences."""

from __future__ import annotations

from collections.abc import Iterator

from gglocal.recipe.lint_case import Case
from gglocal.recipe.manifest_selection import LITE_RUNTIMES, Host, has_step
from gglocal.recipe.parser import Recipe

SCHEMES = ("s3", "greengrass", "docker")


def platform(case: Case) -> Iterator[str]:
    for at, manifest in enumerate(case.document.get("Manifests") or []):
        if at > case.at:
            return
        written = manifest.get("Platform")
        if not isinstance(written, dict):
            yield f"Manifests/{at} has no Platform; Nucleus Lite requires it in each manifest up to the one that matches"
            continue
        for key in ("os", "architecture", "runtime"):
            if key in written and not isinstance(written[key], str):
                yield f"Manifests/{at}/Platform/{key} is {written[key]!r}; it must be a string"


def platform_keys(case: Case) -> Iterator[str]:
    for key in case.manifest.get("Platform") or ():
        if key not in ("os", "architecture", "runtime"):
            yield f"Manifests/{case.at}/Platform/{key} is ignored by Nucleus Lite"


def global_lifecycle(case: Case) -> Iterator[str]:
    if case.selected is not None and case.selected.manifest.lifecycle:
        return
    if isinstance(case.recipe.lifecycle, list):
        yield "the global Lifecycle is a list; it must be a map with the key all or linux"
    elif isinstance(case.recipe.lifecycle, dict):
        for key in ("all", "linux"):
            if not isinstance(case.recipe.lifecycle.get(key, {}), dict):
                yield f"Lifecycle/{key} must be a map of steps"


def no_manifest(case: Case) -> Iterator[str]:
    if case.selected is None:
        yield _why_none(case.recipe, case.host)


def no_step(case: Case) -> Iterator[str]:
    if case.selected is not None and not has_step(case.selected.lifecycle):
        yield "the lifecycle has none of the steps bootstrap, install, startup, run; Nucleus Lite requires one"


def no_artifacts(case: Case) -> Iterator[str]:
    if case.selected is not None and "Artifacts" not in case.manifest:
        yield f"Manifests/{case.at} has no Artifacts, so a deployment from the cloud fails; write Artifacts: [] if there are none"


def artifacts(case: Case) -> Iterator[str]:
    for at, artifact in enumerate(case.manifest.get("Artifacts") or []):
        where = f"Manifests/{case.at}/Artifacts/{at}"
        unarchive, algorithm = artifact.get("Unarchive", "NONE"), artifact.get("Algorithm", "SHA-256")
        if unarchive not in ("NONE", "ZIP"):
            yield f"{where}/Unarchive is {unarchive!r}; write NONE or ZIP, in capitals"
        if algorithm != "SHA-256":
            yield f"{where}/Algorithm is {algorithm!r}; Nucleus Lite supports only SHA-256"
        scheme = str(artifact.get("Uri", "")).partition(":")[0].lower()
        if scheme not in SCHEMES:
            yield f"{where}/Uri begins with {scheme!r}; Nucleus Lite supports {', '.join(SCHEMES)}"
        if "Permission" in artifact and not isinstance(artifact["Permission"], dict):
            yield f"{where}/Permission must be a map"


def permissions(case: Case) -> Iterator[str]:
    for at, artifact in enumerate(case.manifest.get("Artifacts") or []):
        for key, value in (artifact.get("Permission") or {}).items():
            if value not in ("NONE", "OWNER", "ALL"):
                yield f"Manifests/{case.at}/Artifacts/{at}/Permission/{key} is {value!r}, which is ignored; write it in capitals"


def archive_names(case: Case) -> Iterator[str]:
    for at, artifact in enumerate(case.manifest.get("Artifacts") or []):
        if artifact.get("Unarchive") == "ZIP" and not str(artifact.get("Uri", "")).endswith(".zip"):
            yield (
                f"Manifests/{case.at}/Artifacts/{at}/Uri does not end with .zip; Nucleus Lite unpacks it to a "
                "folder with the complete file name"
            )


def _why_none(recipe: Recipe, host: Host) -> str:
    if not recipe.manifests:
        return 'Manifests is empty; add one with Platform: {os: linux, runtime: "*"}'
    if not any((manifest.platform or {}).get("runtime") in LITE_RUNTIMES for manifest in recipe.manifests):
        return 'no manifest is for Nucleus Lite; add runtime: "*" to its Platform, or use the profile classic'
    if any("/" in value for manifest in recipe.manifests for value in (manifest.platform or {}).values()):
        return (
            f"no manifest matches {host} on Nucleus Lite, which does not support regular expressions in Platform; "
            "write one manifest for each"
        )
    return (
        f"no manifest with a lifecycle matches {host} on Nucleus Lite; check Platform (os and runtime are required) and that the"
        " global Lifecycle is below all or linux"
    )
