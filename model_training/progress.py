"""Progress lines of a training that has too many epochs to tell each."""

from __future__ import annotations

from collections.abc import Callable


class Epochs:
    """Tells of every `every`-th epoch, and of the last."""

    def __init__(self, say: Callable[[str], None], epochs: int, every: int) -> None:
        self._say, self._epochs, self._every = say, epochs, every

    def ended(self, epoch: int, text: str) -> None:
        """Epoch number `epoch`, from 1, has ended; `text` says how it went."""
        if epoch % self._every == 0 or epoch == self._epochs:
            self._say(f"epoch {epoch}/{self._epochs}: {text}")
