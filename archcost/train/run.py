"""A whole training run, as the command line asks for it: data, network, epochs, files, and what it all came to."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from archcost.engine.network import Network
from archcost.engine.training import LossName
from archcost.errors import UsageError
from archcost.files import write_whole
from archcost.graph import Graph
from archcost.interop.weights import load_into, read_weights, state_of, write_weights
from archcost.report.formats import Table
from archcost.train import checkpoint
from archcost.train.callbacks import Callback, EarlyStopping
from archcost.train.curve import write_curve
from archcost.train.dataset import Dataset
from archcost.train.datasets import open_dataset
from archcost.train.evaluation import evaluated
from archcost.train.history import Epoch, as_csv
from archcost.train.optimizers import Penalties, optimizer
from archcost.train.outcome import Member, metrics, outcome_table
from archcost.train.progress import Progress
from archcost.train.schedule_text import schedule
from archcost.train.setup import fitted_graph, stored_weights
from archcost.train.trainer import Trainer
from archcost.train.transfer import FINE_TUNE_FACTOR, PRESETS, load_pretrained, parameter_counts, transfer

LARGEST_ENSEMBLE = 100
WEIGHTS = "weights.npz"
SHOWN = 5
"""Names of tensors that a line shows of each kind."""


@dataclass(frozen=True)
class Options:
    """What is asked of a run: the options of ``archcost train``, where they are explained."""

    model: str
    dataset: str
    architecture: dict[str, object] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float | None = None
    momentum: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    weight_decay: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    schedule: str = "cosine"
    lr_min: float = 0.0
    warmup: str | None = None
    early_stopping: int | None = None
    validation: bool = False
    augment: str = ""
    freeze: tuple[str, ...] = ()
    weights: str | None = None
    partial: bool = False
    checkpoint_activations: bool = False
    transfer: str | None = None
    loss: str = "softmax"
    seed: int = 0
    threads: int | None = None
    workers: int = 1
    data: str | None = None
    image_size: int | None = None
    channels: int | None = None
    require_real: bool = False
    out: str | None = None
    resume: bool = False
    eval_only: bool = False
    average: int = 1
    crops: int = 1

    def settings(self) -> dict[str, object]:
        """Return what must be the same when training is resumed."""
        free: tuple[str, ...] = (
            "epochs",
            "checkpoint_activations",
            "threads",
            "workers",
            "data",
            "out",
            "resume",
            "eval_only",
            "average",
            "crops",
            "require_real",
        )
        return {name: value for name, value in asdict(self).items() if name not in free}


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        metrics: plain values, the schema ``archcost.train/1``.
        table: the same for people.
        trainers: one for each network of the ensemble.
    """

    metrics: dict[str, object]
    table: Table
    trainers: list[Trainer]


def run(options: Options) -> Result:
    """Train, or only evaluate, as the options say.

    Raises:
        UsageError: for options that are not allowed, data or weights that cannot be had, a folder that cannot be
            written, or training that breaks down.
    """
    _check(options)
    data = open_dataset(
        options.dataset, options.data, require_real=options.require_real,
        image_size=options.image_size, channels=options.channels,
    )  # fmt: skip
    say(data.note)
    graph = fitted_graph(options.model, data, options.architecture, cast("LossName", options.loss))
    folder = _folder(options)
    members = [_member(options, data, graph, number, folder) for number in range(options.average)]
    trainers = [member.trainer for member in members]
    networks = [trainer.network for trainer in trainers]
    batches = trainers[0].batches(data.test)
    test = evaluated(networks, batches, trainers[0].loss_name, count=options.crops)
    found = metrics(options.model, data, members, test, asdict(options))
    if folder is not None:
        write_whole(folder / "metrics.json", json.dumps(found, indent=2) + "\n")
    return Result(found, outcome_table(data, members, test, options.crops), trainers)


def say(text: str) -> None:
    """Print a line to stderr, if there is anything to say."""
    if text:
        sys.stderr.write(f"archcost: {text}\n")


def _check(options: Options) -> None:
    """Refuse options that make no sense, before any data is read."""
    if options.batch_size < 1:
        raise UsageError(f"`--batch-size` (={options.batch_size}) must be at least 1")
    if options.epochs < 1:
        raise UsageError(f"`--epochs` (={options.epochs}) must be at least 1")
    if not 1 <= options.average <= LARGEST_ENSEMBLE:
        raise UsageError(f"`--average` (={options.average}) must be from 1 to {LARGEST_ENSEMBLE}")
    if options.resume and not options.out:
        raise UsageError("`--resume` needs the folder of the run: --out DIR")
    has_weights = options.weights or options.model.endswith(".onnx")
    if options.eval_only and not has_weights and not options.out:
        raise UsageError(
            "`--eval-only` needs something to evaluate: --weights FILE, or the --out DIR of a run that has ended"
        )
    if options.transfer is not None and options.transfer not in PRESETS:
        raise UsageError(f"`--transfer` (={options.transfer}) must be {', '.join(PRESETS)}")
    if options.transfer and not has_weights:
        raise UsageError("`--transfer` needs the weights to begin with: --weights FILE")
    _optimizer(options)
    _schedule(options)


def _optimizer(options: Options) -> Any:
    names = {"learning_rate": "lr", **{name: name for name in ("momentum", "beta1", "beta2", "weight_decay")}}
    made = optimizer(options.optimizer, {name: getattr(options, key) for name, key in names.items()})
    if options.transfer == "fine-tune" and options.lr is None:
        return replace(made, learning_rate=FINE_TUNE_FACTOR * made.learning_rate)
    return made


def _schedule(options: Options) -> Any:
    rate = _optimizer(options).learning_rate
    return schedule(options.schedule, rate, options.epochs, minimum=options.lr_min, warmup=options.warmup)


def _folder(options: Options) -> Path | None:
    """Return the folder of the run, made and found writable."""
    if not options.out:
        return None
    folder = Path(options.out)
    try:
        if not options.eval_only:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {options.out!r}: {error.strerror or error}") from None
    if options.eval_only:
        return None
    write_whole(folder / "options.json", json.dumps(asdict(options), indent=2) + "\n")
    return folder


def _member(options: Options, data: Dataset, graph: Graph, number: int, folder: Path | None) -> Member:
    """Train a network of the ensemble, or take it from where it lies."""
    seed = options.seed + number
    name = data.name if options.average == 1 else f"{data.name} network {number + 1} of {options.average}"
    network, notes = _network(options, graph, seed)
    stopping = [EarlyStopping(options.early_stopping)] if options.early_stopping is not None else []
    own = folder if options.average == 1 else folder and folder / f"network-{number + 1}"
    trainer = Trainer(
        network, data, optimizer=_optimizer(options), schedule=_schedule(options), epochs=options.epochs,
        batch_size=options.batch_size, loss=cast("LossName", options.loss), label_smoothing=options.label_smoothing,
        penalties=Penalties(options.l1, options.l2), clip_norm=options.clip_norm, augment=options.augment,
        validation=options.validation or options.early_stopping is not None or options.schedule.startswith("plateau"),
        seed=seed, workers=options.workers, callbacks=stopping,
    )  # fmt: skip
    if number == 0:
        for note in (trainer.note, *notes):
            say(note)
    member = Member(trainer, name)
    settings = {**options.settings(), "seed": seed, "dataset": data.name}
    if options.eval_only:
        if options.out and not options.weights:
            place = Path(options.out) / ("" if options.average == 1 else f"network-{number + 1}")
            load_into(network, read_weights(place / WEIGHTS))
        return member
    trainer.callbacks.append(Progress(name, member.step_flops))
    if own is not None:
        _begin(options, own, trainer, settings, name)
        trainer.callbacks.append(Files(own, settings))
    trainer.fit()
    if trainer.best_epoch is not None:
        say(f"{name}: the weights of epoch {trainer.best_epoch} are kept: {trainer.stop}")
    if own is not None:
        write_weights(own / WEIGHTS, state_of(network))
        write_whole(own / "history.csv", as_csv(trainer.history))
        write_curve(own / "curve.png", trainer.history, f"{graph.name} on {data.name}")
    return member


def _network(options: Options, graph: Graph, seed: int) -> tuple[Network, list[str]]:
    """Return a network with first weights, those of a file if one is given, and what was done with them."""
    plan = transfer(graph, options.transfer) if options.transfer else None
    freeze = (*(plan.freeze if plan else ()), *options.freeze)
    network = Network(
        graph, seed=seed, threads=options.threads, freeze=freeze, checkpoint_activations=options.checkpoint_activations
    )
    notes = []
    source = options.weights or options.model
    arrays = read_weights(source) if options.weights else stored_weights(options.model, graph)
    if arrays is not None:
        if plan:
            notes = load_pretrained(network, arrays, partial=options.partial, source=source).lines(SHOWN)
        else:
            notes = load_into(network, arrays, partial=options.partial, source=source).lines(SHOWN)
    if freeze:
        counts = parameter_counts(graph, (node.name for node in graph if node.name not in network.trained))
        notes.append(f"{counts[0]:,} parameters trained, {counts[1]:,} frozen")
    return network, notes


def _begin(options: Options, folder: Path, trainer: Trainer, settings: dict[str, object], name: str) -> None:
    """Resume from a checkpoint, or make sure that none is written over."""
    folder.mkdir(exist_ok=True)
    place = folder / checkpoint.FILE
    if options.resume and place.exists():
        checkpoint.restore(place, trainer, settings)
        say(f"{name}: resumed after epoch {len(trainer.history)}")
    elif options.resume:
        say(f"{name}: there is no checkpoint in {str(folder)!r} yet; training begins")
    elif place.exists():
        raise UsageError(f"{str(folder)!r} holds a checkpoint: go on with --resume, or choose another folder")


class Files(Callback):
    """Writes checkpoint and history after each epoch."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        self._folder, self._settings = folder, settings

    def epoch_ended(self, trainer: Trainer, epoch: Epoch) -> None:
        checkpoint.save(self._folder / checkpoint.FILE, trainer, self._settings)
        write_whole(self._folder / "history.csv", as_csv(trainer.history))
