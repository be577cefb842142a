"""The suite's messages for the local nucleus: the entry point `edgeml` of the group `gglocal.messages`.

`gglocal pub` signs and checks messages through this module, and `gglocal sub` decodes them; gglocal knows nothing else of the suite.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgeml.auth.device_key import HOMES, NAME, read
from edgeml.auth.envelope import sign as sign_message
from edgeml.auth.verifier import boottime_ns
from edgeml.errors import AuthenticationError
from edgeml.messages.display import fault as rejection
from edgeml.messages.display import lines, value
from edgeml.messages.signature_line import strip_signature as body
from edgeml.timestamps import boot_id

__all__ = ["body", "lines", "rejection", "sign", "value"]


def sign(topic: str, payload: bytes, key_file: Path | None, work_dirs: Path) -> bytes:
    """The message, signed now; it must be published within seconds.

    Args:
        key_file: a file with the device key; None: the key that a component has created in `work_dirs`.
        work_dirs: the folder of the components' work directories.

    Raises:
        ValueError: there is no key, or it cannot be read.
    """
    try:
        key = read(key_file or _find(work_dirs))
    except AuthenticationError as fault:
        raise ValueError(str(fault)) from None
    return sign_message(key, topic, f"gglocal:{os.getpid()}", boot_id(), boottime_ns(), payload)


def _find(work_dirs: Path) -> Path:
    """The key of the suite's components, or that of any other component that uses the library."""
    found = [*(work_dirs / home / NAME for home in HOMES), *sorted(work_dirs.glob(f"*/{NAME}"))]
    key = next((path for path in found if path.exists()), None)
    if key is None:
        raise ValueError(f"{work_dirs}: no component has created {NAME}; wait until one is RUNNING")
    return key
