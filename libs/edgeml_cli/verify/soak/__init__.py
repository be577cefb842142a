"""Runs the deployed suite for an hour at ten times the default rate and measures its resource usage: `edgeml dev soak`.

growth     least-squares growth with a confidence interval, and the check for rising counts
processes  resource usage of a process, from /proc
run        deploys the suite, takes samples and evaluates them
"""
