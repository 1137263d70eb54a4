"""Windows: every element of every segment lies in exactly one range, and windows begin at whole cache lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archcost.kernels.segments import MOST_ELEMENTS, Segment, Windows


def segments_of(bounds: list[int]) -> list[Segment]:
    """Return segments between every other pair of bounds, each with factors of its own."""
    ordered = sorted(bounds)
    return [Segment(*pair, 1.0 + i, 2.0 + i) for i, pair in enumerate(zip(ordered[::2], ordered[1::2]))]


@given(st.integers(0, 70_000), st.lists(st.integers(0, 70_000), max_size=9))
def test_windows_cover_the_segments_once(elements: int, bounds: list[int]) -> None:
    segments = segments_of([min(elements, bound) for bound in bounds])
    windows = Windows.of(elements, segments)
    found: set[int] = set()
    starts = [int(first) for first, _, _ in windows.ranges[: windows.firsts[-1]]]
    for first, count, segment in windows.ranges[: windows.firsts[-1]]:
        assert segments[segment].start <= first < first + count <= segments[segment].stop
        found.update(range(first, first + count))
    assert len(found) == sum(windows.ranges[: windows.firsts[-1], 1]) == sum(s.stop - s.start for s in segments)
    assert starts == sorted(starts)
    assert windows.factors[: len(segments)].tolist() == [[s.penalty, s.decay] for s in segments]


def test_a_window_begins_at_a_cache_line_and_has_a_bounded_size() -> None:
    elements = 20 * MOST_ELEMENTS + 5
    windows = Windows.of(elements, None)
    assert windows.firsts.tolist() == list(range(22))
    assert not any(windows.ranges[:, 0] % 64)
    assert windows.ranges[:, 1].max() == MOST_ELEMENTS
    assert windows.ranges[-1].tolist() == [20 * MOST_ELEMENTS, 5, 0]
    assert Windows.of(0, None).firsts.tolist() == [0]
