"""The errors of the local nucleus; each text is one sentence for a person: what, where, the remedy.

GglocalError
├── RecipeError       a recipe that cannot be read, or that the profile's nucleus refuses
├── VersionError      no semantic version, or no version range
├── VariableError     a recipe variable that cannot be filled in
├── ArtifactError     an artifact that is missing or cannot be unpacked
├── DeploymentError   what was asked for does not resolve
└── NucleusError      the nucleus is not there, is there twice, or does not know a component
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
