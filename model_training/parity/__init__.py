"""Whether a bundle says the same on the runtimes that a device may have."""
