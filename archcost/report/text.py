"""What stands under a summary: totals, training, the batch, and the definitions."""

from __future__ import annotations

from textwrap import fill

from archcost.cost import DEFINITIONS
from archcost.report.formats import mebibytes, percent, si
from archcost.report.totals import RecomputationTotals, Totals, TrainingTotals


def footer(
    totals: Totals,
    training: TrainingTotals | None,
    batch_size: int,
    dtype: str,
    convention: str = "",
    counted: int | None = None,
) -> str:
    """Return the block under a layer table.

    Args:
        totals: what the rows add up to, per image.
        training: what a training step costs, or None.
        batch_size: images in a batch; the batch's figures are shown from 2.
        dtype: element type.
        convention: name of another counter whose total is shown too.
        counted: that total.
    """
    peak = f"{totals.peak_activation_elements:,} elements, {mebibytes(totals.peak_activation_bytes)}"
    lines = [
        ("params", f"{_exact(totals.params)}: {totals.params_trainable:,} trainable, {totals.params_frozen:,} frozen"),
        ("buffers", f"{totals.buffers:,}"),
        ("mult-adds", _exact(totals.mult_adds)),
        ("FLOPs", _exact(totals.flops)),
    ]
    if counted is not None:
        lines.append((f"as {convention}", _exact(counted)))
    lines += [
        ("activations", _exact(totals.activations)),
        ("weights", f"{mebibytes(totals.weight_bytes)} ({dtype})"),
        ("peak activations", f"{peak} at {totals.peak_activation_at}"),
    ]
    if batch_size > 1:
        work = f"{si(batch_size * totals.mult_adds)} mult-adds, {si(batch_size * totals.flops)} FLOPs"
        memory = f"peak activations {mebibytes(batch_size * totals.peak_activation_bytes)}"
        lines.append((f"batch of {batch_size}", f"{work}, {memory}"))
    blocks = [_aligned("totals per image", lines)]
    if training is not None:
        blocks.append(_training(training, batch_size))
    blocks.append(definitions())
    return "\n\n".join(blocks)


def _training(training: TrainingTotals, batch_size: int) -> str:
    step = [
        ("forward", f"{si(training.forward_flops)} FLOPs (batch statistics, masks)"),
        (
            "gradients to inputs",
            f"{_exact(training.input_gradient_mult_adds)} mult-adds, {si(training.input_gradient_flops)} FLOPs",
        ),
        (
            "gradients to weights",
            f"{_exact(training.weight_gradient_mult_adds)} mult-adds, {si(training.weight_gradient_flops)} FLOPs",
        ),
        (f"{training.optimizer} update", f"{si(training.optimizer_flops)} FLOPs, once a batch"),
    ]
    memory = [
        ("weights", mebibytes(training.weight_bytes)),
        ("gradients", mebibytes(training.gradient_bytes)),
        (f"{training.optimizer} state", mebibytes(training.optimizer_bytes)),
        ("saved activations", mebibytes(training.saved_activation_bytes)),
        ("together", mebibytes(training.total_bytes)),
    ]
    if training.recomputation is not None:
        again = training.recomputation
        share = percent(again.flops, training.forward_flops)
        work = f"{_exact(again.mult_adds)} mult-adds, {si(again.flops)} FLOPs ({share} of the forward pass)"
        step.insert(3, ("recomputation", work))
    images = "1 image" if batch_size == 1 else f"{batch_size} images"
    blocks = [_aligned("training step per image", step), _aligned(f"training memory, batch of {images}", memory)]
    if training.recomputation is not None:
        blocks.append(_recomputation(training.recomputation, training.saved_activation_bytes))
    return "\n\n".join(blocks)


def _recomputation(again: RecomputationTotals, saved: int) -> str:
    plain = again.plain_saved_activation_bytes
    lines = [
        ("saved activations", f"{mebibytes(saved)} instead of {mebibytes(plain)}"),
        ("peak with gradients", f"{mebibytes(again.peak_bytes)} instead of {mebibytes(again.plain_peak_bytes)}"),
    ]
    return _aligned(f"recomputation of activations, segments: {again.segments}", lines)


def definitions() -> str:
    """Return what each word means, as it stands under every table."""
    width = max(map(len, DEFINITIONS))
    return "\n".join(
        fill(f"{word:<{width}}  {text}", 110, subsequent_indent=" " * (width + 2)) for word, text in DEFINITIONS.items()
    )


def _exact(count: int) -> str:
    return f"{count:,} ({si(count)})" if count >= 1000 else f"{count}"


def _aligned(heading: str, lines: list[tuple[str, str]]) -> str:
    width = max(len(word) for word, _ in lines)
    return "\n".join([heading, *(f"  {word:<{width}}  {text}" for word, text in lines)])
