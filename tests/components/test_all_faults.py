"""All faults of a component's configuration are reported at once, those of nested options and of rules over several of them too."""

from __future__ import annotations

from typing import Any

import pytest

from edgeml.errors import OptionsError
from edgeml.runtime.last_good_config import read_all_options
from edgeml_cli.fleet.config_check import OPTIONS

SOURCE, INFERENCE, DISPATCHER = OPTIONS


@pytest.mark.parametrize(
    ("component", "raw", "keys"),
    [
        (
            SOURCE,
            {"assets": {"p": {"source": "simulator", "options": {"fault": "nope", "speed": -1, "start_time": "soon"}}}},
            [
                "assets.p.options.speed",
                "assets.p.options.fault",
                "assets.p.options.start_time",
            ],
        ),
        (
            SOURCE,
            {
                "message_auth": {"key_file": "/k", "secret": "s"},
                "assets": {
                    "p": {"source": "csv", "options": {"decimal": ";"}, "batch_rows": 0},
                    "q": {"source": "jsonl", "options": {"program": ["a", 5], "units": {"x": 1}}},
                    "r": {"source": "modbus"},
                    "s": {
                        "source": "simulator",
                        "quality": {"max_gap_s": 0, "channels": {"flow": {"low": 5, "high": 1, "stuck_after_s": -1}}},
                    },
                },
                "capture": {"upload": True, "quota_mb": 0},
            },
            [
                "message_auth.key_file",
                "assets.p.options.decimal",
                "assets.p.options.path",
                "assets.p.options.columns",
                "assets.p.batch_rows",
                "assets.q.options.program[1]",
                "assets.q.options.units.x",
                "assets.r.source",
                "assets.s.quality.max_gap_s",
                "assets.s.quality.channels.flow.low",
                "assets.s.quality.channels.flow.stuck_after_s",
                "capture.quota_mb",
                "capture.upload",
            ],
        ),
        (
            INFERENCE,
            {"threads": 0, "signature": {"public_key": "x", "public_key_file": "/k", "required": "maybe"}},
            [
                "threads",
                "signature.required",
                "signature.public_key",
            ],
        ),
        (
            DISPATCHER,
            {
                "policy": {"raise_at": 0.2, "votes": 9, "of": 3, "hold_s": -1},
                "actions": {"mail": {}, "command": {"retry_s": 20, "timeout_s": 0, "interlock": {"allow_when": "flow >", "max_age_s": 0}}},
                "health_alarms": {"sources": {"p": -1}, "queue_share": 2},
                "outbox": {"confirmation": {"alerts": "x", "health": "y"}, "max_mb": 0},
            },
            [
                "actions.mail",
                "actions.command.timeout_s",
                "actions.command.interlock.max_age_s",
                "actions.command.interlock.allow_when",
                "actions.command.retry_s",
                "policy.hold_s",
                "policy.raise_at",
                "policy.votes",
                "health_alarms.queue_share",
                "health_alarms.sources.p",
                "outbox.confirmation.alerts",
                "outbox.confirmation.health",
                "outbox.max_mb",
            ],
        ),
    ],
    ids=["one source", "sources", "inference", "dispatcher"],
)
def test_fault_hides_no_other(component: str, raw: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(OptionsError) as caught:
        read_all_options(OPTIONS[component], raw)
    assert sorted(fault.split("`")[1] for fault in caught.value.faults) == sorted(keys)
