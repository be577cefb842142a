"""The demo's report: one HTML file with its plots inside, that needs no network."""

from suite.report.page import Run, render

__all__ = ["Run", "render"]
