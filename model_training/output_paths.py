"""Verify that output paths are writable before a command works for minutes."""

from __future__ import annotations

import tempfile
from pathlib import Path


def check_folder(folder: Path) -> str:
    """Create the folder. Returns an error message if it is not writable, else an empty string."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as fault:
        return f"{folder}: cannot be written ({fault.strerror}); name another folder"


def check_file(path: Path) -> str:
    """Create the folder of a file. Returns an error message if the file is not writable, else an empty string. An existing file is kept."""
    if path.is_dir():
        return f"{path} is a folder; name a file"
    return check_folder(path.parent)
