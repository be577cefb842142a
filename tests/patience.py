"""How long a test waits for an event before it fails: never a reason to fail on a slow machine, never a wait on a quick one."""

PATIENCE_S = 120.0
"""Well under pytest's own time-out, and some ten times what the slowest event takes on two cores that do eight times too much."""
