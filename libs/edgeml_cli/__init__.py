"""edgeml_cli: the developer and operator tool; it never runs on a device."""
