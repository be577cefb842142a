"""Evaluation of a model bundle on recordings, with the code that the components run."""
