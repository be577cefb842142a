"""Parity: whether a bundle gives the same results on the runtimes of a device."""
