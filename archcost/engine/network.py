"""A network that runs: parameters, the forward pass, the loss and its gradients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.engine.inference import Inference
from archcost.engine.initial import initial_tensors
from archcost.engine.lowering import Setting
from archcost.engine.memory import Memory
from archcost.engine.plan import logits_of
from archcost.engine.program import Program, grouped
from archcost.engine.storage import Block, trained_shapes
from archcost.engine.team import team, thread_count
from archcost.engine.training import Training
from archcost.engine.tuned import stored
from archcost.engine.watched import Watched
from archcost.errors import UsageError
from archcost.geometry import shape_text
from archcost.graph import Graph
from archcost.kernels.layout import Array
from archcost.kernels.missing import complete
from archcost.kernels.step import Step
from archcost.kernels.target import ELEMENT_BYTES, Precision, current
from archcost.patterns import frozen_nodes

Images = npt.ArrayLike | Sequence[npt.ArrayLike]


class Network:
    """A graph with parameters, ready to run on arrays.

    Args:
        graph: the network.
        seed: of the first parameter values and of the masks.
        precision: "float32" or "float64".
        threads: how many compute; None for ``ARCHCOST_THREADS`` or all processors. Results do not depend on it.
        freeze: patterns of layers or scopes whose parameters get no gradient (``summary --freeze``).
        check_finite: refuse inputs that hold NaN or infinity.
        initial: recipe of the first parameter values (``engine.recipes``); None for the architecture's own; "zeros"
            where all are written anyway.
        checkpoint_activations: training keeps few activations and computes the others again on the way back: less
            memory, more work, the same gradients bit by bit (``archcost.recomputation``).
        inference_only: give the plain parameters back when the first pass has packed them, as much memory as they are:
            they cannot be read or changed afterwards, nothing is trained, and batches of other sizes are computed in
            parts of the first one's.

    Attributes:
        parameters: name -> array in the graph's shape (``layer1.0.conv1.weight``); writing into it takes effect.
        buffers: name -> array, such as running statistics.
        trained: nodes whose parameters are trained.
        weights, gradients: the trained parameters in one block of memory, and the gradients of the last training step
            in another of the same layout. Who writes into ``weights`` must ``parameters.touch()``.
        setting: what the programs are made for.

    Raises:
        GraphError: if an operator or a shape of the graph cannot be run.
        UsageError: for an unknown precision, thread count, pattern or recipe, or a seed that is none.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        seed: int = 0,
        precision: Precision = "float32",
        threads: int | None = None,
        freeze: Iterable[str] = (),
        check_finite: bool = False,
        initial: str | None = None,
        checkpoint_activations: bool = False,
        inference_only: bool = False,
    ) -> None:
        if precision not in ELEMENT_BYTES:
            raise UsageError(f"`precision` (={precision!r}) must be {' or '.join(map(repr, ELEMENT_BYTES))}")
        self.graph = graph
        self.precision = precision
        self.check_finite = check_finite
        self.checkpoint_activations = checkpoint_activations
        self.inference_only = inference_only
        self.team = team(thread_count(threads))
        self._lock = threading.Lock()
        frozen = frozen_nodes(graph, freeze)
        if inference_only:
            frozen = frozenset(node.name for node in graph)
        self.trained = frozenset(node.name for node in graph if graph.params(node) and node.name not in frozen)
        shapes = trained_shapes(graph, self.trained)
        self.weights, self.gradients = Block(shapes, precision), Block(shapes, precision)
        parameters, buffers = initial_tensors(
            graph, seed, precision, initial, thread_count(threads), self.weights.arrays
        )
        self.parameters = Watched(parameters)
        self.buffers = Watched(buffers)
        random = np.zeros((len(graph), 3), np.int64)
        random[:, 0], random[:, 2] = seed, np.arange(len(graph))
        self._random = random
        self.setting = Setting(current(), precision, parameters, buffers, random, thread_count(threads))
        self._wanted = [(node.name, graph.shapes[node.name]) for node in graph.inputs]
        self._version = 0
        self._inference: dict[int, Inference] = {}
        self._training: dict[int, Training] = {}

    def __call__(self, images: Images) -> Array | tuple[Array, ...]:
        """Return the outputs for a batch: (N, C, H, W) -> (N, classes); several inputs and outputs are sequences.

        Raises:
            UsageError: for another shape, other things than numbers, or (with ``check_finite``) numbers not finite.
        """
        outputs = self._inferred(images, lambda inference: list(inference.outputs.values()), self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def logits(self, images: Images) -> Array:
        """Return the first output as it is before a final softmax: (N, C, H, W) -> (N, classes).

        Raises:
            UsageError: as a call does.
        """
        return self._inferred(images, lambda inference: [inference.logits], [logits_of(self.graph)])[0]

    def _inferred(
        self, images: Images, results: Callable[[Inference], list[Array]], names: Sequence[str]
    ) -> list[Array]:
        """Return copies of what inference computes of a batch; ``names`` are the nodes that give the results."""
        batch = self._batch(images)
        count = len(batch[0])
        if count == 0:
            return [np.zeros((0, *self.graph.shapes[name]), self.precision) for name in names]
        with self._lock:
            inference = self._ready(count)
            if inference.images == count:
                inference.run(batch, self.team)
                return [array.copy() for array in results(inference)]
            return self._in_parts(inference, batch, results)

    def _in_parts(
        self, inference: Inference, batch: list[Array], results: Callable[[Inference], list[Array]]
    ) -> list[Array]:
        """Return the results of a batch that is computed some images at a time; what is left of the last part is 0."""
        count, size = len(batch[0]), inference.images
        parts: list[list[Array]] = []
        for first in range(0, count, size):
            taken = min(size, count - first)
            for plain, values in zip(inference.inputs.values(), batch):
                plain[:taken], plain[taken:] = values[first : first + taken], 0
            inference.program.run(self.team)
            parts.append([array[:taken].copy() for array in results(inference)])
        return [np.concatenate(arrays) for arrays in zip(*parts)]

    def _ready(self, count: int) -> Inference:
        """Return the programs of inference for ``count`` images, with weights packed as they are now.

        Where the parameters have been given back, they are those of the first call.
        """
        if self.parameters.given_back:
            for inference in self._inference.values():
                return inference
            raise UsageError(f"{self.graph.name}: the parameters were given back, and its first pass was interrupted")
        if count not in self._inference:
            choices = stored(self.graph, count, self.setting)
            # No variable holds the parameters, which may be given back.
            self._inference[count] = complete(
                partial(Inference, self.graph, count, replace(self.setting, tuned=choices)), self.team.threads
            )
        # Both are asked: each answers for the time since it was asked last.
        if self.parameters.may_have_changed() | self.buffers.may_have_changed():
            self._version += 1
        inference = self._inference[count]
        if self.inference_only:
            self.parameters.give_back()
            self.setting = replace(self.setting, parameters={})
            # Until all is packed there is nothing to compute with, should this be interrupted.
            del self._inference[count]
            inference.settle(self.team)
            self._inference = {count: inference}
            return inference
        if inference.version != self._version:
            inference.prepare.run(self.team)
            inference.version = self._version
        return inference

    def forget(self, count: int) -> None:
        """Let the next inference of ``count`` images be planned anew, since what is known of its speed has changed."""
        with self._lock:
            self._inference.pop(count, None)

    def inference_steps(self, images: int) -> tuple[Program, list[tuple[str, list[Step]]]]:
        """Return the program of inference for a batch of ``images``, and its steps by the node that they work for."""
        inference = self._ready(images)
        return inference.program, grouped(inference.steps())

    def inference_memory(self, images: int) -> Memory:
        """Return the memory that inference of a batch of ``images`` uses for activations."""
        return self._ready(images).memory

    def loss_and_gradients(self, images: Images, labels: npt.ArrayLike) -> tuple[float, dict[str, Array]]:
        """Return the mean softmax cross-entropy of a batch and its gradient by every trained parameter.

        Batch statistics are used, and running statistics updated with the momentum of each BatchNorm. A final Softmax
        is part of the loss; auxiliary outputs are not.

        Args:
            images: (N, C, H, W).
            labels: class of each image, (N,).

        Returns:
            The loss, and name -> gradient in the parameter's shape; zero where the loss does not depend on it.
        """
        if self.inference_only:
            raise UsageError(f"{self.graph.name} was made with `inference_only`: it has no gradients")
        batch = self._batch(images)
        count = len(batch[0])
        targets = self._labels(labels, count)
        with self._lock:
            training = self._step(count)
            for plain, values in zip(training.lowered.inputs.values(), batch):
                plain[...] = values
            training.labels[:] = targets
            self._random[:, 1] += 1
            training.program.run(self.team)
            self.buffers.touch()
            gradients = {name: array.copy() for name, array in self.gradients.arrays.items()}
            return float(training.loss.value[0]), gradients

    def training_memory(self, images: int) -> Memory:
        """Return the memory that a step on ``images`` uses for activations and their gradients."""
        return self._step(images).lowered.memory

    def _step(self, images: int) -> Training:
        """Return the program of a training step, made at the first call."""
        if images not in self._training:
            build = partial(
                Training, self.graph, images, self.setting, self.trained, self.gradients.arrays,
                checkpoint_activations=self.checkpoint_activations,
            )  # fmt: skip
            self._training[images] = complete(build, self.team.threads)
        return self._training[images]

    def _batch(self, images: Images) -> list[Array]:
        """Return the inputs as arrays of the right shapes, one for each input of the graph."""
        wanted = self._wanted
        given: Sequence[Any] = (images,) if len(wanted) == 1 else tuple(images)  # type: ignore[arg-type]
        if len(given) != len(wanted):
            raise UsageError(f"{self.graph.name} has {len(wanted)} inputs, not {len(given)}")
        arrays: list[Array] = []
        for (name, shape), value in zip(wanted, given):
            array = np.asarray(value)
            found = array.shape
            if found[1:] != shape or len(found) != len(shape) + 1:
                raise UsageError(
                    f"input {name!r} must be (images, {', '.join(map(str, shape))}), not {found}"
                    + _layout_hint(found, shape)
                )
            if array.dtype.kind != "f":
                raise UsageError(f"input {name!r} must hold floating-point numbers, not {array.dtype}")
            if self.check_finite and not np.isfinite(array).all():
                raise UsageError(f"input {name!r} holds numbers that are not finite")
            arrays.append(array)
        if len(arrays) > 1 and any(len(array) != len(arrays[0]) for array in arrays):
            raise UsageError(f"the inputs hold {', '.join(str(len(array)) for array in arrays)} images")
        return arrays

    def _labels(self, labels: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
        classes = self.graph.shapes[logits_of(self.graph)]
        array = np.asarray(labels)
        if len(classes) != 1:
            raise UsageError(f"the loss needs an output of (classes,), not {shape_text(classes)}")
        if array.shape != (count,) or array.dtype.kind not in "iu":
            raise UsageError(f"labels must be {count} integers, not {array.dtype} of shape {array.shape}")
        if count == 0:
            raise UsageError("the loss of an empty batch is not defined")
        if array.min() < 0 or array.max() >= classes[0]:
            raise UsageError(f"labels must lie between 0 and {classes[0] - 1}")
        return array.astype(np.int64)


def _layout_hint(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return a hint where the channels seem to stand last."""
    swapped = len(given) == 4 and len(wanted) == 3 and (given[3], given[1], given[2]) == wanted
    return " (channels come before rows and columns)" if swapped else ""
