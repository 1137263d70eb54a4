"""Training: data sets, augmentation, optimizers, schedules, and the trainer.

``python -m archcost.train MODEL DATASET`` is the command line; in Python, ``Trainer`` with a ``Network`` and a
``Dataset``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archcost.train.callbacks import Callback, EarlyStopping
    from archcost.train.trainer import Trainer

_PLACES = {
    "Callback": "archcost.train.callbacks",
    "EarlyStopping": "archcost.train.callbacks",
    "Trainer": "archcost.train.trainer",
}
"""Public name -> module; imported when it is first used."""

__all__ = ["Callback", "EarlyStopping", "Trainer"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
