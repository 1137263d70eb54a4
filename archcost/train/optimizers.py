"""Optimizers: hyper-parameters with their formulas, and the updater that applies one to the arrays of a network.

In the formulas w is a parameter, g its gradient by the loss, lr the learning rate, t the number of the update from 1.
States start at zero. ``weight_decay`` is coupled (it adds ``weight_decay * w`` to g, as PyTorch's optimizers do) except
in AdamW, where it is decoupled. L1 and L2 penalties are no part of an optimizer: see ``Penalties``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

from archcost.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from archcost.kernels.optimizer import Numbers


def checked(
    place: str, name: str, value: object, least: float, below: float = math.inf, *, above: bool = False
) -> float:
    """Return a number of the user's, at least ``least`` (or above it) and below ``below``.

    Raises:
        UsageError: if it is none.
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if math.isfinite(number) and number < below and (number > least if above else number >= least):
        return number
    bound = f"above {least:g}" if above else f"at least {least:g}"
    bound += f" and below {below:g}" if below < math.inf else ""
    raise UsageError(f"{place}: `{name}` (={value!r}) must be a finite number {bound}")


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers have.

    Attributes:
        learning_rate: lr, above 0; a schedule may give another one to every update.
        weight_decay: at least 0.
        name: on the command line.
        rule: the kernel's name.
        states: name of each array that is kept for all parameters (``cost.OPTIMIZERS`` counts the same).
    """

    learning_rate: float = 0.01
    weight_decay: float = field(default=0.0, kw_only=True)

    name: ClassVar[str] = ""
    rule: ClassVar[str] = ""
    states: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in ("learning_rate", "epsilon"):
                checked(self.name, each.name, value, 0, above=True)
            elif each.name == "weight_decay":
                checked(self.name, each.name, value, 0)
            else:
                checked(self.name, each.name, value, 0, 1)

    def numbers(self, learning_rate: float, iteration: int) -> Numbers:
        """Return what the kernel reads.

        Args:
            learning_rate: lr of this update.
            iteration: t, from 1.
        """
        from archcost.kernels.optimizer import Numbers  # help texts and checks of options need no Numba

        return Numbers(rate=learning_rate, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: w = w - lr g."""

    name: ClassVar[str] = "sgd"
    rule: ClassVar[str] = "sgd"


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum in the lecture's form, an average of gradients: V = m V + (1 - m) g, w = w - lr V.

    V is 1 - m times the velocity of ``StandardMomentum``: with lr / (1 - m) for lr, both walk the same path. The
    default of 0.1 is the 0.01 of the standard form.

    Attributes:
        momentum: m, the lecture's beta; V averages about 1 / (1 - m) gradients.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9

    name: ClassVar[str] = "momentum"
    rule: ClassVar[str] = "momentum"
    states: ClassVar[tuple[str, ...]] = ("velocity",)

    def numbers(self, learning_rate: float, iteration: int) -> Numbers:
        return super().numbers(learning_rate, iteration)._replace(beta1=self.momentum, share1=1 - self.momentum)


@dataclass(frozen=True)
class StandardMomentum(Optimizer):
    """Momentum in the form of Sutskever et al. 2013, of PyTorch and Keras: v = m v + g, w = w - lr v.

    Attributes:
        momentum: m.
    """

    momentum: float = 0.9

    name: ClassVar[str] = "momentum-standard"
    rule: ClassVar[str] = "momentum"
    states: ClassVar[tuple[str, ...]] = ("velocity",)

    def numbers(self, learning_rate: float, iteration: int) -> Numbers:
        return super().numbers(learning_rate, iteration)._replace(beta1=self.momentum)


@dataclass(frozen=True)
class Nesterov(StandardMomentum):
    """Nesterov's momentum as Sutskever et al. 2013 and PyTorch write it: v = m v + g, w = w - lr (g + m v)."""

    name: ClassVar[str] = "nesterov"
    rule: ClassVar[str] = "nesterov"


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012, lecture 6e): S = b S + (1 - b) g^2, w = w - lr g / (sqrt(S) + epsilon).

    Attributes:
        beta2: b, the lecture's beta; called as Adam's factor of the same average is.
        epsilon: keeps the quotient finite where S is 0; the lecture's formula has none.
    """

    learning_rate: float = 0.001
    beta2: float = 0.9
    epsilon: float = 1e-8

    name: ClassVar[str] = "rmsprop"
    rule: ClassVar[str] = "rmsprop"
    states: ClassVar[tuple[str, ...]] = ("squares",)

    def numbers(self, learning_rate: float, iteration: int) -> Numbers:
        numbers = super().numbers(learning_rate, iteration)
        return numbers._replace(beta2=self.beta2, share2=1 - self.beta2, epsilon=self.epsilon)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1).

    M = b1 M + (1 - b1) g, S = b2 S + (1 - b2) g^2,
    w = w - lr M / (1 - b1^t) / (sqrt(S / (1 - b2^t)) + epsilon).

    The kernel computes the same with both corrections in lr and epsilon (the paper's section 2).

    Attributes:
        beta1: b1.
        beta2: b2.
        epsilon: added to the root after the correction.
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    name: ClassVar[str] = "adam"
    rule: ClassVar[str] = "adam"
    states: ClassVar[tuple[str, ...]] = ("mean", "squares")

    def numbers(self, learning_rate: float, iteration: int) -> Numbers:
        root = math.sqrt(1 - self.beta2**iteration)
        return (
            super()
            .numbers(learning_rate * root / (1 - self.beta1**iteration), iteration)
            ._replace(beta1=self.beta1, share1=1 - self.beta1)
            ._replace(beta2=self.beta2, share2=1 - self.beta2, epsilon=self.epsilon * root)
        )


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled decay (Loshchilov & Hutter 2019, algorithm 2): w also loses lr * weight_decay * w.

    The learning rate multiplies the decay, as in PyTorch and Keras; in the paper the schedule's factor does.
    """

    weight_decay: float = field(default=0.01, kw_only=True)

    name: ClassVar[str] = "adamw"

    def numbers(self, learning_rate: float, iteration: int) -> Numbers:
        numbers = super().numbers(learning_rate, iteration)
        return numbers._replace(weight_decay=0.0, shrink=learning_rate * self.weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.name: kind for kind in (SGD, Momentum, StandardMomentum, Nesterov, RMSprop, Adam, AdamW)
}
"""Name on the command line -> optimizer. ``momentum`` is the lecture's form, ``momentum-standard`` everyone else's."""


def optimizer(name: str, options: Mapping[str, Any] | None = None) -> Optimizer:
    """Return an optimizer by its name.

    Args:
        name: a name in ``OPTIMIZERS``.
        options: hyper-parameters; those that are None keep their default.

    Raises:
        UsageError: for an unknown name, a hyper-parameter that the optimizer does not have, or a wrong value.
    """
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise UsageError(f"unknown optimizer {name!r}{did_you_mean(name, OPTIMIZERS)}; known are {known}")
    kind = OPTIMIZERS[name]
    given = {key: value for key, value in (options or {}).items() if value is not None}
    allowed = [each.name for each in fields(kind)]
    for key in given:
        if key not in allowed:
            raise UsageError(f"{name} has no `{key}`{did_you_mean(key, allowed)}; it has {', '.join(allowed)}")
    return kind(**given)


@dataclass(frozen=True)
class Penalties:
    """Penalties of the loss: l1 * sum |w| + l2 * sum w^2, with the gradient l1 sign(w) + 2 l2 w.

    These are the factors of Keras' regularizers; an L2 of weight_decay / 2 is the coupled decay. Each segment of the
    parameters counts with its own factor, by which biases and normalisation are left out.

    Attributes:
        l1: at least 0.
        l2: at least 0.
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        checked("penalties", "l1", self.l1, 0)
        checked("penalties", "l2", self.l2, 0)

    def __bool__(self) -> bool:
        return bool(self.l1 or self.l2)
