"""Compares the method of `edgeml model train machine` with others, all at the same false-alarm budget: see `--help`."""
