"""Writes small recipes and artifacts for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LINUX = {"os": "linux", "runtime": "*"}


class RecipeFolder:
    """A recipe directory and an artifact directory under `path`."""

    def __init__(self, path: Path) -> None:
        self.recipes, self.artifacts = path / "recipes", path / "artifacts"
        self.recipes.mkdir(parents=True, exist_ok=True)
        self.artifacts.mkdir(exist_ok=True)

    def add(
        self,
        name: str,
        lifecycle: dict[str, Any],
        version: str = "1.0.0",
        *,
        config: dict[str, Any] | None = None,
        needs: dict[str, str] | None = None,
        files: dict[str, str | bytes] | None = None,
        manifest: dict[str, Any] | None = None,
    ) -> Path:
        """Write a JSON recipe; `needs` is `{name: "HARD" or "SOFT"}`, `files` are artifacts."""
        recipe = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentDescription": "For a test.",
            "ComponentConfiguration": {"DefaultConfiguration": config or {}},
            "ComponentDependencies": {
                other: {"VersionRequirement": ">=0.0.0", "DependencyType": kind} for other, kind in (needs or {}).items()
            },
            "Manifests": [{"Platform": LINUX, "Lifecycle": lifecycle, "Artifacts": [], **(manifest or {})}],
        }
        for file_name, content in (files or {}).items():
            path = self.artifacts / name / version / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.write(f"{name}-{version}.json", json.dumps(recipe))

    def write(self, file_name: str, text: str) -> Path:
        path = self.recipes / file_name
        path.write_text(text)
        return path
