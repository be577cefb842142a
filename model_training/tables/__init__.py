"""Regression and classification of any table: rows of numbers with a target, independent or as series of units."""
