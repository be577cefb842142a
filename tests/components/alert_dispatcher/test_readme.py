"""The README's table of options is the code's."""

from __future__ import annotations

import re
from pathlib import Path

from alert_dispatcher.actions import ACTIONS
from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.auth.device_key import MessageAuthOptions
from edgeml.config.schema import document

README = Path(__file__).parents[3] / "components" / "alert_dispatcher" / "README.md"


def test_every_option_is_documented_with_its_default():
    rows = re.findall(r"^\| `([\w.]+)` \| ([\w\[\], ]+) \| [^|]*\| ([^|]*) \|", README.read_text(), re.MULTILINE)
    written = {key: (kind, default.strip("`")) for key, kind, default in rows if key != "actions"}
    declared = [row for row in document(AlertDispatcherOptions) if row[0] != "actions"]
    declared += document(MessageAuthOptions, "message_auth.")
    for name, entry in ACTIONS.items():
        declared += document(entry.options, f"actions.{name}.")
    assert written == {
        key: (kind, f"{default:g}" if isinstance(default, (int, float)) and kind != "bool" else str(default).lower())
        for key, kind, default, _ in declared
    }
