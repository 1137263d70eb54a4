"""Factories of the micro-kernels, for ``compiled.address``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from archcost.kernels.elementary import epilogue_of
from archcost.kernels.microkernel import Epilogue, Tile, write_tile
from archcost.kernels.strassen_tile import write_strassen
from archcost.kernels.target import TARGETS, Precision
from archcost.kernels.vector import Code, Value


def tile_kernel(target: str, precision: Precision, activation: str, *tile: int) -> Any:
    """Return the micro-kernel of ``Tile._make(tile)`` as an intrinsic."""
    return _kernel(write_tile, target, precision, activation, tile)


def strassen_kernel(target: str, precision: Precision, activation: str, *tile: int) -> Any:
    """Return the micro-kernel of Strassen's product, whose four tiles are ``Tile._make(tile)``, as an intrinsic."""
    return _kernel(write_strassen, target, precision, activation, tile)


def _kernel(
    write_code: Callable[[Code, Value, Tile, Epilogue], None],
    target: str,
    precision: Precision,
    activation: str,
    tile: tuple[int, ...],
) -> Any:
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            write_code(Code(builder, lanes, precision), arguments[0], Tile._make(tile), epilogue_of(activation))
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation
