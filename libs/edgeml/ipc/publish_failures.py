"""What is known of a topic to which publishing fails, and what its recovery says about the subscriptions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from awsiot.greengrasscoreipc import model

from edgeml.backoff import Backoff

REFUSED_FIRST_S, REFUSED_LONGEST_S = 1.0, 900.0
"""What IoT Core's side refuses stays refused until a person changes the configuration, and a nucleus logs each try."""
RESTART_S = 2.0
"""A full buffer takes messages again sooner than a daemon that is restarted and connects anew."""


def seldom() -> Backoff:
    """The waiting between tries of what is refused."""
    return Backoff(REFUSED_FIRST_S, REFUSED_LONGEST_S)


@dataclass
class PublishFailures:
    """Publishing to one topic fails.

    Attributes:
        kind: `local` or `cloud`.
        since: the first failure.
        fault: the kind of the last one; the fault itself would keep its call alive.
        given_up: it was tried for the whole patience; from then on once a message.
        due: not tried before.
    """

    kind: str
    since: float
    fault: type[BaseException]
    given_up: bool = False
    due: float = 0.0
    backoff: Backoff = field(default_factory=seldom)

    def give_up(self, now: float) -> bool:
        """Whether that is news."""
        news, self.given_up = not self.given_up, True
        if self.kind == "cloud" and issubclass(self.fault, model.UnauthorizedError):
            self.due = now + self.backoff.next()
        return news

    def stale(self, now: float, echoed: bool) -> tuple[str, ...]:
        """The kinds of subscriptions that may have died meanwhile, now that it works again.

        Args:
            echoed: what is published there comes back by a subscription, whose silence says more than this.
        """
        if self.kind == "local":
            return ("local", "cloud", "configuration")
        if issubclass(self.fault, model.UnauthorizedError):
            return ("configuration",)  # it is permitted now, or the store was away
        return ("cloud",) if not echoed and now - self.since >= RESTART_S else ()
