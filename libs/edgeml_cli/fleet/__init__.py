"""From a build to a fleet: `scripts/publish`, `scripts/deploy`, `scripts/promote`, `scripts/fleet`.

Which services are spoken to is chosen by AWS's own environment variables and configuration files alone.
"""
