"""Loss and accuracy over the epochs as a picture, where matplotlib is installed (``archcost[plots]``)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from archcost.files import write_whole
from archcost.train.history import Epoch


def write_curve(path: Path, history: Sequence[Epoch], title: str) -> bool:
    """Write the picture; return whether it could be drawn.

    Raises:
        UsageError: if the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    figure = Figure(figsize=(9, 4), layout="constrained")
    figure.suptitle(title)
    epochs = [row.epoch for row in history]
    for place, what in enumerate(("loss", "accuracy"), 1):
        axes = figure.add_subplot(1, 2, place)
        for part, label in (("", "training"), ("validation_", "validation"), ("test_", "test")):
            values = [getattr(row, part + what) for row in history]
            if None not in values:
                axes.plot(epochs, values, marker=".", label=label)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(what)
        axes.legend()
        axes.grid(visible=True, alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_whole(path, content.getvalue())
    return True
