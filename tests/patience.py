"""Timeout of tests that wait for an event: long enough for a slow machine, and irrelevant on a fast one."""

PATIENCE_S = 120.0
"""Well below pytest's own timeout, and about ten times the slowest event on two cores with eightfold load."""
