"""The component's loop: publishes the rows of its assets, and handles the messages for them."""

from __future__ import annotations

import logging

from edgeml.errors import OptionsError, SourceError
from edgeml.messages import Alert, Command, Message, Release, ReplayRequest, ResultBlock, Status, encode, topics
from edgeml.messages.sequencing import KeepAliveTimer, new_stream
from edgeml.runtime.service import ComponentContext, Metrics
from sensor_ingestion.asset_pipeline import AssetPipeline
from sensor_ingestion.capture.recorder import CaptureRecorder
from sensor_ingestion.capture.uploader import Uploader
from sensor_ingestion.command_journal import CommandJournal
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.sources.base import Clocks

log = logging.getLogger(__name__)


class SensorIngestion:
    """See README.md for the numbered behaviors.

    Raises:
        OptionsError: no asset can be read; one sentence for each.
    """

    def __init__(self, context: ComponentContext, options: SensorIngestionOptions) -> None:
        self._context = context
        self._assets: dict[str, AssetPipeline] = {}
        self._faults: list[str] = []
        self._failed: dict[str, float] = {}  # asset -> monotonic time of the fault that ended it
        clocks = Clocks(context.monotonic, context.wall_ns)
        capture = options.capture
        self._recorder: CaptureRecorder | None = None
        if capture.mode != "off":
            self._recorder = CaptureRecorder(capture, context.work, len(options.enabled()), context.monotonic)
        self._upload: Uploader | None = None
        if capture.upload and self._recorder is not None:
            self._upload = Uploader(capture, context.work, context.thing, self._recorder, context.bus, context.monotonic)
        echoes = self._upload is not None and capture.upload_confirmation == "echo"
        self.cloud_topics: tuple[str, ...] = (topics.cloud_captures(context.thing),) if echoes else ()
        self.echo_topics = self.cloud_topics
        take = self._recorder.take if self._recorder is not None else None
        self._journal = CommandJournal(context.work, context.wall_ns)
        for name, asset in options.enabled().items():
            try:
                self._assets[name] = AssetPipeline(name, asset, context.work, clocks, self._send, self._journal, take)
            except SourceError as fault:
                self._faults.append(f"{name}: {fault}")
                self._failed[name] = context.monotonic()
        if not self._assets:
            raise OptionsError(self._faults)
        for sentence in self._faults:
            log.error("%s; the other assets continue", sentence)
        self._keep_alive, self._stream = KeepAliveTimer(self._send), new_stream()
        answers = (topics.RESULTS,) if any(pipeline.awaits_answers for pipeline in self._assets.values()) else ()
        alerts = (topics.ALERTS,) if capture.mode == "alarms" else ()
        releases = (topics.COMMANDS_RELEASE,) if any(asset.lockout_after for asset in options.enabled().values()) else ()
        self.topics: tuple[str, ...] = (topics.COMMANDS, topics.REPLAY, *answers, *alerts, *releases)

    def start(self) -> None:
        for asset in self._assets.values():
            asset.resend()

    def on_message(self, topic: str, message: Message) -> None:
        if isinstance(message, ResultBlock):
            asset = self._assets.get(message.asset)
            if asset is not None:
                asset.take_results(message, self._context.monotonic())
        elif isinstance(message, Alert):
            if self._recorder is not None and message.asset in self._assets:
                self._recorder.take_alert(message)
        elif isinstance(message, ReplayRequest) and message.topic == topics.SENSORS:
            for name, asset in self._assets.items():
                if message.asset in ("", name):
                    for payload in asset.replay(message):
                        self._send(payload)
        # A message that moves a machine is valid on its own topic only: accessControl says who may publish there.
        elif isinstance(message, Release) and topic == topics.COMMANDS_RELEASE and message.asset in self._assets:
            self._assets[message.asset].release(message)
        elif isinstance(message, Command) and topic == topics.COMMANDS and message.asset in self._assets:
            ack = self._assets[message.asset].command(message)
            if ack is not None:
                self._context.bus.publish(topics.COMMANDS_ACK, encode(ack))

    def on_echo(self, payload: bytes) -> None:
        """A message of this component has come back from IoT Core."""
        if self._upload is not None:
            self._upload.echo(payload)

    def tick(self, now: float) -> float:
        wait = 1.0
        for name, asset in list(self._assets.items()):
            try:
                wait = min(wait, asset.tick(now))
            except (SourceError, OSError) as fault:
                log.error("%s: %s; this asset ends, the others continue", name, fault)
                self._faults.append(f"{name}: {fault}")
                self._failed[name] = now
                asset.close()
                del self._assets[name]
                continue
            wait = min(wait, self._keep_alive.tick(now, *asset.position()))
        if not self._assets:
            self._keep_alive.tick(now, self._stream)
        # Last: rows and commands go before captured files.
        return wait if self._upload is None else min(wait, self._upload.tick(now))

    def status(self) -> Status:
        faults = (*self._faults, *(fault for asset in self._assets.values() for fault in asset.faults))
        if self._journal.fault:
            faults = (*faults, self._journal.fault)
        if self._recorder is not None and self._recorder.fault:
            faults = (*faults, self._recorder.fault)
        if self._upload is not None:
            faults = (*faults, *self._upload.faults)
        state = "running"
        if not self._assets:
            state = "faulty"
        elif all(asset.finished for asset in self._assets.values()):
            state = "finished"
        return Status(component=self._context.component, state=state, faults=faults)

    def metrics(self) -> Metrics:
        now, assets = self._context.monotonic(), self._assets.values()
        lags = [asset.lag_s for asset in assets if asset.lag_s is not None]
        queues, drops = {"unanswered batches": (sum(asset.unanswered for asset in assets), 0)}, {}
        if self._recorder is not None and self._recorder.lost:
            drops["rows not captured"] = self._recorder.lost.total()
        if self._recorder is not None and self._upload is not None:
            queues["to IoT Core: captured files"] = (self._upload.waiting, 0)
            drops |= {
                reason: count
                for reason, count in (
                    ("captured files deleted unsent", self._recorder.deleted_unsent),
                    ("captured files skipped", len(self._upload.skipped)),
                )
                if count
            }
        row_ages = {name: now - since for name, since in self._failed.items()}
        return Metrics(
            min(lags, default=None),
            queues=queues,
            row_age_s=row_ages | {asset.name: age for asset in assets if (age := asset.row_age_s(now)) is not None},
            drops=drops,
        )

    def close(self) -> None:
        for asset in self._assets.values():
            asset.close()
        if self._recorder is not None:
            self._recorder.close()
        self._journal.close()

    def _send(self, payload: bytes) -> None:
        self._context.bus.publish(topics.SENSORS, payload)
