"""The demo's report: one self-contained HTML file that needs no network."""

from edgeml_cli.demo.html_report.page import Run, render

__all__ = ["Run", "render"]
