"""Dense layers on vectors, flattened maps and channels-last maps, and the radial basis layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.errors import GraphError
from archcost.kernels.target import Precision
from archcost.ops import Linear, RadialBasis
from tests.kernels.convolving import Layer, check
from tests.kernels.running import TARGETS_AND_PRECISIONS, Case, close, differences

TOLERANCE = {"float32": 3e-6, "float64": 1e-13}
CASES: dict[str, tuple[Linear, dict[str, Any]]] = {
    "vector": (Linear(33), {"shape": (70,)}),
    "one image": (Linear(90, bias=False), {"shape": (40,), "images": 1}),
    "many images": (Linear(5), {"shape": (20,), "images": 37}),
    "flattened": (Linear(19), {"shape": (18 * 12,), "map_shape": (18, 3, 4)}),
    "flattened, one image": (Linear(19), {"shape": (32 * 4,), "map_shape": (32, 2, 2), "images": 1}),
    "channels last": (Linear(19), {"shape": (3, 4, 18), "channels_last": True}),
}


@pytest.mark.parametrize(("target", "precision"), TARGETS_AND_PRECISIONS)
@pytest.mark.parametrize("name", CASES)
def test_dense_layers(name: str, target: str, precision: Precision) -> None:
    op, options = CASES[name]
    layer = Layer(op, target=target, precision=precision, **options)
    if options.get("channels_last"):
        # In NumPy it is a dense layer on every pixel: a kernel of one.
        layer_op = layer.op
        found = layer.run(adds=target == "neon")
        x, gradient = layer.x.astype(np.float64), layer.gradient.astype(np.float64)
        weight = layer.parameters["weight"]
        close(found.output, np.einsum("nchw,oc->nohw", x, weight) + layer.parameters["bias"][:, None, None], 3e-6)
        close(found.to_input, np.einsum("nohw,oc->nchw", gradient, weight), 3e-6)
        close(found.parameters["weight"], np.einsum("nohw,nchw->oc", gradient, x), 3e-6)
        close(found.parameters["bias"], gradient.sum((0, 2, 3)), 3e-6)
        assert layer_op is op
    else:
        check(layer, TOLERANCE[precision], adds=target == "neon")


@pytest.mark.parametrize("name", CASES)
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    op, options = CASES[name]
    results = [Layer(op, precision="float32", threads=threads, **options).run() for threads in (1, 2, 3)]
    for other in results[1:]:
        assert np.array_equal(results[0].output, other.output)
        assert np.array_equal(results[0].to_input, other.to_input)
        assert np.array_equal(results[0].parameters["weight"], other.parameters["weight"])


def test_a_radial_basis_on_rows_is_refused() -> None:
    prototypes = np.zeros((5, 6))
    with pytest.raises(GraphError, match="RadialBasis runs on vectors and channels-last maps only"):
        Case(RadialBasis(5), [np.zeros((1, 3, 4, 6))], buffers={"prototypes": prototypes}).forward()


@pytest.mark.parametrize("shape", [(3, 4, 6), (9, 8), (2, 3, 2, 5)])
def test_a_dense_layer_works_on_the_last_of_any_axes(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(1)
    weight, bias = generator.normal(size=(11, shape[-1])), generator.normal(size=11)
    x = generator.normal(size=(2, *shape))
    layer = Case(Linear(11), [x], parameters={"weight": weight, "bias": bias})
    close(layer.forward(), x @ weight.T + bias, 1e-14)
    gradient = generator.normal(size=(2, *shape[:-1], 11))
    for adds in (False, True):
        (to_input,), parameters = layer.backward(gradient, adds=adds)
        close(to_input, gradient @ weight, 1e-14)
        close(parameters["weight"], gradient.reshape(-1, 11).T @ x.reshape(-1, shape[-1]), 1e-14)
        close(parameters["bias"], gradient.reshape(-1, 11).sum(0), 1e-14)


@pytest.mark.parametrize("target", ["avx512", "portable"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_radial_basis(target: str, channels_last: bool) -> None:
    generator = np.random.default_rng(0)
    prototypes = np.sign(generator.normal(size=(10, 21)))
    x = generator.normal(size=(3, 2, 4, 21) if channels_last else (3, 21))

    def case(values: Any, threads: int = 2) -> Case:
        return Case(
            RadialBasis(10), [values], target=target, buffers={"prototypes": prototypes.astype(values.dtype)},
            channels_last=channels_last, threads=threads,
        )  # fmt: skip

    wanted = ((x[..., None, :] - prototypes) ** 2).sum(-1)
    close(case(x).forward(), wanted, 1e-14)
    close(case(x.astype(np.float32)).forward().astype(np.float64), wanted, 1e-5)
    gradient = generator.normal(size=wanted.shape)
    for adds in (False, True):
        (found,), _ = case(x).backward(gradient, adds=adds)
        close(found, differences(lambda: float((case(x).forward() * gradient).sum()), x), 1e-6)
    close(case(x, threads=1).forward(), case(x, threads=3).forward(), 0)
