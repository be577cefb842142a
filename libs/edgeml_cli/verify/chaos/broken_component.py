"""Checks that a component with a third error within the nucleus's window is BROKEN, and is reported as such."""

from __future__ import annotations

from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.verify.chaos.workspace import Workspace
from gglocal.api.nucleus import Nucleus
from gglocal.errors import NucleusError
from gglocal.process.component import BROKEN, MAX_ERRORS, RUNNING

VICTIM = "com.edgeml.Inference"
_DEADLINE_S = 60.0


def check_third_error(place: Workspace, name: str) -> str:
    """Kill one component three times; returns the faults, or an empty text.

    The component must be relaunched twice, then be BROKEN, while the others keep running.
    """
    with Nucleus(place.root(name), profile=place.profile) as nucleus:
        nucleus.deploy(place.built / "recipes", place.built / "artifacts", dict.fromkeys(COMPONENTS, place.version))
        for component in COMPONENTS:
            nucleus.wait_for_state(component, RUNNING, _DEADLINE_S)
        for error in range(1, MAX_ERRORS + 1):
            nucleus.fault("kill", component=VICTIM)
            try:
                nucleus.wait_until(lambda starts=error + 1: _over(nucleus, starts), _DEADLINE_S)  # type: ignore[misc]
            except (TimeoutError, NucleusError) as fault:
                return f"after error {error} of {VICTIM}: {fault}"
            state = nucleus.component(VICTIM).state
            if (state == BROKEN) != (error == MAX_ERRORS):
                return f"{VICTIM} is {state} after error {error}"
        others = {each.name: each.state for each in nucleus.components() if each.name != VICTIM}
    wrong = [f"{component} is {state}" for component, state in others.items() if state != RUNNING]
    return "; ".join(wrong)


def _over(nucleus: Nucleus, starts: int) -> bool:
    """Whether the component is BROKEN, or is running after this number of starts."""
    status = nucleus.component(VICTIM)
    return status.state == BROKEN or status.starts == starts and status.state == RUNNING
