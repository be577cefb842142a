"""Instructions of a person to the Inference component."""

from __future__ import annotations

from edgeml.messages.message import Message, Name


class ResetBaseline(Message, frozen=True, kw_only=True, tag="reset-baseline"):
    """Discard the learned baseline of `asset` (empty: of every asset) and learn a new one."""

    asset: Name = ""
