"""Arrays that are handed out to be written into, and the knowledge whether that may have happened.

Weights are packed for inference once, not before every pass; so the network must know when a parameter may have
changed. What is handed out are views of a second array object on the same memory: while one of them (or a view of it)
lives, that object is referred to more than once, and anything may be written at any time; a view that has died may have
been written into before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import numpy as np

from archcost.errors import UsageError
from archcost.kernels.layout import Array


class Watched(Mapping[str, Array]):
    """Name -> array; what is read from it may be written into.

    Args:
        arrays: the arrays themselves.

    Attributes:
        given_back: whether the arrays are no longer there.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.given_back = False
        self._arrays = arrays
        self._exposed = {name: np.asarray(array.data) for name, array in arrays.items()}
        self._alone = max((sys.getrefcount(array) for array in self._exposed.values()), default=0)
        self._handed_out = True

    @property
    def arrays(self) -> Mapping[str, Array]:
        """The arrays themselves, for the engine.

        Raises:
            UsageError: if they have been given back.
        """
        if self.given_back:
            raise UsageError("the parameters were given back after the first pass, as `inference_only` asks for")
        return self._arrays

    def give_back(self) -> None:
        """Let go of the arrays: they are freed when nobody else uses them."""
        self.given_back = True
        self._arrays, self._exposed = {}, {}

    def __getitem__(self, name: str) -> Array:
        self._handed_out = True
        if name not in self.arrays:
            raise KeyError(name)
        return self._exposed[name][...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def may_have_changed(self) -> bool:
        """Return whether anything may have been written since the last call."""
        alive = any(sys.getrefcount(array) > self._alone for array in self._exposed.values())
        changed = alive or self._handed_out
        self._handed_out = False
        return changed

    def touch(self) -> None:
        """Note that the engine itself has written."""
        self._handed_out = True
