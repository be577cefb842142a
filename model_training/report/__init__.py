"""Plots, model cards and tables that are made of what a run found, never typed."""
