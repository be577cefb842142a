"""gglocal: a Greengrass V2 nucleus for a developer's machine."""
