"""The errors of the common library.

EdgemlError
├── MessageError          a message that cannot be understood
│   └── NewerVersionError its version is newer than this component's
├── OptionsError          a wrong configuration, all faults together
├── BundleError           a model bundle that is incomplete, altered, or does not fit its manifest or the data
├── SealError             a seal that is none, or a core's key that cannot be had
├── SourceError           a sensor source that cannot be opened or read
└── BusError              the nucleus cannot be reached, or refuses
"""


class EdgemlError(Exception):
    """The root; its text is one sentence for a person: what, where, the remedy."""


class MessageError(EdgemlError):
    pass


class NewerVersionError(MessageError):
    pass


class OptionsError(EdgemlError):
    """Carries every fault of a configuration.

    Attributes:
        faults: one sentence each: the key, the value, what is wanted.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class BundleError(EdgemlError):
    pass


class SealError(EdgemlError):
    pass


class SourceError(EdgemlError):
    pass


class BusError(EdgemlError):
    pass
