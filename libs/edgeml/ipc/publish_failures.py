"""The failures of publishing to one topic, and their consequences for the subscriptions once publishing works again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from awsiot.greengrasscoreipc import model

from edgeml.backoff import Backoff

DENIED_FIRST_S, DENIED_MAX_S = 1.0, 900.0
"""A denial by IoT Core's side lasts until a person changes the configuration, and a nucleus logs each attempt."""
RESTART_S = 2.0
"""A full buffer accepts messages again sooner than a daemon that restarts and reconnects."""


def denial_backoff() -> Backoff:
    """The delays between attempts after a denial."""
    return Backoff(DENIED_FIRST_S, DENIED_MAX_S)


@dataclass
class PublishFailures:
    """Publishing to one topic fails.

    Attributes:
        kind: `local` or `cloud`.
        since: time of the first failure.
        fault: type of the last fault; the fault itself would keep its call alive.
        given_up: retries failed for the whole timeout; from then on there is one attempt per message.
        next_attempt: no attempt before this time.
    """

    kind: str
    since: float
    fault: type[BaseException]
    given_up: bool = False
    next_attempt: float = 0.0
    backoff: Backoff = field(default_factory=denial_backoff)

    def give_up(self, now: float) -> bool:
        """Record that retrying failed; True the first time."""
        first, self.given_up = not self.given_up, True
        if self.kind == "cloud" and issubclass(self.fault, model.UnauthorizedError):
            self.next_attempt = now + self.backoff.next()
        return first

    def retry_now(self) -> None:
        self.next_attempt = 0.0
        self.backoff.reset()

    def stale_kinds(self, now: float, echoed: bool) -> tuple[str, ...]:
        """The kinds of subscriptions that may have died during the failures, once publishing works again.

        Args:
            echoed: the component subscribes to this topic itself, so the echo of its messages is the better evidence.
        """
        if self.kind == "local":
            return ("local", "cloud", "configuration")
        if issubclass(self.fault, model.UnauthorizedError):
            return ("configuration",)  # the permission was added, or the store was down
        return ("cloud",) if not echoed and now - self.since >= RESTART_S else ()
