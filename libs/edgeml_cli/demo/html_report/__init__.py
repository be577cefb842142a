"""The demo's report: one HTML file with its plots inside, that needs no network."""

from edgeml_cli.demo.html_report.page import Run, render

__all__ = ["Run", "render"]
