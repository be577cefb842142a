"""The rolling capture: what was measured, kept on the device for those who train."""
