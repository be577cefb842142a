"""Errors of the local nucleus. Each text is one sentence for people: what, where, and the remedy.

GglocalError
├── RecipeError       a recipe cannot be read, or the profile's nucleus rejects it
├── VersionError      not a semantic version, or not a version range
├── VariableError     a recipe variable has no value
├── ArtifactError     an artifact is missing or cannot be unpacked
├── DeploymentError   a deployment is invalid, or its components cannot be resolved
└── NucleusError      the nucleus is not running, is already running, or does not know a component
"""

from __future__ import annotations

EXIT_OK, EXIT_BROKEN, EXIT_USAGE, EXIT_TIMEOUT = 0, 1, 2, 3
"""Exit codes of the command line."""


class GglocalError(Exception):
    pass


class RecipeError(GglocalError):
    pass


class VersionError(GglocalError):
    pass


class VariableError(GglocalError):
    pass


class ArtifactError(GglocalError):
    pass


class DeploymentError(GglocalError):
    pass


class NucleusError(GglocalError):
    pass
