"""Measured tuning of inference: which way each 3x3 convolution is computed, and how its work is cut.

The model of cycles (``kernels.winograd_plan``) names the candidates: the direct way, and Winograd's filtering with its
best cuts for either tile. Each runs on the real kernels, with weights that have left the caches, as they have when a
whole network runs. One replaces the default only where it is clearly faster, and all together are kept only if the
network as a whole is: otherwise the defaults stay.

The method decides the last bits of a result, which must not depend on the number of threads. So methods are measured
for ``PLANNED_THREADS`` threads, as the model chooses them; for other numbers the cuts of these methods are.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from archcost.busy import BUSY, REPEATS, Watch
from archcost.engine.inference import Inference
from archcost.engine.lowering import Lowered, Setting
from archcost.engine.network import Network
from archcost.engine.plan import Work
from archcost.engine.program import Program
from archcost.engine.team import Team
from archcost.engine.trial import Way, swept, trials
from archcost.engine.tuned import allowed, store, stored
from archcost.errors import UsageError
from archcost.kernels import layers, winograd_plan
from archcost.kernels.layers import NO_CHOICES, Choice, Choices, Place, convolution_layer
from archcost.kernels.target import ELEMENT_BYTES
from archcost.kernels.winograd_plan import PLANNED_THREADS
from archcost.ops import Conv2d

CUTS = 3
"""Cuts of each tile that are measured, the best by the model."""

ROUNDS = 11
"""Rounds, each of which measures every candidate."""

MARGIN = 0.03
"""A candidate must take so much less time than the default."""

WHOLE_ROUNDS = 15
"""Rounds of the whole network."""

WHOLE_MARGIN = 0.01
"""The network must take so much less time than with the defaults, and less in most rounds."""

MOST = 2 / 3
"""Share of the rounds in which that must be so."""

CALLS = 3
"""Passes of a network that are measured in a round, after one that is not."""

PAUSE = 0.5
"""Seconds before a measurement is repeated."""

Stopwatch = Callable[[Program, Team], float]
"""Runs a program and returns the seconds that it took."""

Result = TypeVar("Result")


class Tuned(NamedTuple):
    """What was found for a convolution.

    Attributes:
        nodes: those of the network that are this convolution.
        place: the convolution.
        default, chosen: how it is computed by default, and fastest by a clear margin.
        default_seconds, chosen_seconds: medians of their times.
    """

    nodes: tuple[str, ...]
    place: Place
    default: Way
    chosen: Way
    default_seconds: float
    chosen_seconds: float


class Whole(NamedTuple):
    """Times of the whole network: medians in seconds, and the median of the paired ratios, tuned over default."""

    default_seconds: float
    tuned_seconds: float
    ratio: float
    is_faster: bool


@dataclass(frozen=True)
class Tuning:
    """What tuning a network has found.

    Attributes:
        threads: that it was measured with.
        layers: every convolution that can be computed in more than one way.
        whole: the network as a whole; None where no convolution has something better than its default.
    """

    threads: int
    layers: tuple[Tuned, ...]
    whole: Whole | None

    @property
    def is_stored(self) -> bool:
        """Whether later runs compute convolutions as they were chosen."""
        return self.whole is not None and self.whole.is_faster


def seconds(program: Program, team: Team) -> float:
    """Return how long a program takes."""
    start = time.perf_counter()
    program.run(team)
    return time.perf_counter() - start


def tune(network: Network, images: int, *, stopwatch: Stopwatch = seconds, watch: Watch | None = None) -> Tuning:
    """Measure how inference of a network is fastest, and keep that for later runs on this machine.

    Args:
        network: its threads and shapes count, not the values of its parameters.
        images: size of the batch.
        stopwatch: measures a program.
        watch: tells what other programs did meanwhile; by default the machine's own.

    Raises:
        UsageError: if other programs keep the machine busy, however often a measurement is repeated; for float64; for
            a network that is for inference alone; if Winograd's filtering or the use of what is stored are switched
            off. Nothing is stored then.
    """
    if network.inference_only:
        raise UsageError(
            f"{network.graph.name} was made with `inference_only`: tuning packs its parameters in many ways"
        )
    if network.precision != "float32":
        raise UsageError("there is nothing to tune in float64: every convolution is computed the direct way")
    if not winograd_plan.allowed():
        raise UsageError("there is nothing to tune with ARCHCOST_WINOGRAD=off: it leaves the direct way alone")
    if not allowed():
        raise UsageError("tuning is of no use with ARCHCOST_TUNING=off: later runs would not look at it")
    seen, sweep = watch or Watch(), swept(network.setting)
    graph, setting, threads = network.graph, network.setting, network.team.threads
    # Methods are those of PLANNED_THREADS; what is known for other numbers of threads stays.
    known = NO_CHOICES if threads == PLANNED_THREADS else stored(graph, images, setting)
    base = {place: _without(choice, threads) for place, choice in known.items()}
    start = replace(setting, tuned=base)
    inference = Inference(graph, images, start)
    found = []
    for place, works in _places(inference.lowered, images).items():
        ways = _ways(place, start)
        if len(ways) > 1:
            programs = trials(network, place, works[0], ways, sweep)
            times = _quiet(partial(_measured, programs, network.team, stopwatch), seen)
            found.append(_best(place, works, ways, times))
    choices = {**base, **{one.place: _choice(one, base, threads) for one in found if one.chosen != one.default}}
    whole = None
    if any(one.chosen != one.default for one in found):
        inferences = inference, Inference(graph, images, replace(setting, tuned=choices))
        whole = _quiet(partial(_compared, inferences, network.team, stopwatch), seen)
    store(choices if whole is not None and whole.is_faster else base, graph, images, setting)
    network.forget(images)
    return Tuning(threads, tuple(found), whole)


def _without(choice: Choice, threads: int) -> Choice:
    """Return a choice without what it says for a number of threads."""
    return choice._replace(cuts=tuple(cut for cut in choice.cuts if cut[0] != threads))


def _choice(one: Tuned, base: Choices, threads: int) -> Choice:
    """Return what is kept of a convolution."""
    if one.chosen is None:
        return Choice(0)
    cuts = base[one.place].cuts if one.place in base else ()
    return Choice(one.chosen.outputs, (*cuts, (threads, (one.chosen.tiles_of_unit, one.chosen.panel_groups))))


def _places(lowered: Lowered, images: int) -> dict[Place, list[Work]]:
    """Return the convolutions that Winograd's filtering can compute, each with the work that uses it."""
    graph, plan, setting = lowered.graph, lowered.plan, lowered.setting
    result: dict[Place, list[Work]] = {}
    for work in plan.forward:
        if isinstance(work.node.op, Conv2d):
            output = graph.shapes[work.node.name]
            layer = convolution_layer(work.node.op, graph.input_shapes(work.node)[0], output)
            if winograd_plan.possible(layer.filters, layer.window, setting.machine.lanes(setting.precision)):
                count = 1 if work.node.name in plan.stage.nodes else images
                result.setdefault(Place(layer, (output[1], output[2]), count), []).append(work)
    return result


def _ways(place: Place, setting: Setting) -> list[Way]:
    """Return the ways to measure, the default first."""
    layer, size, images = place
    machine, element, threads = setting.machine, ELEMENT_BYTES[setting.precision], setting.threads
    kernels = layers.Setting(machine, setting.precision)
    planned = layers.fast(images, kernels, threads, tuned=setting.tuned)(layer, size)
    default = planned if isinstance(planned, winograd_plan.Cut) else None
    methods = (0, 2, 4) if threads == PLANNED_THREADS else (default.outputs if default else 0,)
    ways: list[Way] = [default]
    for outputs in methods:
        cuts: Sequence[Way] = [None]
        if outputs:
            cuts = winograd_plan.best_cuts(layer.filters, size, images, outputs, machine, element, threads, CUTS)
        ways += [way for way in cuts if way not in ways]
    return ways


def _measured(programs: Sequence[tuple[Program, Program]], team: Team, stopwatch: Stopwatch) -> list[list[float]]:
    """Return the seconds of each way, one for each round; a first round is not counted."""
    times: list[list[float]] = [[] for _ in programs]
    for order in _orders(len(programs), 1 + ROUNDS):
        for number in order:
            before, program = programs[number]
            before.run(team)
            times[number].append(stopwatch(program, team))
    return [own[1:] for own in times]


def _best(place: Place, works: Sequence[Work], ways: Sequence[Way], times: Sequence[Sequence[float]]) -> Tuned:
    """Return which of the ways is chosen by their times."""
    best = chosen(times)
    medians = [statistics.median(own) for own in times]
    return Tuned(tuple(work.node.name for work in works), place, ways[0], ways[best], medians[0], medians[best])


def chosen(times: Sequence[Sequence[float]]) -> int:
    """Return the number of the fastest candidate that is clearly faster than the first, or 0 if none is.

    Args:
        times: for each candidate its seconds, paired by rounds.
    """
    clear = [0, *(number for number in range(1, len(times)) if _is_faster(times[0], times[number], MARGIN, MARGIN))]
    return min(clear, key=lambda number: statistics.median(times[number]))


def _is_faster(default: Sequence[float], other: Sequence[float], margin: float, in_round: float) -> bool:
    """Return whether ``other`` takes less time: by a margin in the median, by another in most rounds."""
    ratios = [one / base for base, one in zip(default, other)]
    wins = sum(ratio < 1 and ratio <= 1 - in_round for ratio in ratios)
    return wins >= MOST * len(ratios) and statistics.median(ratios) <= 1 - margin


def _orders(count: int, rounds: int) -> Iterator[list[int]]:
    """Yield for each round in which order ``count`` candidates run: each begins, every second goes backwards."""
    for turn in range(rounds):
        order = [(turn // 2 + number) % count for number in range(count)]
        yield order[::-1] if turn % 2 else order


def _quiet(measure: Callable[[], Result], watch: Watch) -> Result:
    """Return a measurement during which other programs left the machine alone.

    Raises:
        UsageError: if they did not, however often it was repeated.
    """
    shares = []
    for turn in range(1 + REPEATS):
        if turn:
            time.sleep(PAUSE)
        watch.start()
        result = measure()
        share = watch.others()
        if share is None or share <= BUSY:
            return result
        shares.append(share)
    raise UsageError(
        f"other programs took {min(shares):.1%} or more of the processors in {len(shares)} measurements, where at most "
        f"{BUSY:.0%} is allowed: nothing is stored; tune when the machine is quiet"
    )


def _compared(inferences: tuple[Inference, Inference], team: Team, stopwatch: Stopwatch) -> Whole:
    """Measure the whole network with its defaults and as it was tuned, in turns."""
    generator = np.random.default_rng(0)
    for inference in inferences:
        for plain in inference.inputs.values():
            plain[...] = generator.standard_normal(plain.shape)
        inference.prepare.run(team)
    times: tuple[list[float], list[float]] = [], []
    for order in _orders(2, WHOLE_ROUNDS):
        for number in order:
            program = inferences[number].program
            program.run(team)
            times[number].append(statistics.median(stopwatch(program, team) for _ in range(CALLS)))
    default, tuned = times
    ratio = statistics.median(own / base for base, own in zip(default, tuned))
    medians = statistics.median(default), statistics.median(tuned)
    return Whole(*medians, ratio, _is_faster(default, tuned, WHOLE_MARGIN, in_round=0.0))
