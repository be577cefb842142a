"""From a build to a fleet: `edgeml fleet publish`, `edgeml fleet deploy`, `edgeml fleet promote`, `edgeml fleet status`.

Which services are spoken to is chosen by AWS's own environment variables and configuration files alone.
"""
