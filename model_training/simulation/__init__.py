"""Simulated histories of machines: a table of simulations, and recordings of normal running and of a fault."""

from __future__ import annotations

from model_training.simulation import air_handling_unit
from model_training.simulation.records import Simulation

SIMULATIONS: dict[str, Simulation] = {
    "air_handling_unit": air_handling_unit.SIMULATION,
}
"""Name -> simulation, for `edgeml data simulate NAME`."""
