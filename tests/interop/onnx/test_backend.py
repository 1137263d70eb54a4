"""The ONNX project's own backend tests: every case within the scope passes at the suite's tolerances."""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache

import numpy as np
import onnx
import pytest

from archcost.interop.onnx.convert import imported
from archcost.report.rows import rows_of, total
from tests.interop.onnx.backend import Case, cases, out_of_scope, outputs, run

MEASURED = "1.23."
"""Version of onnx whose suite has the numbers that are asserted."""

LIGHT = {
    "test_bvlc_alexnet": 654_560_384,
    "test_densenet121": 2_834_161_664,
    "test_inception_v1": 1_431_556_352,
    "test_inception_v2": 2_018_851_840,
    "test_resnet50": 4_089_184_256,
    "test_shufflenet": 124_664_528,
    "test_squeezenet": 349_151_936,
    "test_vgg19": 19_632_062_464,
    "test_zfnet512": 1_481_727_008,
}
"""Network of the model zoo -> its mult-adds: the catalogue's for ResNet-50, DenseNet-121, SqueezeNet 1.1 and VGG-19."""


@cache
def suite() -> tuple[Case, ...]:
    return tuple(cases())


def failures(kinds: set[str]) -> dict[str, str]:
    found = {}
    for case in suite():
        if case.kind in kinds and not out_of_scope(case):
            try:
                run(case)
            except Exception as error:  # noqa: BLE001
                found[case.name] = f"{type(error).__name__}: {error}"
    return found


def test_every_node_case_in_scope_passes() -> None:
    assert failures({"node"}) == {}


def test_every_case_made_by_pytorch_and_every_simple_one_in_scope_passes() -> None:
    assert failures({"simple", "pytorch-converted", "pytorch-operator"}) == {}


@pytest.mark.parametrize("name", LIGHT)
def test_the_networks_of_the_model_zoo_are_counted_and_run(name: str) -> None:
    (case,) = (case for case in suite() if case.name == name)
    assert not out_of_scope(case)
    assert total(rows_of(imported(case.model).graph))["mult_adds"] == LIGHT[name]
    run(case)


def test_how_many_cases_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    in_scope, everything = Counter[str](), Counter[str]()
    reasons = Counter[str]()
    for case in suite():
        reason = out_of_scope(case)
        everything[case.kind] += 1
        in_scope[case.kind] += not reason
        reasons[reason] += bool(reason)
    with capsys.disabled():
        sys.stdout.write(f"\nONNX {onnx.__version__}: {in_scope.total()} cases in scope of {everything.total()}\n")
    # Another version of onnx has other cases; those in scope must pass there too, and they hardly become fewer.
    assert in_scope.total() >= 500
    if onnx.__version__.startswith(MEASURED):
        assert in_scope == {
            "node": 476, "simple": 5, "pytorch-converted": 69, "pytorch-operator": 27, "real": 9,
        }  # fmt: skip
        assert everything.total() == 2033
        assert reasons["an operator that is not in the list"] == 1049


def test_a_wrong_output_is_noticed() -> None:
    case = next(case for case in suite() if case.name == "test_relu")
    inputs, wanted = case.data[0]
    (found,) = outputs(case.model, inputs)
    np.testing.assert_allclose(found, wanted[0], rtol=case.rtol)
    wrong = Case(case.kind, case.name, case.model, [(inputs, [wanted[0] + 1])], case.rtol, case.atol)
    with pytest.raises(AssertionError):
        run(wrong)
