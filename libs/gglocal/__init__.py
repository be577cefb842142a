"""gglocal: a local AWS IoT Greengrass V2 nucleus for a developer's machine."""

__version__ = "0.1.0"
