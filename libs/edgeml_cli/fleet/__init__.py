"""Publishes a build and deploys it: `edgeml fleet publish`, `deploy`, `rollback`, `promote`, `status`, and `edgeml device deploy`.

AWS's environment variables and configuration files alone determine the account and the endpoints.
"""
