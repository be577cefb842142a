"""Disconnects the link to IoT Core, or makes it lose messages."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.faults.base import End, Target, TimedOptions


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    pass


async def cut(target: Target, options: Options) -> End | None:
    link = target.engine.link
    link.cuts += 1

    def end() -> None:
        link.cuts -= 1

    return end


async def lose(target: Target, options: Options) -> End | None:
    link = target.engine.link
    link.losses += 1

    def end() -> None:
        link.losses -= 1

    return end
