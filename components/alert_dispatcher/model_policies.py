"""The alarm policy of each model: the options of `policy_by_model` over those of `policy`. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.config.schema import entries, read
from edgeml.errors import OptionsError


class ModelPolicies:
    """Policies by the name of a model.

    Args:
        base: the policy of a model that is not in `by_model`.
        by_model: name of a model to its options.

    Raises:
        OptionsError: with every fault in `by_model`, under its key in the configuration.
    """

    def __init__(self, base: PolicyOptions, by_model: dict[str, Any], where: str = "policy_by_model") -> None:
        self._base = base
        self._by_model: dict[str, PolicyOptions] = {}
        faults: list[str] = []
        for model, options in entries(by_model).items():
            try:
                self._by_model[model] = _policy(base, options, f"{where}.{model}")
            except OptionsError as wrong:
                faults += wrong.faults
        if faults:
            raise OptionsError(faults)

    def of(self, model: str) -> PolicyOptions:
        return self._by_model.get(model, self._base)


def _policy(base: PolicyOptions, options: Any, where: str) -> PolicyOptions:
    if not isinstance(options, dict):
        return read(PolicyOptions, options, where)  # refused, unless it is empty
    return read(PolicyOptions, msgspec.to_builtins(base) | entries(options), where)
