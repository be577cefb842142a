"""Parse files into rows: captured files and messages by their first bytes, other CSV files by the plan. Pure."""

from __future__ import annotations

from model_training.prepare.captured_rows import CAPTURE, MESSAGE, parse_captured, parse_messages
from model_training.prepare.csv_rows import parse_csv
from model_training.prepare.plan import Csv
from model_training.prepare.rows import Rows, Statistics


def parse(name: str, content: bytes, layout: Csv, statistics: Statistics) -> list[Rows]:
    """Parse one file into rows by asset.

    Raises:
        PrepareError: the file is unusable. The text continues a sentence that begins with the file's name.
    """
    if content.startswith(CAPTURE):
        return [parse_captured(name, content, statistics)]
    if content.startswith(MESSAGE):
        return parse_messages(name, content, statistics)
    return parse_csv(name, content, layout, statistics)
