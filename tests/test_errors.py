"""The exceptions, and the guess of what a mistyped word meant."""

from __future__ import annotations

import inspect

import pytest

from archcost import errors
from archcost.errors import ArchcostError, GraphError, ModelError, OperatorError, UsageError, did_you_mean


@pytest.mark.parametrize("cls", [OperatorError, GraphError, ModelError, UsageError])
def test_every_error_is_an_archcost_error_and_prints_its_message(cls: type[ArchcostError]) -> None:
    with pytest.raises(ArchcostError, match=r"^`groups` is odd$") as caught:
        raise cls("`groups` is odd")
    assert str(caught.value) == "`groups` is odd"
    assert not isinstance(caught.value, (ValueError, TypeError, KeyError))


def test_there_are_no_other_exceptions() -> None:
    found = {name for name, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)}
    assert found == {"ArchcostError", "OperatorError", "GraphError", "ModelError", "UsageError"}


@pytest.mark.parametrize(
    ("word", "allowed", "hint"),
    [
        ("resnt50", ["resnet50", "vgg16"], " (did you mean 'resnet50'?)"),
        ("Conv2D", ["Conv2d", "ConvTranspose2d"], " (did you mean 'Conv2d'?)"),
        ("kernal_size", {"kernel_size": 1, "stride": 2}, " (did you mean 'kernel_size'?)"),
        ("transformer", ["resnet50", "vgg16"], ""),
        ("", ["resnet50"], ""),
        ("resnet50", [], ""),
        ("a", iter(["b", "a"]), " (did you mean 'a'?)"),
    ],
)
def test_did_you_mean(word: str, allowed: list[str], hint: str) -> None:
    assert did_you_mean(word, allowed) == hint
