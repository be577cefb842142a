"""The whole deployed suite for an hour at ten times the default rate, and what it costs more and more of: `edgeml dev soak`.

growth     least squares with an honest interval; what counts as flat
processes  what one process uses, as /proc tells
run        deploys, samples, judges
"""
