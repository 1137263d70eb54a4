"""The little language in which a figure says what it measures.

    EXPRESSIONS  ``params``, ``mult_adds:fc``, ``mult_adds_of:pointwise / mult_adds``,
                 ``params - params @ {resnet50 num_classes=120}``, ``2 * stated:S-026``, ``layers @ {vgg11}, layers``

A term is a measure with an argument behind a colon (``report.measures``, ``report.hyperparameters``), on the figure's
own model unless ``@ {MODEL}`` names another; or a decimal number. Terms are joined by + - * / and parentheses; a comma
makes a list. ``stated`` is the number that the figure itself prints, ``stated:ID`` that of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from archcost.errors import UsageError
from archcost.report.measures import number
from archcost.report.printed import Value

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z_]+(?::[^\s{}(),;]+)?)|@\s*\{(?P<model>[^{}]*)\}|(?P<sign>[-+*/(),]))"
)


@dataclass(frozen=True)
class Term:
    """A measure with its argument and model; the model is empty for the figure's own."""

    measure: str
    argument: str
    model: str


Lookup = Callable[[Term], Value]
"""What a term is worth."""


@dataclass
class _Reader:
    """Reads tokens from the left and computes at once."""

    text: str
    tokens: list[tuple[str, str]]
    lookup: Lookup

    def next(self, *signs: str) -> str:
        """Take the next token if it is one of ``signs``; else return an empty text."""
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return ""

    def list(self) -> Value:
        values = self.sum()
        while self.next(","):
            values += self.sum()
        return values

    def sum(self) -> Value:
        value = self.product()
        while sign := self.next("+", "-"):
            left, right = self.single(value), self.single(self.product())
            value = number(left + right if sign == "+" else left - right)
        return value

    def product(self) -> Value:
        value = self.factor()
        while sign := self.next("*", "/"):
            left, right = self.single(value), self.single(self.factor())
            if sign == "/" and not right:
                raise UsageError(f"division by zero in {self.text!r}")
            value = number(left * right if sign == "*" else left / right)
        return value

    def factor(self) -> Value:
        if self.next("("):
            value = self.list()
            if not self.next(")"):
                raise UsageError(f"missing ')' in {self.text!r}")
            return value
        kind, token = self.tokens.pop(0) if self.tokens else ("", "")
        if kind == "number":
            return number(Fraction(token))
        if kind != "name":
            raise UsageError(f"a measure or a number is missing in {self.text!r}")
        model = self.tokens.pop(0)[1] if self.tokens and self.tokens[0][0] == "model" else ""
        measure, _, argument = token.partition(":")
        return self.lookup(Term(measure, argument, model.strip()))

    def single(self, value: Value) -> Fraction:
        if len(value) != 1:
            raise UsageError(f"{self.text!r} computes with a list")
        return value[0]


def evaluate(text: str, lookup: Lookup) -> Value:
    """Return what the expression ``text`` is worth.

    Args:
        text: the expression.
        lookup: gives the value of each term.

    Raises:
        UsageError: if it is no expression.
    """
    reader = _Reader(text, _tokens(text), lookup)
    value = reader.list()
    if reader.tokens:
        raise UsageError(f"unexpected {reader.tokens[0][1]!r} in {text!r}")
    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None:
            raise UsageError(f"cannot read {text[position:].strip()!r} in {text!r}")
        kind = found.lastgroup or ""
        tokens.append((kind, found[kind]))
        position = found.end()
    return tokens
