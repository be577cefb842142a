"""The errors of the common library.

EdgemlError
├── MessageError              a message that cannot be decoded
│   └── NewerVersionError     its version is newer than this component's
├── OptionsError              an invalid configuration, with all faults
├── BundleError               a model bundle that is incomplete, altered, or does not match its manifest or the data
├── AuthenticationError       a malformed signature line, or a device key that cannot be used
├── SourceError               a sensor source that cannot be opened or read
└── BusError                  the nucleus cannot be reached, or denies a call
    └── ConfigurationTooLarge a value does not fit into an answer of the nucleus
"""

from collections.abc import Iterator


class EdgemlError(Exception):
    """The root; its text is one sentence for a person: what, where, the remedy."""


class MessageError(EdgemlError):
    pass


class NewerVersionError(MessageError):
    pass


class OptionsError(EdgemlError):
    """All faults of a configuration, as many as fit into a status message.

    Attributes:
        faults: one sentence each: the key, the value, the expected values.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = list(_fitting(faults))
        super().__init__("; ".join(self.faults))


MAX_FAULT_LENGTH = 600
"""Maximum characters of a sentence; a longer one is cut in the middle, where the value is."""
MAX_FAULT_BYTES = 3_000
"""Maximum bytes of all sentences; in a message, quotes and the like take two bytes each."""


def _fitting(faults: list[str]) -> Iterator[str]:
    room = MAX_FAULT_BYTES
    for number, fault in enumerate(faults):
        text = fault.encode("utf-8", "backslashreplace").decode()
        if len(text) > MAX_FAULT_LENGTH:
            text = f"{text[: MAX_FAULT_LENGTH // 2]} … {text[-MAX_FAULT_LENGTH // 2 :]}"
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
            f"`{where or 'configuration'}` cannot be read: with its nested values, it is larger than an answer of this nucleus (Lite: 255 "
            "names and values, 10,000 bytes); make it smaller: similar machines can be one entry, such as `pump-{001..200}`"
        )
