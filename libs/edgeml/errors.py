"""The errors of the common library.

EdgemlError
├── MessageError          a message that cannot be understood
│   └── NewerVersionError its version is newer than this component's
├── OptionsError          a wrong configuration, all faults together
├── BundleError           a model bundle that is incomplete, altered, or does not fit its manifest or the data
├── AuthenticationError             a seal that is none, or a core's key that cannot be had
├── SourceError           a sensor source that cannot be opened or read
└── BusError              the nucleus cannot be reached, or refuses
"""

from collections.abc import Iterator


class EdgemlError(Exception):
    """The root; its text is one sentence for a person: what, where, the remedy."""


class MessageError(EdgemlError):
    pass


class NewerVersionError(MessageError):
    pass


class OptionsError(EdgemlError):
    """Carries every fault of a configuration, as far as a status message holds them.

    Attributes:
        faults: one sentence each: the key, the value, what is wanted.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = list(_fitting(faults))
        super().__init__("; ".join(self.faults))


LONGEST_FAULT = 600
"""Characters of a sentence; a longer one is cut in its middle, where a value is."""
MOST_FAULT_BYTES = 3_000
"""Of all sentences together; in a message quotes and the like take two bytes."""


def _fitting(faults: list[str]) -> Iterator[str]:
    room = MOST_FAULT_BYTES
    for number, fault in enumerate(faults):
        text = fault.encode("utf-8", "backslashreplace").decode()
        if len(text) > LONGEST_FAULT:
            text = f"{text[: LONGEST_FAULT // 2]} … {text[-LONGEST_FAULT // 2 :]}"
        room -= len(text.encode())
        if room < 0 and number:
            yield f"and {len(faults) - number} more faults; correct these first"
            return
        yield text


class BundleError(EdgemlError):
    pass


class AuthenticationError(EdgemlError):
    pass


class SourceError(EdgemlError):
    pass


class BusError(EdgemlError):
    pass


class ConfigurationTooLarge(BusError):
    """A value of the configuration does not fit into an answer of the nucleus.

    Args:
        where: its key path.
    """

    def __init__(self, where: str) -> None:
        super().__init__(
            f"`{where or 'configuration'}` cannot be read: with all below it, it is larger than an answer of this nucleus (Lite: 255 "
            "names and values, 10,000 bytes); make it smaller: machines of a kind can be one entry, such as `pump-{001..200}`"
        )
