"""Plots, model cards and tables, generated from the results of a run."""
