"""The trainer: it learns, it repeats itself, and it says what went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.build import Sequential
from archcost.engine.network import Network
from archcost.engine.training import LossName
from archcost.errors import UsageError
from archcost.ops import Conv2d, Flatten, Linear
from archcost.train import Callback, EarlyStopping, Trainer
from archcost.train.dataset import Dataset
from archcost.train.history import Epoch, as_csv
from archcost.train.optimizers import SGD, Adam, Penalties
from archcost.train.schedules import Steps
from archcost.train.trainer import TrainingError
from tests.train.small import network, stripes


def trained(epochs: int = 6, *, threads: int = 1, workers: int = 1, seed: int = 3, **options: Any) -> Trainer:
    net = Network(network(dropout=0.1), seed=seed, threads=threads)
    trainer = Trainer(net, stripes(), epochs=epochs, batch_size=16, seed=seed, workers=workers, **options)
    trainer.fit()
    return trainer


def test_it_learns_what_a_guess_does_not() -> None:
    trainer = trained(12, optimizer=Adam(0.01))
    assert [row.epoch for row in trainer.history] == list(range(1, 13))
    assert trainer.history[-1].loss < 0.3 * trainer.history[0].loss
    assert trainer.history[-1].test_accuracy > 0.9
    assert trainer.evaluate().accuracy == trainer.history[-1].test_accuracy
    assert trainer.evaluate(trainer.dataset.train).images == 90


def test_a_step_of_its_own_is_the_step_of_an_epoch() -> None:
    data = stripes()
    trainer, other = (
        Trainer(Network(network(), seed=3, threads=1), data, optimizer=SGD(0.1), epochs=1, batch_size=90, workers=0)
        for _ in range(2)
    )
    (epoch,) = trainer.fit()
    (images, labels), *rest = other.loader.epoch(0)
    assert not rest
    assert other.step(images, labels) == epoch.loss
    for name, array in trainer.tensors().items():
        np.testing.assert_array_equal(array, other.tensors()[name], err_msg=name)
    assert other.step(images, labels) < epoch.loss
    assert other.evaluate().loss != epoch.test_loss


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads() -> None:
    first = trained(2, augment="mirror,crop")
    for threads, workers in ((2, 0), (1, 3), (3, 1)):
        other = trained(2, augment="mirror,crop", threads=threads, workers=workers)
        for name, array in first.tensors().items():
            np.testing.assert_array_equal(array, other.tensors()[name], err_msg=name)
        assert [row.loss for row in first.history] == [row.loss for row in other.history]
    assert trained(2, seed=4).history[0].loss != first.history[0].loss


@pytest.mark.parametrize("loss", ["softmax", "bce", "mse"])
def test_every_loss_falls(loss: LossName) -> None:
    trainer = trained(8, loss=loss, optimizer=Adam(0.01))
    assert trainer.history[-1].loss < 0.7 * trainer.history[0].loss
    assert trainer.history[-1].test_accuracy > 0.5
    assert (trainer.history[0].accuracy is None) == (loss == "mse")


def test_two_classes_may_have_one_output() -> None:
    data = stripes()
    train, test = (part.subset(np.flatnonzero(part.labels < 2)) for part in (data.train, data.test))
    data = Dataset("two", data.classes[:2], train, test)
    trainer = Trainer(Network(network(1)), data, epochs=10, batch_size=16, loss="bce", optimizer=Adam(0.02))
    assert trainer.fit()[-1].test_accuracy > 0.9
    with pytest.raises(UsageError, match="has 1 outputs, but two has 2 classes"):
        Trainer(Network(network(1)), data)


def test_a_step_is_the_formula() -> None:
    """One step of SGD on the whole data set equals gradients of the network plus penalties, by hand."""
    data = stripes(30, 9)
    net, other = (Network(network(), seed=1, precision="float64") for _ in range(2))
    trainer = Trainer(net, data, optimizer=SGD(0.1), epochs=1, batch_size=30, penalties=Penalties(0.01, 0.02))
    batches = list(trainer.loader.epoch(0))
    before = {name: array.copy() for name, array in other.parameters.items()}
    loss, gradients = other.loss_and_gradients(*batches[0])
    row = trainer.fit()[0]
    assert row.loss == pytest.approx(loss, rel=1e-12)
    penalty = 0.0
    for name in gradients:
        weight = before[name]
        if weight.ndim > 1:
            gradients[name] += 0.01 * np.sign(weight) + 2 * 0.02 * weight
            penalty += 0.01 * np.abs(weight).sum() + 0.02 * np.square(weight).sum()
        np.testing.assert_allclose(net.parameters[name], weight - 0.1 * gradients[name], rtol=1e-10, atol=1e-14)
    assert row.penalty == pytest.approx(penalty, rel=1e-10)


def test_frozen_layers_stay_as_they_were() -> None:
    net = Network(network(), freeze=["conv1", "bn1"])
    before = {name: array.copy() for name, array in {**net.parameters, **net.buffers}.items()}
    Trainer(net, stripes(), epochs=1).fit()
    after = {**net.parameters, **net.buffers}
    for name, array in before.items():
        assert np.array_equal(array, after[name]) == name.startswith(("conv1", "bn1")), name


def test_schedule_and_callbacks_are_asked_in_order() -> None:
    seen: list[tuple[str, Any]] = []

    class Watch(Callback):
        def train_began(self, trainer: Trainer) -> None:
            seen.append(("began", len(trainer.history)))

        def step_ended(self, trainer: Trainer, epoch: int, step: int, steps: int) -> None:
            seen.append(("step", (epoch, step, steps)))

        def epoch_ended(self, trainer: Trainer, epoch: Epoch) -> None:
            seen.append(("epoch", epoch.learning_rate))
            if epoch.epoch == 2:
                trainer.stop = "enough"

        def train_ended(self, trainer: Trainer) -> None:
            seen.append(("ended", trainer.stop))

    trained(5, callbacks=[Watch()], schedule=Steps(0.1, ((2, 0.01),)), optimizer=SGD(0.1))
    steps = [("step", (epoch, step, 6)) for epoch in (1, 2) for step in range(1, 7)]
    wanted = [("began", 0), *steps[:6], ("epoch", 0.1), *steps[6:], ("epoch", 0.01), ("ended", "enough")]
    assert seen == wanted


def test_early_stopping_goes_back_to_the_best_weights() -> None:
    kept: dict[int, Any] = {}

    class Keep(Callback):
        def epoch_ended(self, trainer: Trainer, epoch: Epoch) -> None:
            kept[epoch.epoch] = trainer.tensors()

    # A rate that soon does harm.
    schedule = Steps(0.01, ((4, 5.0),))
    trainer = trained(
        40, optimizer=Adam(0.01), schedule=schedule, validation=True, callbacks=[Keep(), EarlyStopping(2)]
    )
    losses = [row.validation_loss for row in trainer.history]
    best = 1 + int(np.argmin([loss for loss in losses if loss is not None]))
    assert trainer.best_epoch == best == len(losses) - 2
    assert "has not fallen for 2 epochs" in trainer.stop
    for name, array in kept[best].items():
        np.testing.assert_array_equal(trainer.tensors()[name], array)


def test_training_that_breaks_down_says_where() -> None:
    with pytest.raises(TrainingError, match=r"step \d+ of epoch \d+.*not finite is in .*(output|gradient|parameter)"):
        trained(5, optimizer=SGD(1e30))


def test_the_first_layer_with_nan_is_named() -> None:
    graph = Sequential({"a": Conv2d(4, 3), "b": Conv2d(4, 3), "flat": Flatten(), "fc": Linear(3)}, (1, 8, 8))
    net = Network(graph, threads=1)
    # Finite weights whose products are not.
    net.parameters["b.weight"][...] = 3e38
    with pytest.raises(
        TrainingError, match="step 1 of epoch 1: the first value that is not finite is in the output of b"
    ):
        Trainer(net, stripes(), epochs=1).fit()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"`epochs` \(=0\) must be at least 1"),
        ({"batch_size": 0}, r"`batch_size` \(=0\) must be at least 1"),
        ({"loss": "hinge"}, r"`loss` \(='hinge'\) must be softmax, bce or mse"),
        ({"label_smoothing": 1.0}, "`label_smoothing` .* must be at least 0 and below 1"),
        ({"label_smoothing": 0.1, "loss": "mse"}, "belongs to the loss softmax"),
        ({"augment": "flip"}, "flip"),
        ({"clip_norm": 0.0}, "clip_norm"),
    ],
    ids=str,
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Trainer(Network(network()), stripes(), **options)


def test_networks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="has 4 outputs, but stripes has 3 classes"):
        Trainer(Network(network(4)), stripes())
    with pytest.raises(UsageError, match=r"needs an output of \(classes,\)"):
        Trainer(Network(Sequential([Conv2d(3, 3)], (1, 8, 8))), stripes())
    with pytest.raises(UsageError, match="all layers are frozen"):
        Trainer(Network(network(), freeze=["*"]), stripes())


def test_history_as_csv() -> None:
    row = Epoch(1, 0.1, 0.5, 0.0, None, None, None, 0.4, 0.9, 2.0, 45.0)
    head, first, second = as_csv([row, row._replace(accuracy=0.5)]).splitlines()
    assert head.startswith("epoch,learning_rate,loss,penalty,accuracy,validation_loss")
    assert first == "1,0.1,0.5,0.0,,,,0.4,0.9,2.0,45.0"
    assert second.split(",")[4] == "0.5"
