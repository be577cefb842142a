"""Judges a model bundle on recordings, through the code that the components run."""
