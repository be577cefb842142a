"""The load that one device puts on the cloud, derived from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.runtime.status_reporter import REPEAT_S
from edgeml_cli.build.package import ROOT
from edgeml_cli.cloud import message_sizes, template
from edgeml_cli.cloud.message_sizes import CaptureSize
from edgeml_cli.fleet import config_check
from edgeml_cli.fleet.deployment_plan import ComponentSpec, effective_configuration
from edgeml_cli.fleet.errors import FleetError
from sensor_ingestion.options import CaptureOptions, SensorIngestionOptions

MONTH_S = 30 * 86400


@dataclass(frozen=True)
class DeviceLoad:
    """The message rates and sizes of one device, and the retention of its data.

    Attributes:
        assets: number of enabled assets.
        reports, alerts: whether results and alerts are sent to the cloud.
        report_interval_s: seconds between two reported results of an asset; 0 reports every row.
        gather_s: seconds for which results are gathered into one report.
        row_interval_s: seconds between two rows of an asset.
        alarms: alarms of one asset in a month.
        health_interval_s: seconds between two health messages of a component; 0 disables them.
        captured_rows: rows of one asset in a month that SensorIngestion's capture uploads.
        echoed: kinds of messages (`reports`, `alerts`, `health`, `captures`) whose delivery an echo confirms.
        report_bytes, result_bytes: size of a report with one result, and of each further result.
        alert_bytes, health_bytes, ack_bytes: size of an alert, a health message and an acknowledgement.
        capture_rows, capture_bytes: rows in a capture message, and its size.
        results_days, health_days, captures_days: retention in the data bucket.
        flush_s, flush_mb: a Firehose stream writes an object after this time or at this size, whichever comes first.
    """

    assets: int
    reports: bool
    alerts: bool
    report_interval_s: float
    gather_s: float
    row_interval_s: float
    alarms: float
    health_interval_s: float
    captured_rows: float
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


def device_load(config: dict[str, dict[str, Any]], alarms: float, row_interval_s: float, root: Path = ROOT) -> DeviceLoad:
    """Derive the load from the recipes' default configuration and the updates to merge into it.

    Raises:
        FleetError, OptionsError: the configuration is invalid.
    """
    unknown = set(config) - set(config_check.OPTIONS)
    if unknown:
        raise FleetError(
            f"the configuration is for unknown components: {', '.join(sorted(unknown))}; "
            f"valid components are {', '.join(config_check.OPTIONS)}"
        )
    options = config_check.read_options({name: _configuration(root, name, config.get(name, {})) for name in config_check.OPTIONS})
    dispatcher, ingestion = options["com.edgeml.AlertDispatcher"], options["com.edgeml.SensorIngestion"]
    assert isinstance(dispatcher, AlertDispatcherOptions) and isinstance(ingestion, SensorIngestionOptions)
    iot_core = dispatcher.actions.get("iot_core")
    document = template.read()
    stream = document["Resources"]["ResultsStream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    retention = {name: document["Parameters"][f"{name}Days"]["Default"] for name in ("Results", "Health", "Captures")}
    confirmation, capture = dispatcher.outbox.confirmation, ingestion.capture
    confirmations = {
        "reports": confirmation.results,
        "alerts": confirmation.alerts,
        "health": confirmation.health,
        "captures": capture.upload_confirmation,
    }
    capture_size = message_sizes.capture_message() if capture.upload else CaptureSize(1, 0)
    report_bytes = message_sizes.report_message(1)
    return DeviceLoad(
        assets=len(ingestion.enabled()),
        reports=dispatcher.report.enabled,
        alerts=iot_core is not None and (iot_core or {}).get("enabled", True) in (True, "true"),
        report_interval_s=dispatcher.report.interval_s,
        gather_s=dispatcher.report.gather_s,
        row_interval_s=row_interval_s,
        alarms=alarms,
        health_interval_s=max(dispatcher.health.interval_s, REPEAT_S) if dispatcher.health.enabled else 0.0,
        captured_rows=_captured_rows(capture, alarms, row_interval_s),
        echoed=frozenset(kind for kind, how in confirmations.items() if how == "echo"),
        report_bytes=report_bytes,
        result_bytes=message_sizes.report_message(2) - report_bytes,
        alert_bytes=message_sizes.alert_message(),
        health_bytes=message_sizes.health_message(),
        ack_bytes=message_sizes.acknowledgement(),
        capture_rows=capture_size.rows,
        capture_bytes=capture_size.bytes,
        results_days=retention["Results"],
        health_days=retention["Health"],
        captures_days=retention["Captures"],
        flush_s=stream["BufferingHints"]["IntervalInSeconds"],
        flush_mb=stream["BufferingHints"]["SizeInMBs"],
    )


def _captured_rows(capture: CaptureOptions, alarms: float, row_interval_s: float) -> float:
    """Rows of an asset in a month that are uploaded: all, or those around the raising and the clearing of each alarm."""
    if not capture.upload:
        return 0.0
    all_rows = MONTH_S / row_interval_s
    return all_rows if capture.mode == "all" else min(all_rows, 2 * alarms * (capture.before_s + capture.after_s) / row_interval_s)


def _configuration(root: Path, name: str, update: dict[str, Any]) -> dict[str, Any]:
    recipe = yaml.safe_load((root / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    defaults = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    return effective_configuration(defaults, [ComponentSpec("", update.get("merge", {}), tuple(update.get("reset", ())))])
