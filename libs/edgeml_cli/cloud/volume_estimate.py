"""What devices send and what is stored of it, computed from their configuration: `scripts/cloud/volume`.

Sizes are those of messages that the component's own code encoded; what a month brings that nobody can configure (alarms) is an argument.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.result_reporter import NORMAL, ResultReport, entry
from edgeml.cloud.outbox import OutboxMessage
from edgeml.config.schema import read
from edgeml.messages import Acknowledge, Alert, Health, ResultBlock, ResultColumns, SensorBatch, encode_json, topics
from edgeml.runtime.status_reporter import REPEAT_S
from edgeml_cli.build.package import COMPONENTS, ROOT
from edgeml_cli.cloud import template
from edgeml_cli.fleet import config_check
from edgeml_cli.fleet.deployment_plan import Part, configured
from edgeml_cli.fleet.errors import FleetError, told
from gglocal.cli.arguments import number
from sensor_ingestion.capture import segment_format as captured
from sensor_ingestion.capture.chunks import Segment
from sensor_ingestion.options import CaptureOptions, SensorIngestionOptions
from sensor_ingestion.sources import SOURCES
from sensor_ingestion.sources.base import Clocks

MONTH_S = 30 * 86400
FLEETS = (1, 1000, 100_000)
UNIT = 5 * 1024
"""IoT Core and Firehose count a message in parts of so many bytes."""
ALERTS_OF_AN_ALARM = 3
"""`active`, `acknowledged`, `cleared`."""
CHANGES_OF_AN_ALARM = 5
"""Results that are reported besides those of the clock: the verdict turns twice, the alarm's state three times."""
BEGIN, END = "<!-- volume: begin -->", "<!-- volume: end -->"


@dataclass(frozen=True)
class DeviceLoad:
    """What one device does.

    Attributes:
        assets: machines that it reads.
        interval_s, gather_s: of AlertDispatcher's `report`; 0 of `interval_s`: every row.
        row_s: seconds between rows.
        alarms: of a machine in a month.
        health_s: between two messages of a component's health; 0: none.
        captured: rows of a machine in a month that SensorIngestion's capture sends.
        echoed: the kinds of messages (`reports`, `alerts`, `healths`, `captures`) that come back to the device as the proof of delivery.
        report_bytes: of a message with one result; result_bytes: of each further one; alert_bytes, health_bytes, ack_bytes: of an
            alert, of a health, of an acknowledgement.
        capture_rows, capture_bytes: of a message with captured rows.
        results_days, health_days, captures_days: how long each is kept; flush_s, flush_mb: when a stream writes: after so
            long, or when it holds so much.
    """

    assets: int
    reports: bool
    alerts: bool
    interval_s: float
    gather_s: float
    row_s: float
    alarms: float
    health_s: float
    captured: float
    echoed: frozenset[str]
    report_bytes: int
    result_bytes: int
    alert_bytes: int
    health_bytes: int
    ack_bytes: int
    capture_rows: int
    capture_bytes: int
    results_days: int
    health_days: int
    captures_days: int
    flush_s: float
    flush_mb: float


@dataclass(frozen=True)
class MessageFlow:
    """One kind of messages: how many in a month, bytes of each, and for how long the data bucket keeps it; 0: it does not go there."""

    name: str
    count: float
    bytes: int
    days: int

    @property
    def units(self) -> int:
        """How often IoT Core and Firehose count one of them."""
        return math.ceil(self.bytes / UNIT)

    @property
    def counted(self) -> str:
        return f"{self.name} × ⌈{self.bytes} / {UNIT}⌉"


@dataclass(frozen=True)
class Line:
    """One quantity of a month.

    Attributes:
        key: its name in a file of prices.
        value: of so many devices.
        formula: with the numbers in it.
        priced: so many of the unit are one of the price's.
    """

    key: str
    what: str
    unit: str
    formula: str
    value: Callable[[int], float]
    priced: float = 1.0


def lines(load: DeviceLoad) -> list[Line]:
    """All quantities."""
    period = max(load.interval_s, load.row_s)
    results = load.assets * (MONTH_S / period + load.alarms * CHANGES_OF_AN_ALARM) if load.reports else 0.0
    in_one = max(1, math.floor(load.gather_s / period))
    alerts = load.assets * load.alarms * ALERTS_OF_AN_ALARM if load.alerts else 0.0
    healths = len(COMPONENTS) * MONTH_S / load.health_s if load.health_s else 0.0
    acknowledged = load.assets * load.alarms if load.alerts else 0.0
    captures = load.assets * load.captured / load.capture_rows
    flows = [
        flow
        for flow in (
            MessageFlow("reports", results / in_one, load.report_bytes + (in_one - 1) * load.result_bytes, load.results_days),
            MessageFlow("alerts", alerts, load.alert_bytes, 0),
            MessageFlow("healths", healths, load.health_bytes, load.health_days),
            MessageFlow("captures", captures, load.capture_bytes, load.captures_days),
        )
        if flow.count
    ]
    stored, echoed = [flow for flow in flows if flow.days], [flow for flow in flows if flow.name in load.echoed]
    counted = {"flows": sum(flow.count * flow.units for flow in flows), "stored": sum(flow.count * flow.units for flow in stored)}
    echoes = sum(flow.count * flow.units for flow in echoed)

    def objects(flow: MessageFlow, n: int) -> float:
        count = n * flow.count
        return max(min(count, MONTH_S / load.flush_s), count * flow.bytes / (load.flush_mb * 2**20))

    def sum_of(texts: Iterable[str]) -> str:
        return " + ".join(texts) or "none"

    return [
        Line(
            "results",
            "results reported",
            "",
            f"{load.assets} assets × ({MONTH_S:,} s / {period:g} s + {load.alarms:g} alarms × {CHANGES_OF_AN_ALARM})",
            lambda n: n * results,
        ),
        Line("reports", "report messages", "", f"results / {in_one} in a message", lambda n: n * results / in_one),
        Line(
            "alerts",
            "alert messages",
            "",
            f"{load.assets} assets × {load.alarms:g} alarms × {ALERTS_OF_AN_ALARM}",
            lambda n: n * alerts,
        ),
        Line(
            "health",
            "health messages",
            "",
            f"{len(COMPONENTS)} components × {MONTH_S:,} s / {load.health_s:g} s" if load.health_s else "none",
            lambda n: n * healths,
        ),
        Line(
            "captures",
            "messages with captured rows",
            "",
            f"{load.assets} assets × {load.captured:,.0f} rows / {load.capture_rows} in a message"
            if captures
            else "none: `capture.upload` is off",
            lambda n: n * captures,
        ),
        Line(
            "echoes",
            "echoes, the proof of delivery",
            "",
            f"{sum_of(flow.counted for flow in echoed)}, as `outbox.confirmation` and `capture.upload_confirmation` say",
            lambda n: n * echoes,
            1e6,
        ),
        Line(
            "messages",
            "messages that IoT Core counts",
            "",
            sum_of(
                [
                    *(flow.counted for flow in flows),
                    "echoes",
                    "2 × acknowledgements (from a person, to the device)",
                ]
            ),
            lambda n: n * (counted["flows"] + echoes + 2 * acknowledged),
            1e6,
        ),
        Line(
            "rules",
            "messages that rules hand on",
            "",
            sum_of(flow.name for flow in flows),
            lambda n: n * sum(flow.count for flow in flows),
            1e6,
        ),
        Line(
            "sent",
            "sent by devices",
            "MB",
            sum_of(f"{flow.name} × {flow.bytes} bytes" for flow in flows),
            lambda n: n * sum(flow.count * flow.bytes for flow in flows) / 1e6,
        ),
        Line(
            "received",
            "received by devices",
            "MB",
            sum_of(
                [
                    *(f"{flow.name} × {flow.bytes} bytes" for flow in echoed),
                    f"acknowledgements × {load.ack_bytes} bytes",
                ]
            ),
            lambda n: n * (sum(flow.count * flow.bytes for flow in echoed) + acknowledged * load.ack_bytes) / 1e6,
        ),
        Line("notifications", "notifications of people", "", "alerts, for each subscriber", lambda n: n * alerts, 1e6),
        Line(
            "firehose",
            "taken in by Firehose",
            "MB",
            f"({sum_of(flow.counted for flow in stored)}) × {UNIT} bytes",
            lambda n: n * counted["stored"] * UNIT / 1e6,
            1e3,
        ),
        Line(
            "objects",
            "objects written to S3",
            "",
            f"of {' and of '.join(flow.name for flow in stored) or 'nothing'}: one for each"
            f" {load.flush_s:g} s in which one came, or for each {load.flush_mb:g} MiB",
            lambda n: sum(objects(flow, n) for flow in stored),
            1e3,
        ),
        Line(
            "storage",
            "stored once nothing is added but what goes, before compression",
            "MB",
            sum_of(f"{flow.name} × {flow.bytes} bytes × {flow.days} days / 30" for flow in stored),
            lambda n: n * sum(flow.count * flow.bytes * flow.days for flow in stored) * 86400 / MONTH_S / 1e6,
            1e3,
        ),
    ]


def markdown(load: DeviceLoad, prices: dict[str, float], fleets: Iterable[int] = FLEETS) -> str:
    """The table, its formulas, and the cost where prices are given."""
    fleets, made = tuple(fleets), lines(load)
    rows = [["in a month (30 days)", *(f"{n:,} device{'' if n == 1 else 's'}" for n in fleets), "formula, for one device"]]
    rows.append(["---", *("---:" for _ in fleets), "---"])
    for line in made:
        unit = f", {line.unit}" if line.unit else ""
        rows.append([f"{line.what}{unit}", *(_number(line.value(n)) for n in fleets), line.formula])
    if prices:
        known = {line.key: line for line in made}
        strangers = set(prices) - set(known)
        if strangers:
            raise FleetError(f"a price is given for {', '.join(sorted(strangers))}; there are {', '.join(known)}")
        costs = [sum(known[key].value(n) / known[key].priced * price for key, price in prices.items()) for n in fleets]
        rows.append(["cost, in the currency of the prices", *(f"{cost:,.2f}" for cost in costs), f"of {', '.join(sorted(prices))}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def load(config: dict[str, dict[str, Any]], alarms: float, row_s: float, root: Path = ROOT) -> DeviceLoad:
    """From the recipes' defaults and what is merged into them.

    Raises:
        FleetError, OptionsError: the configuration is not right.
    """
    strangers = set(config) - set(config_check.OPTIONS)
    if strangers:
        raise FleetError(f"the configuration names {', '.join(sorted(strangers))}; there are {', '.join(config_check.OPTIONS)}")
    options = config_check.options({name: _configuration(root, name, config.get(name, {})) for name in config_check.OPTIONS})
    dispatcher, ingestion = options["com.edgeml.AlertDispatcher"], options["com.edgeml.SensorIngestion"]
    assert isinstance(dispatcher, AlertDispatcherOptions) and isinstance(ingestion, SensorIngestionOptions)
    cloud = dispatcher.actions.get("iot_core")
    document = template.read()
    stream = document["Resources"]["ResultsStream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    one, two = _report_bytes(1), _report_bytes(2)
    confirmation, capture = dispatcher.outbox.confirmation, ingestion.capture
    confirmations = {
        "reports": confirmation.results,
        "alerts": confirmation.alerts,
        "healths": confirmation.health,
        "captures": capture.upload_confirmation,
    }
    rows, piece = _piece() if capture.upload else (1, 0)
    days = {name: document["Parameters"][f"{name}Days"]["Default"] for name in ("Results", "Health", "Captures")}
    return DeviceLoad(
        assets=len(ingestion.enabled()),
        reports=dispatcher.report.enabled,
        alerts=cloud is not None and (cloud or {}).get("enabled", True) in (True, "true"),
        interval_s=dispatcher.report.interval_s,
        gather_s=dispatcher.report.gather_s,
        row_s=row_s,
        alarms=alarms,
        health_s=max(dispatcher.health.interval_s, REPEAT_S) if dispatcher.health.enabled else 0.0,
        captured=_captured(capture, alarms, row_s),
        echoed=frozenset(name for name, how in confirmations.items() if how == "echo"),
        report_bytes=one,
        result_bytes=two - one,
        alert_bytes=_sent_bytes(encode_json(_alert())),
        health_bytes=_sent_bytes(encode_json(_health())),
        ack_bytes=len(encode_json(_acknowledge())),
        capture_rows=rows,
        capture_bytes=piece,
        results_days=days["Results"],
        health_days=days["Health"],
        captures_days=days["Captures"],
        flush_s=stream["BufferingHints"]["IntervalInSeconds"],
        flush_mb=stream["BufferingHints"]["SizeInMBs"],
    )


def _captured(capture: CaptureOptions, alarms: float, row_s: float) -> float:
    """Rows of a machine in a month that go to the cloud: all, or those around the raising and the clearing of each alarm."""
    if not capture.upload:
        return 0.0
    whole = MONTH_S / row_s
    return whole if capture.mode == "all" else min(whole, 2 * alarms * (capture.before_s + capture.after_s) / row_s)


def _piece() -> tuple[int, int]:
    """Rows and bytes of a message that is full of rows of the simulated pump."""
    clocks = Clocks(lambda: 0.0, lambda: 1_790_000_000_000_000_000)
    source = SOURCES["simulator"].make(read(SOURCES["simulator"].options, {"speed": 0, "duration_s": 1000.0}), clocks, None)
    block = source.read(0.0, 1000)
    assert block is not None
    names, units = (tuple(each) for each in zip(*((channel.name, channel.unit) for channel in source.channels), strict=True))
    batch = SensorBatch.of("pump-1", "7c9e6679", 0, names, units, block.times, block.values)
    text = captured.header(batch, 0) + b"".join(row.line for row in captured.rows(batch))
    name = captured.segment_name(int(block.times[0]), batch.stream, batch.seq)
    payload, rows = Segment.read(text).chunk("gateway-0001", name, 0, len(block.times))
    return rows, _sent_bytes(payload)


def _configuration(root: Path, name: str, update: dict[str, Any]) -> dict[str, Any]:
    recipe = yaml.safe_load((root / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    defaults = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    return configured(defaults, [Part("", update.get("merge", {}), tuple(update.get("reset", ())))])


def _alert() -> Alert:
    return Alert(
        id="0f8fad5bd9cb469fa16570867728950e",
        asset="pump-1",
        stream="7c9e6679",
        seq=12345,
        model="pump-anomaly",
        model_version="1.0.0",
        state="active",
        at="2026-11-25T12:00:00.000Z",
        raised_at="2026-11-25T12:00:00.000Z",
        confidence=0.9731,
        peak_confidence=0.9876,
        why="the confidence was at or over 0.9 for 10 s; most unusual are flow and pressure",
    )


def _acknowledge() -> Acknowledge:
    return Acknowledge(alarm=_alert().id, by="Ada", note="the valve was closed")


def _health() -> Health:
    return Health(
        component="com.edgeml.SensorIngestion",
        at="2026-11-25T12:00:00.000Z",
        state="running",
        lag_s=0.123,
        queues={"results": (0, 256), "replay": (0, 256)},
        message_age_s={topics.RESULTS: 0.5, topics.COMMANDS: None},
        row_age_s={"pump-1": 0.25},
    )


def _report_bytes(results: int) -> int:
    columns = ResultColumns(
        times=np.array([1_790_000_000_123_000_000]),
        starts=np.array([1_789_999_940_123_000_000]),
        score=np.array([1.2345]),
        confidence=np.array([0.0123]),
        reason=np.array([0]),
        deviations=np.zeros((1, 0)),
        latency_us=np.array([[412.5123, 87.2512]]),
    )
    block = ResultBlock(
        stream="7c9e6679",
        seq=12345,
        asset="pump-1",
        model="pump-anomaly",
        model_version="1.0.0",
        digest="0" * 64,
        answers_stream="",
        answers_seq=0,
        complete=True,
        channels=(),
        reasons=(),
        times=b"",
        starts=b"",
        score=b"",
        confidence=b"",
        reason=b"",
        deviations=b"",
        latency_us=b"",
    )
    result = msgspec.Raw(msgspec.json.encode(entry(block, columns, 0, NORMAL, "")))
    report = ResultReport(
        thing="gateway-0001",
        asset=block.asset,
        model=block.model,
        model_version=block.model_version,
        digest=block.digest,
        results=[result] * results,
    )
    return _sent_bytes(msgspec.json.encode(report))


def _sent_bytes(payload: bytes) -> int:
    """Of a message as it leaves the outbox."""
    return len(OutboxMessage(0, "", 0, 0.0, "", payload).message("0123456789abcdef-12345", late=False))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="scripts/cloud/volume", description="Messages and storage of a month, for fleets of several sizes.")
    made.add_argument("--config", type=Path, metavar="FILE", help="merge and reset by component, as scripts/deploy takes it")
    made.add_argument("--alarms", type=number(0, 10**9), default=2.0, metavar="N", help="alarms of a machine in a month (default: 2)")
    made.add_argument("--row-s", type=number(0.001, 10**9), default=1.0, metavar="S", help="seconds between rows (default: 1)")
    made.add_argument("--prices", type=Path, metavar="FILE", help="a YAML map of your region's prices: by million or thousand or GB")
    made.add_argument("--write", type=Path, metavar="FILE", help=f"replace what stands between `{BEGIN}` and `{END}` in this file")
    return made


def run(given: argparse.Namespace) -> int:
    """Do what the command line asks."""
    config = config_check.updates(given.config) if given.config else {}
    prices = yaml.safe_load(given.prices.read_text(encoding="utf-8")) if given.prices else {}
    text = markdown(load(config, given.alarms, given.row_s), {str(key): float(price) for key, price in (prices or {}).items()})
    if given.write is None:
        print(text, end="")
        return 0
    whole = given.write.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FleetError(f"{given.write} has no `{BEGIN}` and `{END}`; put them where the table shall stand")
    given.write.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return told("cloud volume", lambda: run(given), begins=False)


if __name__ == "__main__":
    sys.exit(main())
