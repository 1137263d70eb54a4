"""What the summary says of recomputed activations: work, saved activations, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from archcost.errors import UsageError
from archcost.geometry import product
from archcost.graph import Graph
from archcost.report.memory import storage
from archcost.report.rows import fold, total
from archcost.report.summary import summarize
from archcost.report.training import backward_pass, saved_activation_bytes
from archcost.segments import Segment
from tests.conftest import Ended, catalogue_graph
from tests.report.generated import plain_network


def test_saved_activations_of_segments_by_hand() -> None:
    graph = plain_network()
    first = Segment(
        ("input", "features.conv", "features.norm", "features.relu"), ("features.relu",),
        ("input", "features.conv"),
    )  # fmt: skip
    second = Segment(("features.pool", "head.flatten", "head.drop", "head.fc"), (), ())
    backward = backward_pass(graph)
    # The first keeps the input (3x8x8) and those of norm and relu (4x8x8); the second the map that passes, which its
    # pooling does not read again, 64 elements of the dense layer, 64 positions of 4 bytes and 64 of the mask.
    assert saved_activation_bytes(graph, backward, 4, [first]) == 4 * (192 + 256 + 256)
    assert saved_activation_bytes(graph, backward, 4, [first, second]) == 4 * (192 + 256 + 256)
    assert saved_activation_bytes(graph, backward, 4) == 4 * (192 + 256 + 256 + 64) + 4 * 64 + 64


def expected_saved(graph: Graph, segments: tuple[Segment, ...]) -> int:
    """Return the most bytes kept at once, from what each segment reads, the last taken back first."""
    holder, parts = storage(graph, training=True), dict(zip(graph.shapes, backward_pass(graph)))
    reads: list[set[str]] = []
    more: list[int] = []
    for segment in segments:
        names = {one for name in segment.again for one in graph.node(name).inputs} - set(segment.again)
        names |= {one for name in segment.nodes if "input" in parts[name].saved for one in graph.node(name).inputs}
        names |= {name for name in segment.nodes if "output" in parts[name].saved}
        reads.append({holder[name] for name in names})
        sizes = {name: product(graph.shapes[name]) for name in segment.nodes}
        more.append(sum(4 * sizes[one] for one in segment.nodes if "indices" in parts[one].saved)
                    + sum(sizes[one] for one in segment.nodes if "mask" in parts[one].saved))  # fmt: skip
    made = [{holder[name] for name in segment.nodes} for segment in segments]
    kept = {holder[name] for segment in segments for name in segment.kept}
    found = []
    for index in range(len(segments)):
        before = set[str]().union(*made[:index])
        needed = set[str]().union(*reads[: index + 1])
        alive = reads[index] | (kept & before & needed)
        found.append(more[index] + 4 * sum(product(graph.shapes[name]) for name in alive))
    return max(found)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet_v2"])
def test_a_summary_with_recomputation(name: str) -> None:
    from archcost.recomputation import recomputation

    graph = catalogue_graph(name)
    plain, summary = (summarize(graph, train=True, checkpoint_activations=again) for again in (False, True))
    assert plain.training is not None
    assert summary.training is not None
    assert plain.training.recomputation is None
    again = summary.training.recomputation
    assert again is not None
    chosen = recomputation(graph, frozenset(node.name for node in graph if graph.params(node)), graph.outputs)
    assert summary.training.saved_activation_bytes == expected_saved(graph, chosen.segments)
    assert again.plain_saved_activation_bytes == plain.training.saved_activation_bytes
    assert summary.training.saved_activation_bytes < plain.training.saved_activation_bytes
    assert (again.peak_bytes, again.plain_peak_bytes) == (4 * chosen.elements, 4 * chosen.plain_elements)
    assert again.mult_adds == sum(graph.node(one).op.cost(*graph.input_shapes(graph.node(one))).mult_adds
                                  for one in chosen.again)  # fmt: skip
    for depth in (0, 1, -1):
        sums = total(fold(graph, summary.rows, depth))
        assert (sums["recomputed_mult_adds"], sums["recomputed_flops"]) == (again.mult_adds, again.flops)


def test_memory_is_the_batch_and_work_an_image() -> None:
    one, many = (
        summarize(catalogue_graph("resnet18"), train=True, checkpoint_activations=True, batch_size=size).training
        for size in (1, 8)
    )
    assert one is not None
    assert many is not None
    assert one.recomputation is not None
    assert many.recomputation is not None
    assert many.recomputation.flops == one.recomputation.flops
    assert many.recomputation.peak_bytes == 8 * one.recomputation.peak_bytes
    assert many.saved_activation_bytes == 8 * one.saved_activation_bytes


def test_columns_are_there_only_with_recomputation() -> None:
    data, plain = (
        json.loads(summarize(plain_network(), train=True, checkpoint_activations=again).to_json())
        for again in (True, False)
    )
    assert sum(layer["recomputed_flops"] for layer in data["layers"]) == data["training"]["recomputation"]["flops"]
    assert plain["training"]["recomputation"] is None
    assert "recomputed_flops" not in plain["layers"][0]


def test_recomputation_needs_training(run: Callable[..., Ended]) -> None:
    with pytest.raises(UsageError, match="`checkpoint_activations` is about training, which is not asked for"):
        summarize(plain_network(), checkpoint_activations=True)
    ended = run("summary", "lenet", "--checkpoint-activations")
    assert ended.code == 2
    assert ended.err == "archcost: error: `--checkpoint-activations` is about `--train`, which is not given\n"


def test_the_text_names_work_and_memory(run: Callable[..., Ended]) -> None:
    out = run("summary", "vgg16", "--depth", "1", "--train", "--checkpoint-activations", "-b", "32").out
    lines = [line.strip() for line in out.splitlines()]
    assert any(line.startswith("recomputation") and line.endswith("% of the forward pass)") for line in lines)
    assert "mult-adds again" in out
    place = next(index for index, line in enumerate(lines) if line.startswith("recomputation of activations, segments"))
    # conv1_1 to conv5_3 keep 16 maps, the poolings positions: by hand 64 MiB an image without recomputation.
    assert lines[place + 1].startswith("saved activations")
    assert lines[place + 1].endswith("instead of 2,048.00 MiB")
