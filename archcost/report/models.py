"""The catalogue as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from archcost.errors import ModelError, did_you_mean
from archcost.geometry import Shape, shape_text
from archcost.report.formats import Table, as_csv
from archcost.report.rows import rows_of, total
from archcost.zoo.catalogue import CATALOGUE, entry, load, options, paper

SCHEMA = "archcost.models/1"


@dataclass(frozen=True)
class Listed:
    """One network of the catalogue, with what it costs by default."""

    name: str
    variant: str
    input_size: Shape
    params: int
    mult_adds: int
    authors: str
    year: int
    title: str
    where: str
    options: dict[str, object]


def listed(pattern: str | None = None) -> list[Listed]:
    """Return the networks whose name holds ``pattern`` (or matches it, with ``*`` and ``?``); all without one.

    Raises:
        ModelError: if no name matches.
    """
    names = list(CATALOGUE)
    if pattern in CATALOGUE:
        names = [pattern] if pattern else names
    elif pattern:
        names = [name for name in CATALOGUE if fnmatchcase(name, pattern) or pattern.lower() in name]
    if not names:
        raise ModelError(f"no model matches {pattern!r}{did_you_mean(str(pattern), CATALOGUE)}")
    return [_listed(name) for name in names]


def _listed(name: str) -> Listed:
    sums, source = total(rows_of(load(name))), paper(name)
    return Listed(
        name=name,
        variant=entry(name).variant,
        input_size=entry(name).input_size,
        params=sums["params"],
        mult_adds=sums["mult_adds"],
        authors=source.authors,
        year=source.year,
        title=source.title,
        where=source.where,
        options=options(name),
    )


def models_table(models: Sequence[Listed], *, with_options: bool) -> Table:
    """Return one line a network; with ``with_options`` the options and their defaults stand under the table."""
    rows = tuple(
        (
            model.name,
            model.params,
            model.mult_adds,
            shape_text(model.input_size),
            model.authors,
            str(model.year),
            model.variant,
        )
        for model in models
    )
    notes = "\n".join(f"{model.name}: {_options_text(model.options)}" for model in models) if with_options else ""
    headers = ("model", "params", "mult-adds", "input", "paper", "year", "variant")
    title = f"{len(models)} network{'' if len(models) == 1 else 's'}"
    return Table(title, headers, rows, notes, (100, 90, 90, 50, 40, 40, 60))


def _options_text(options: dict[str, object]) -> str:
    texts = {name: shape_text(value) if isinstance(value, tuple) else str(value) for name, value in options.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items())


def as_csv_text(models: Sequence[Listed]) -> str:
    """Return the list as CSV: raw integers, the names of the JSON fields."""
    headers = ("model", "params", "mult_adds", "input_size", "authors", "year", "title", "where", "variant", "options")
    return as_csv(
        headers,
        [
            (
                *(model.name, model.params, model.mult_adds, shape_text(model.input_size), model.authors),
                *(model.year, model.title, model.where, model.variant, _options_text(model.options)),
            )
            for model in models
        ],
    )


def as_dict(models: Sequence[Listed]) -> dict[str, object]:
    """Return the list as plain values: the schema ``archcost.models/1``."""
    return {
        "schema": SCHEMA,
        "models": [
            {
                "name": model.name,
                "variant": model.variant,
                "input_size": list(model.input_size),
                "params": model.params,
                "mult_adds": model.mult_adds,
                "paper": {
                    "authors": model.authors,
                    "year": model.year,
                    "title": model.title,
                    "where": model.where,
                },
                "options": {key: list(v) if isinstance(v, tuple) else v for key, v in model.options.items()},
            }
            for model in models
        ],
    }
