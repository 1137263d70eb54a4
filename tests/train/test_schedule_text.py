"""Schedules from the command line's texts: what they mean, and one clear line for what means nothing."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from archcost.errors import UsageError
from archcost.train.schedule_text import FORMS, schedule
from archcost.train.schedules import Constant, Cosine, Exponential, Plateau, Schedule, Steps, WarmUp

MEANINGS: list[tuple[str, Schedule]] = [
    ("constant", Constant(0.1)),
    (" constant ", Constant(0.1)),
    ("step:20=0.01,50=0.001", Steps(0.1, ((20, 0.01), (50, 0.001)))),
    ("step:2=1e-2, 5 = 0.5", Steps(0.1, ((2, 0.01), (5, 0.5)))),
    ("cosine", Cosine(0.1, 30, 0.001)),
    ("exponential", Exponential(0.1, 0.95, 0.001)),
    ("exponential:0.9", Exponential(0.1, 0.9, 0.001)),
    ("plateau", Plateau(0.1, 0.1, 5, 1e-4, 0.001)),
    ("plateau:factor=0.5,patience=2", Plateau(0.1, 0.5, 2, 1e-4, 0.001)),
    ("plateau:threshold=0", Plateau(0.1, 0.1, 5, 0.0, 0.001)),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS)
def test_texts(text: str, meaning: Schedule) -> None:
    assert schedule(text, 0.1, 30, minimum=0.001) == meaning


def test_every_form_is_among_them() -> None:
    assert {text.strip().partition(":")[0] for text, _ in MEANINGS} == set(FORMS)


@pytest.mark.parametrize(
    ("text", "length", "unit", "start"),
    [
        ("5", 5, "epochs", 0),
        ("5epochs", 5, "epochs", 0),
        ("0.5 epochs", 0.5, "epochs", 0),
        ("500steps", 500, "steps", 0),
        ("500 steps, from=0.001", 500, "steps", 0.001),
        ("2,from=0.01", 2, "epochs", 0.01),
    ],
)
def test_warm_up(text: str, length: float, unit: str, start: float) -> None:
    assert schedule("cosine", 0.1, 30, warmup=text) == WarmUp(Cosine(0.1, 30), length, unit, start)


@pytest.mark.parametrize("text", ["0", "0steps", "0epochs"])
def test_no_warm_up(text: str) -> None:
    assert schedule("constant", 0.1, 30, warmup=text) == Constant(0.1)


BAD: list[tuple[str, dict[str, Any], str]] = [
    (
        "cosin",
        {},
        "unknown schedule 'cosin' (did you mean 'cosine'?); known are constant, step:EPOCH=RATE,..., cosine, ",
    ),
    ("", {}, "unknown schedule ''"),
    ("constant:3", {}, "schedule 'constant:3' must be written constant"),
    ("cosine:", {}, "schedule 'cosine:' must be written cosine"),
    ("step", {}, "schedule 'step' must be written step:EPOCH=RATE,..."),
    ("step:", {}, "must be written step:EPOCH=RATE,..."),
    ("step:20", {}, "must be written step:EPOCH=RATE,..."),
    ("step:20=", {}, "must be written step:EPOCH=RATE,..."),
    ("step:20=0.1,", {}, "must be written step:EPOCH=RATE,..."),
    ("step:0=0.1", {}, "schedule 'step:0=0.1': epoch (=0) must be a whole number from 1"),
    ("step:1.5=0.1", {}, "epoch (=1.5) must be a whole number"),
    (f"step:{'9' * 5000}=0.1", {}, "must be a whole number from 1 to 999999999"),
    ("step:20=0", {}, "rate (=0) must be a number above 0"),
    ("step:20=nan", {}, "rate (=nan) must be a number above 0"),
    ("step:20=fast", {}, "rate (=fast) must be a number above 0"),
    ("step:20=0.1,20=0.2", {}, "schedule 'step:20=0.1,20=0.2': epoch 20 must come after epoch 20"),
    ("step:20=0.1,10=0.2", {}, "epoch 10 must come after epoch 20"),
    ("exponential:1.1", {}, "schedule 'exponential:1.1': factor (=1.1) must be a number above 0 and at most 1"),
    ("exponential:", {}, "must be written exponential[:FACTOR]"),
    ("exponential:factor=0.9", {}, "factor (=factor=0.9) must be a number above 0"),
    ("plateau:0.1", {}, "must be written plateau[:factor=F,patience=N,threshold=T]"),
    ("plateau:factr=0.1", {}, "unknown 'factr' (did you mean 'factor'?); known are factor, patience, threshold"),
    ("plateau:factor=0.1,factor=0.2", {}, "a name stands twice"),
    ("plateau:factor=0", {}, "factor (=0) must be a number above 0 and at most 1"),
    ("plateau:patience=0", {}, "patience (=0) must be a whole number from 1"),
    ("plateau:threshold=-1", {}, "threshold (=-1) must be a number at least 0 and at most 1"),
    ("constant", {"learning_rate": 0}, "learning rate (=0) must be a number above 0"),
    ("constant", {"learning_rate": math.inf}, "learning rate (=inf) must be a number above 0"),
    ("cosine", {"epochs": 0}, "`epochs` (=0) must be at least 1"),
    ("cosine", {"minimum": 0.2}, "the lowest learning rate (=0.2) must be from 0 to the learning rate 0.1"),
    ("cosine", {"minimum": -1}, "the lowest learning rate (=-1)"),
    ("cosine", {"warmup": "-1"}, "warm-up '-1': epochs (=-1) must be a number at least 0"),
    ("cosine", {"warmup": "soon"}, "warm-up 'soon': epochs (=soon) must be a number at least 0"),
    ("cosine", {"warmup": "1.5steps"}, "warm-up '1.5steps': steps (=1.5) must be a whole number"),
    ("cosine", {"warmup": "5,to=1"}, "warm-up '5,to=1' must be written EPOCHS, EPOCHSepochs or STEPSsteps"),
    ("cosine", {"warmup": "5,"}, "must be written EPOCHS"),
    ("cosine", {"warmup": "5,from=-1"}, "warm-up '5,from=-1': from (=-1) must be a number at least 0"),
]


@pytest.mark.parametrize(("text", "options", "message"), BAD, ids=[f"{t[:40]} {o}" for t, o, _ in BAD])
def test_wrong_texts(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        schedule(text, **{"learning_rate": 0.1, "epochs": 30, **options})
    assert "\n" not in str(caught.value)
