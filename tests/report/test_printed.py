"""Numbers as sources print them, and how computed values agree with them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from archcost.errors import UsageError
from archcost.report.printed import Value, read_printed


def value(*numbers: float) -> Value:
    return tuple(Fraction(str(number)) for number in numbers)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("~60", "M", (60_000_000,)),
        ("3.8", "B", (3_800_000_000,)),
        ("25.6", "M", (25_600_000,)),
        ("0.26", "%", ("0.0026",)),
        ("1,516", "", (1516,)),
        ("22,855,952", "", (22_855_952,)),
        ("2.7", "Ki", ("2764.8",)),
        ("~650,000", "", (650_000,)),
        ("28x28x256", "", (28, 28, 256)),
        ("(24, 16, 16, 512)", "", (24, 16, 16, 512)),
        ("(1, 1.1, 240, 0.2)", "", (1, "1.1", 240, "0.2")),
        ("224/32/1", "", (224, 32, 1)),
        ("11, 19", "", (11, 19)),
        ("<25", "M", (25_000_000,)),
        ("28*28*16", "", (12_544,)),
    ],
)
def test_numbers_are_read_with_their_unit(text: str, unit: str, expected: tuple[int | str, ...]) -> None:
    numbers = read_printed(text, unit).numbers
    assert tuple(number.value for number in numbers) == tuple(Fraction(one) for one in expected)


@pytest.mark.parametrize(
    ("text", "unit", "rounding", "computed", "agreement"),
    [
        ("138", "M", "", 138_357_544, "rounds"),
        ("1,516", "", "", 1516, "exact"),
        ("1,516", "", "", 1517, None),
        ("3.8", "B", "", 3_857_973_248, "truncates"),
        ("3.9", "B", "", 3_857_973_248, "rounds"),
        ("3.87", "G", "", 3_860_488_192, "rounds up"),
        ("3.88", "G", "", 3_860_488_192, None),
        ("60", "M", "", 60_965_224, "truncates"),
        ("61", "M", "", 60_965_224, "rounds"),
        ("720", "M", "", 724_406_816, None),
        ("720", "M", "2 digits", 724_406_816, "rounds"),
        ("15300", "M", "3 digits", 15_346_630_656, "rounds"),
        ("15300", "M", "3 digits", 15_470_264_320, None),
        ("112", "Ki", "", 114_688, "exact"),
        ("0.5", "M", "", 450_000, "rounds"),
        ("0.5", "M", "", 550_000, "rounds"),
        ("0.31", "", "", "0.3111", "rounds"),
        ("1700", "M", "2 digits", 1_665_335_872, "rounds"),
    ],
)
def test_agreement(text: str, unit: str, rounding: str, computed: int | str, agreement: str | None) -> None:
    assert read_printed(text, unit, rounding).agreement((Fraction(computed),)) == agreement


def test_the_loosest_number_of_a_list_decides() -> None:
    printed = read_printed("(1.2, 1.4, 300)")
    assert printed.agreement(value(1.2, 1.4, 300)) == "exact"
    assert printed.agreement(value(1.21, 1.4, 300)) == "rounds"
    assert printed.agreement(value(1.21, 1.49, 300)) == "truncates"
    assert printed.agreement(value(1.21, 1.44, 296.2)) is None
    assert printed.agreement(value(1.2, 1.4)) is None


def test_a_bound_and_a_tolerance_are_read() -> None:
    assert read_printed("<25", "M").upper_bound
    assert not read_printed("25", "M").upper_bound
    about = read_printed("~60", "M", "about 2%")
    assert about.is_near(value(60_965_224))
    assert not about.is_near(value(62_378_344))
    assert not about.is_near(value(60_965_224, 1))
    assert not read_printed("60", "M").is_near(value(60_965_224))


@pytest.mark.parametrize(
    ("text", "unit", "rounding", "message"),
    [
        ("none", "", "", "no number in 'none'"),
        ("1", "furlong", "", "unknown unit 'furlong'"),
        ("1", "", "sideways", "unknown rounding 'sideways'"),
        ("1", "", "0 digits", "unknown rounding '0 digits'"),
    ],
)
def test_what_cannot_be_read_is_an_error(text: str, unit: str, rounding: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_printed(text, unit, rounding)
