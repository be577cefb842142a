"""Where a command will write, looked at before it works for minutes."""

from __future__ import annotations

import tempfile
from pathlib import Path


def check_folder(folder: Path) -> str:
    """Make the folder; a sentence if nothing can be written into it, else empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as fault:
        return f"{folder}: cannot be written ({fault.strerror}); name another folder"


def check_file(path: Path) -> str:
    """Make the folder of a file; a sentence if the file cannot be written, else empty. One that is there stays as it is."""
    if path.is_dir():
        return f"{path}: is a folder; name a file"
    return check_folder(path.parent)
