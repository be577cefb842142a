"""Injects seeded faults into the deployed pipeline and compares the outcome with a reference: `edgeml dev chaos`.

run                one run, in its own process       fault_schedule     faults and their times
machines           the simulated machines            traffic_recorder   messages on the nucleus
reference_results  expected results and alerts       invariants         checks of the invariants
scenarios          runs with planned faults          broken_component   a third error leaves a component BROKEN
workspace          roots and virtual environments    clocked_machine    a machine whose clock can be set
"""
