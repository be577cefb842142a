"""The quantities of a month, such as messages and stored bytes, as formulas over a device's load. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.cloud.device_load import MONTH_S, DeviceLoad

METERING_UNIT = 5 * 1024
"""IoT Core and Firehose meter messages in units of this many bytes."""
ALERTS_PER_ALARM = 3
"""`active`, `acknowledged`, `cleared`."""
EXTRA_RESULTS_PER_ALARM = 5
"""Results reported besides those at the interval: the decision changes twice, the alarm's state three times."""


@dataclass(frozen=True)
class MessageFlow:
    """One kind of message.

    Attributes:
        name: plural noun for formulas.
        count: messages of one device in a month.
        bytes: size of a message.
        retention_days: retention in the data bucket; 0 if the messages are not stored there.
        echoed: whether an echo confirms the delivery of each.
    """

    name: str
    count: float
    bytes: int
    retention_days: int
    echoed: bool

    @property
    def units(self) -> int:
        """Metering units of one message."""
        return math.ceil(self.bytes / METERING_UNIT)

    @property
    def metered(self) -> str:
        """The number of metering units, as a formula."""
        return f"{self.name} × ⌈{self.bytes} / {METERING_UNIT}⌉"


@dataclass(frozen=True)
class Quantity:
    """One quantity of a month.

    Attributes:
        key: its name in a file of prices.
        label, unit: for people.
        formula: for one device, with the numbers in it.
        value: the quantity for a number of devices.
        priced_per: the price is for this many of the unit.
    """

    key: str
    label: str
    unit: str
    formula: str
    value: Callable[[int], float]
    priced_per: float = 1.0


def quantities(load: DeviceLoad) -> list[Quantity]:
    """All quantities."""
    interval = max(load.report_interval_s, load.row_interval_s)
    results = load.assets * (MONTH_S / interval + load.alarms * EXTRA_RESULTS_PER_ALARM) if load.reports else 0.0
    results_per_report = max(1, math.floor(load.gather_s / interval))
    alerts = load.assets * load.alarms * ALERTS_PER_ALARM if load.alerts else 0.0
    health = len(COMPONENTS) * MONTH_S / load.health_interval_s if load.health_interval_s else 0.0
    acknowledgements = load.assets * load.alarms if load.alerts else 0.0
    captures = load.assets * load.captured_rows / load.capture_rows
    report_bytes = load.report_bytes + (results_per_report - 1) * load.result_bytes
    flows = [
        flow
        for flow in (
            MessageFlow("reports", results / results_per_report, report_bytes, load.results_days, "reports" in load.echoed),
            MessageFlow("alerts", alerts, load.alert_bytes, 0, "alerts" in load.echoed),
            MessageFlow("health messages", health, load.health_bytes, load.health_days, "health" in load.echoed),
            MessageFlow("capture messages", captures, load.capture_bytes, load.captures_days, "captures" in load.echoed),
        )
        if flow.count
    ]
    stored, echoed = [flow for flow in flows if flow.retention_days], [flow for flow in flows if flow.echoed]
    sent_units, stored_units, echo_units = _units(flows), _units(stored), _units(echoed)

    def objects(flow: MessageFlow, devices: int) -> float:
        count = devices * flow.count
        return max(min(count, MONTH_S / load.flush_s), count * flow.bytes / (load.flush_mb * 2**20))

    return [
        Quantity(
            "results",
            "reported results",
            "",
            f"{load.assets} assets × ({MONTH_S:,} s / {interval:g} s + {load.alarms:g} alarms × {EXTRA_RESULTS_PER_ALARM})",
            lambda n: n * results,
        ),
        Quantity("reports", "reports", "", f"results / {results_per_report} per report", lambda n: n * results / results_per_report),
        Quantity("alerts", "alerts", "", f"{load.assets} assets × {load.alarms:g} alarms × {ALERTS_PER_ALARM}", lambda n: n * alerts),
        Quantity(
            "health",
            "health messages",
            "",
            f"{len(COMPONENTS)} components × {MONTH_S:,} s / {load.health_interval_s:g} s" if health else "none",
            lambda n: n * health,
        ),
        Quantity(
            "captures",
            "capture messages",
            "",
            f"{load.assets} assets × {load.captured_rows:,.0f} rows / {load.capture_rows} per message"
            if captures
            else "none: `capture.upload` is off",
            lambda n: n * captures,
        ),
        Quantity(
            "echoes",
            "echoes that confirm delivery",
            "",
            f"{_sum(flow.metered for flow in echoed)}; see `outbox.confirmation` and `capture.upload_confirmation`",
            lambda n: n * echo_units,
            1e6,
        ),
        Quantity(
            "messages",
            "messages metered by IoT Core",
            "",
            _sum([*(flow.metered for flow in flows), "echoes", "2 × acknowledgements (from a person, to the device)"]),
            lambda n: n * (sent_units + echo_units + 2 * acknowledgements),
            1e6,
        ),
        Quantity("rules", "rule actions", "", _sum(flow.name for flow in flows), lambda n: n * sum(flow.count for flow in flows), 1e6),
        Quantity(
            "sent",
            "sent by devices",
            "MB",
            _sum(f"{flow.name} × {flow.bytes} bytes" for flow in flows),
            lambda n: n * sum(flow.count * flow.bytes for flow in flows) / 1e6,
        ),
        Quantity(
            "received",
            "received by devices",
            "MB",
            _sum([*(f"{flow.name} × {flow.bytes} bytes" for flow in echoed), f"acknowledgements × {load.ack_bytes} bytes"]),
            lambda n: n * (sum(flow.count * flow.bytes for flow in echoed) + acknowledgements * load.ack_bytes) / 1e6,
        ),
        Quantity("notifications", "SNS notifications", "", "alerts, per subscriber", lambda n: n * alerts, 1e6),
        Quantity(
            "firehose",
            "ingested by Firehose",
            "MB",
            f"({_sum(flow.metered for flow in stored)}) × {METERING_UNIT} bytes",
            lambda n: n * stored_units * METERING_UNIT / 1e6,
            1e3,
        ),
        Quantity(
            "objects",
            "objects written to S3",
            "",
            f"for {' and for '.join(flow.name for flow in stored) or 'nothing'}: one per {load.flush_s:g} s with data,"
            f" or per {load.flush_mb:g} MiB",
            lambda n: sum(objects(flow, n) for flow in stored),
            1e3,
        ),
        Quantity(
            "storage",
            "stored at full retention, before compression",
            "MB",
            _sum(f"{flow.name} × {flow.bytes} bytes × {flow.retention_days} days / 30" for flow in stored),
            lambda n: n * sum(flow.count * flow.bytes * flow.retention_days for flow in stored) * 86400 / MONTH_S / 1e6,
            1e3,
        ),
    ]


def _units(flows: Iterable[MessageFlow]) -> float:
    return sum(flow.count * flow.units for flow in flows)


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms) or "none"
