"""What stands under a summary."""

from __future__ import annotations

from archcost.cost import DEFINITIONS
from archcost.report.text import definitions, footer
from archcost.report.totals import Totals, TrainingTotals

TOTALS = Totals(
    params=1_234_567,
    params_trainable=1_234_000,
    params_frozen=567,
    buffers=89,
    mult_adds=4_089_184_256,
    flops=8_200_000_000,
    activations=999,
    weight_bytes=4_938_268,
    input_bytes=602_112,
    peak_activation_elements=2_408_448,
    peak_activation_bytes=9_633_792,
    peak_activation_at="layer1.0.add",
)
TRAINING = TrainingTotals(
    forward_flops=1000,
    input_gradient_mult_adds=20,
    input_gradient_flops=40,
    weight_gradient_mult_adds=5_000_000,
    weight_gradient_flops=10_000_000,
    optimizer="adam",
    optimizer_flops=12_000,
    weight_bytes=2**20,
    gradient_bytes=2**21,
    optimizer_bytes=2**22,
    saved_activation_bytes=2**23,
    total_bytes=15 * 2**20,
)


def lines(text: str) -> dict[str, str]:
    """Return the indented lines of ``text`` as {first words: rest}."""
    return {
        key: value
        for key, _, value in (line.strip().partition("  ") for line in text.splitlines() if line.startswith("  "))
        for value in [value.strip()]
    }


def test_totals() -> None:
    assert footer(TOTALS, None, 1, "float32").splitlines()[:9] == [
        "totals per image",
        "  params            1,234,567 (1.235 M): 1,234,000 trainable, 567 frozen",
        "  buffers           89",
        "  mult-adds         4,089,184,256 (4.089 G)",
        "  FLOPs             8,200,000,000 (8.200 G)",
        "  activations       999",
        "  weights           4.71 MiB (float32)",
        "  peak activations  2,408,448 elements, 9.19 MiB at layer1.0.add",
        "",
    ]


def test_batch_is_a_stated_factor() -> None:
    assert "batch of" not in footer(TOTALS, None, 1, "float32")
    batch = lines(footer(TOTALS, None, 10, "float32"))["batch of 10"]
    assert batch == "40.89 G mult-adds, 82.00 G FLOPs, peak activations 91.88 MiB"
    assert lines(footer(TOTALS, None, 10, "float32"))["mult-adds"] == "4,089,184,256 (4.089 G)"


def test_other_counter() -> None:
    assert lines(footer(TOTALS, None, 1, "float32", "fvcore", 4_111_512_576))["as fvcore"] == "4,111,512,576 (4.112 G)"
    assert lines(footer(TOTALS, None, 1, "float32", "fvcore", 0))["as fvcore"] == "0"
    assert "as " not in footer(TOTALS, None, 1, "float32").split("\n\n")[0]


def test_training() -> None:
    text = footer(TOTALS, TRAINING, 8, "float16")
    assert "training step per image\n" in text
    assert "training memory, batch of 8 images\n" in text
    assert lines(text)["forward"] == "1.000 k FLOPs (batch statistics, masks)"
    assert lines(text)["gradients to inputs"] == "20 mult-adds, 40 FLOPs"
    assert lines(text)["gradients to weights"] == "5,000,000 (5.000 M) mult-adds, 10.00 M FLOPs"
    assert lines(text)["adam update"] == "12.00 k FLOPs, once a batch"
    assert [lines(text)[word] for word in ("gradients", "adam state", "saved activations", "together")] == [
        "2.00 MiB",
        "4.00 MiB",
        "8.00 MiB",
        "15.00 MiB",
    ]
    assert "training memory, batch of 1 image\n" in footer(TOTALS, TRAINING, 1, "float16")
    assert "training" not in footer(TOTALS, None, 1, "float16").split("\n\n")[0]


def test_definitions_are_those_of_cost_and_stand_under_everything() -> None:
    text = " ".join(definitions().split())
    assert len(DEFINITIONS) >= 5
    for word, meaning in DEFINITIONS.items():
        assert f"{word} {meaning}" in text
    assert footer(TOTALS, TRAINING, 3, "float32", "thop", 5).endswith(definitions())
    assert max(map(len, definitions().splitlines())) <= 110
