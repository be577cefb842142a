"""The link to IoT Core is cut, or takes messages and loses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gglocal.faults.base import End, Lasting

if TYPE_CHECKING:
    from gglocal.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    pass


async def cut(engine: Engine, options: Options) -> End | None:
    link = engine.link
    link.cuts += 1

    def end() -> None:
        link.cuts -= 1

    return end


async def lose(engine: Engine, options: Options) -> End | None:
    link = engine.link
    link.losses += 1

    def end() -> None:
        link.losses -= 1

    return end
