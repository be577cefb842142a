"""The code behind the scripts: `python -m suite.NAME`, with `scripts` and `libs` on the path."""
