"""``archcost train MODEL DATASET``, also ``python -m archcost.train MODEL DATASET``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from archcost.cli.model import model_options, requested

Function = TypeVar("Function", bound=Callable[..., Any])


def _number(name: str, text: str, **more: Any) -> Callable[[Function], Function]:
    """Return an option that is a number."""
    return click.option(name, type=float, help=text, **more)


@click.command(short_help="Train a network on images, and report what it reached and what it cost.")
@click.argument("model")
@click.argument("dataset")
@model_options
@click.option("--epochs", type=int, default=10, show_default=True, help="How often every image is seen.")
@click.option("--batch-size", "-b", type=int, default=64, show_default=True, help="Images of a step.")
@click.option(
    "--optimizer",
    default="adam",
    show_default=True,
    help="sgd, momentum (the average of gradients), momentum-standard, nesterov, rmsprop, adam or adamw.",
)
@_number("--lr", "Learning rate (default: the optimizer's).")
@_number("--momentum", "Factor of momentum and nesterov (default: 0.9).")
@_number("--beta1", "Adam's factor of the mean (default: 0.9).")
@_number("--beta2", "Factor of the squares: adam, adamw (default: 0.999), rmsprop (0.9).")
@_number("--weight-decay", "Decay of the weights by the optimizer (default: 0; adamw 0.01).")
@_number("--l1", "L1 penalty: this times the sum of |w|.", default=0.0)
@_number("--l2", "L2 penalty: this times the sum of w^2.", default=0.0)
@_number("--clip-norm", "Largest norm of the gradient.")
@_number("--dropout", "Rate of the architecture's dropout.")
@_number("--label-smoothing", "Share of the goal that is spread over all classes.", default=0.0)
@click.option(
    "--schedule",
    default="cosine",
    show_default=True,
    help="constant, step:20=0.01,50=0.001 (from these epochs on), cosine, exponential[:FACTOR], plateau[:...].",
)
@_number("--lr-min", "The schedule does not go below this rate.", default=0.0)
@click.option("--warmup", help="Epochs of a linear rise in front of the schedule; 500steps counts steps.")
@click.option("--early-stopping", type=int, metavar="PATIENCE", help="Stop when the loss has not fallen so long.")
@click.option("--validation", is_flag=True, help="Keep a tenth of the training images apart (early stopping does).")
@click.option("--augment", default="", help="Such as mirror,crop,rotate=10,shear,warp,color=0.1.")
@click.option("--freeze", multiple=True, metavar="PATTERN", help="Layers or scopes that are not trained.")
@click.option("--weights", metavar="FILE", help="Begin with these weights (.npz, .safetensors), by name.")
@click.option("--partial", is_flag=True, help="Let weights be missing, unexpected or of another shape.")
@click.option("--transfer", help="What to train of a network with weights: feature-extract, fine-tune, first-layers.")
@click.option(
    "--checkpoint-activations", is_flag=True, help="Keep few activations and compute the others again: less memory."
)
@click.option("--loss", default="softmax", show_default=True, help="softmax, bce or mse.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order, augmentation and masks.")
@click.option("--threads", type=int, help="Threads that compute (default: ARCHCOST_THREADS or all processors).")
@click.option("--workers", type=int, default=1, show_default=True, help="Threads that prepare batches ahead.")
@click.option("--data", metavar="DIR", help="Folder of data sets, or the data set's own (default: ARCHCOST_DATA).")
@click.option("--image-size", type=int, help="Side to which the images of a folder are resized and cropped.")
@click.option("--channels", type=int, help="1 makes the images of a folder grey, 3 makes them RGB.")
@click.option("--require-real", is_flag=True, help="Do not replace MNIST by drawn digits where it cannot be had.")
@click.option("--out", metavar="DIR", help="Write history.csv, metrics.json, weights and a checkpoint here.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@click.option("--eval-only", is_flag=True, help="Do not train: evaluate --weights, or what lies in --out.")
@click.option("--average", type=int, default=1, show_default=True, help="Train so many networks and average them.")
@click.option("--crops", type=int, default=1, show_default=True, help="Average so many crops of test images.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON instead of the table.")
def command(
    model: str,
    dataset: str,
    input_size: str | None,
    num_classes: int | None,
    pairs: tuple[str, ...],
    dropout: float | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Train MODEL on DATASET with archcost's own engine, and report what it reached and what it cost.

    DATASET is mnist, fashion-mnist, cifar10, synthetic-digits, a folder with a folder of images for each class, or an
    .npz file. Classes, channels and size of the network follow the data.

    \b
    Examples:
      archcost train lenet mnist
      archcost train lenet synthetic-digits --epochs 3 --optimizer rmsprop --out run
      archcost train resnet18 cifar10 --augment mirror,crop --schedule cosine --warmup 1
      archcost train mobilenet_v2 photos --weights weights.safetensors --transfer feature-extract
    """
    import json

    from archcost.cli.output import emit, emit_table
    from archcost.train.run import Options, run

    architecture = requested(input_size, num_classes, pairs)
    if dropout is not None:
        architecture["dropout"] = dropout
    result = run(Options(model=model, dataset=dataset, architecture=architecture, **options))
    if as_json:
        emit(json.dumps(result.metrics, indent=2), None)
    else:
        emit_table(result.table, None)
    return 0
