"""Files of safetensors: their layout, bfloat16, and what is damaged or hostile."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.interop.weights import read_weights, write_weights


def safetensors_bytes(header: object, content: bytes = b"") -> bytes:
    """Return a file by the format's own rule: length of the header, header in JSON, elements."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def test_a_safetensors_file_is_laid_out_as_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, {"a": np.array([1.0, 2.0], np.float32)})
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert json.loads(content[8 : 8 + length]) == {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    assert content[8 + length :] == struct.pack("<2f", 1, 2)


def test_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    """A bfloat16 is a float32 without its lower 16 bits: 1.0 is 3F80, -2.5 is C020, the smallest normal 0080."""
    path = tmp_path / "weights.safetensors"
    header = {
        "first": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "brain": {"dtype": "BF16", "shape": [3, 1], "data_offsets": [4, 10]},
    }
    path.write_bytes(safetensors_bytes(header, struct.pack("<f3H", 3.0, 0x3F80, 0xC020, 0x0080)))
    found = read_weights(path)
    assert found["brain"].dtype == np.float32
    assert found["brain"].tolist() == [[1.0], [-2.5], [2.0**-126]]
    assert found["first"].tolist() == [3.0]


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


HOSTILE = {
    "empty": b"",
    "short": b"abc",
    "header longer than the file": struct.pack("<Q", 2**62) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"\xff\xfe{}",
    "not an object": safetensors_bytes([1]),
    "elements missing": safetensors_bytes({"a": entry("F32", [4], 0, 16)}, bytes(12)),
    "elements left over": safetensors_bytes({"a": entry("F32", [4], 0, 16)}, bytes(20)),
    "shape that disagrees": safetensors_bytes({"a": entry("F32", [2**40, 2**40], 0, 16)}, bytes(16)),
    "offsets that overlap": safetensors_bytes({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, bytes(4)),
    "negative": safetensors_bytes({"a": entry("F32", [-4], 0, 16)}, bytes(16)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_safetensors_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UsageError, match=r"^cannot read '.*w\.safetensors': it is no whole safetensors file") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_elements_that_no_network_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_bytes({"a": entry("F8_E4M3", [4], 0, 4)}, bytes(4)))
    with pytest.raises(UsageError, match="'a' has elements of type F8_E4M3; weights are floats or integers"):
        read_weights(path)
