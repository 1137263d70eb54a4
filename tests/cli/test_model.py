"""MODEL and its options on the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from archcost.cli.model import parse_pairs, parse_size, requested
from archcost.errors import UsageError
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3x224x224", (3, 224, 224)),
        ("1x32x28", (1, 32, 28)),
        ("3X224X224", (3, 224, 224)),
        ("3,224,224", (3, 224, 224)),
        (" 3 x 224 x 224 ", (3, 224, 224)),
        ("192", (3, 192, 192)),
        ("0", (3, 0, 0)),  # read here, refused by the network
        ("999999999999", (3, 999_999_999_999, 999_999_999_999)),
    ],
)
def test_size(text: str, expected: tuple[int, ...]) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "3x", "224x224", "3x224x224x1", "3xax3", "-1", "3x-224x224", "2.5", "3x224x224.0", "1e3", "²", "٣",
     "0x10", "3*224*224", "three"],
)  # fmt: skip
def test_text_that_is_no_size(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"`--input-size` \(=.*\) must be channels x height x width, such as 3x224x224"
    ):
        parse_size(text)


@pytest.mark.parametrize("text", ["1" * 13, "3x224x" + "9" * 5000])
def test_giant_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"`--input-size` \(=.*\) is too large"):
        parse_size(text)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), {}),
        (("width=0.5",), {"width": "0.5"}),
        (("width = 0.5", "num-classes=10"), {"width": "0.5", "num_classes": "10"}),
        (("name=a=b",), {"name": "a=b"}),
        (("empty=",), {"empty": ""}),
        (("twice=1", "twice=2"), {"twice": "2"}),
    ],
)
def test_pairs(pairs: tuple[str, ...], expected: dict[str, str]) -> None:
    assert parse_pairs(pairs) == expected


@pytest.mark.parametrize("text", ["width", "=0.5", " =1", ""])
def test_text_that_is_no_pair(text: str) -> None:
    with pytest.raises(UsageError, match=r"`--option` \(=.*\) must be NAME=VALUE"):
        parse_pairs((text,))


def test_requested_holds_only_what_was_given() -> None:
    assert requested(None, None, ()) == {}
    assert requested("64", 10, ("width=2",)) == {"width": "2", "input_size": (3, 64, 64), "num_classes": 10}
    assert requested(None, 0, ()) == {"num_classes": 0}


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("0", ("resnet50", "(=0)", "must be at least 1")),
        ("3x-1x3", ("`--input-size` (=3x-1x3)",)),
        ("text", ("`--input-size` (=text)", "such as 3x224x224")),
        ("224x224", ("`--input-size` (=224x224)",)),
        ("99999999999999", ("is too large",)),
        ("3x2000000000000x5", ("is too large",)),
    ],
    ids=["zero", "negative", "text", "two numbers", "too large", "much too large"],
)
def test_bad_input_size(run: Run, size: str, words: tuple[str, ...]) -> None:
    failed(run("summary", "resnet50", "--input-size", size), *words)
    failed(run("compare", "resnet50", "--input-size", size), *words)


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        ("alexnet", "3x10x10", ("alexnet: conv1: kernel 11 is larger than the input size 10 (input 3x10x10)",)),
        ("alexnet", "3x20x20", ("alexnet: pool2: ", "(input 256x1x1)")),
        ("vgg16", "3x8x8", ("vgg16: features.23: ", "(input 512x1x1)")),
        ("lenet", "1x12x12", ("lenet: conv2: ", "(input 6x4x4)")),
        ("inception_v3", "3x32x32", ("inception_v3: ", "(input ")),
    ],
)
def test_impossible_input_size_names_the_layer(run: Run, model: str, size: str, words: tuple[str, ...]) -> None:
    failed(run("summary", model, "--input-size", size), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resnet50", "--option", "alpha=2"), ("resnet50 has no option 'alpha'", "it has", "num_classes")),
        (("resnet50", "--option", "depth=34"), ("resnet50 has no option 'depth'",)),
        (("mobilenet_v1", "--option", "widht=2"), ("no option 'widht' (did you mean 'width'?)",)),
        (("mobilenet_v1", "--option", "width"), ("`--option` (=width) must be NAME=VALUE",)),
        (("mobilenet_v1", "--option", "width=wide"), ("`width` (=wide) must be a number",)),
        (("mobilenet_v1", "--option", "width=-1"), ("mobilenet_v1: `width` (=-1", "above 0")),
        (("mobilenet_v1", "--option", "width=nan"), ("mobilenet_v1: `width` (=nan)",)),
        (("mobilenet_v1", "--option", "shallow=maybe"), ("`shallow` (=maybe) must be true or false",)),
        (("mobilenet_v1", "--option", "activation=tanh"), ("`activation` (='tanh') must be one of relu6, relu",)),
        (("mobilenet_v1", "--option", "dropout=1.5"), ("dropout", "1.5")),
        (("mobilenet_v1", "--num-classes", "0"), ("(=0) must be at least 1",)),
        (("mobilenet_v1", "--num-classes", "-7"), ("(=-7) must be at least 1",)),
        (("mobilenet_v1", "--num-classes", "1e3"), ("--num-classes", "not a valid integer")),
        (("se_gate", "--num-classes", "10"), ("se_gate has no option 'num_classes'",)),
        (
            ("resnet50", "--input-size", "224", "--option", "resolution=192"),
            ("`resolution` or `input_size`, not both",),
        ),
    ],
)
def test_wrong_option(run: Run, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    failed(run("summary", *arguments), *words)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--option", "width=0.5"), "1,331,592"),  # Howard et al. 2017, Table 6: 1.3 M
        (("--option", "shallow=true"), "2,887,976"),  # Table 5: 2.9 M
        (("--option", "full-convolution=yes"), "29,294,088"),  # Table 4: 29.3 M
        (("--num-classes", "120"), "3,329,976"),  # Table 9: 3.3 M
        (("--option", "resolution=192"), "418,121,728"),  # Table 7: 418 M
        (("--input-size", "192"), "418,121,728"),
        (("--option", "include_top=no"), "567,716,352"),
    ],
)
def test_options_reach_the_network(run: Run, arguments: tuple[str, ...], expected: str) -> None:
    ended = run("summary", "mobilenet_v1", *arguments, "--depth", "0")
    assert (ended.code, ended.err) == (0, "")
    assert expected in ended.out


def test_changed_options_stand_in_the_title(run: Run) -> None:
    title = run("summary", "mobilenet_v1", "--option", "width=0.5", "--num-classes", "10").out.splitlines()[0]
    assert "width=0.5" in title
    assert "num_classes=10" in title


def test_giant_input_is_counted_exactly(run: Run) -> None:
    side = 10**12 - 64
    ended = run("summary", "resnet18", "--input-size", f"3x{side}x{side}", "--depth", "0", "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    # everything but the classifier grows with the area, as it does from 224x224 (1,814,073,344 with its 512,000)
    assert f'"mult_adds": {(1_814_073_344 - 512_000) * (side // 32) ** 2 // 49 + 512_000},' in ended.out
