"""Catalogue entries: networks for small devices, and those that compound scaling and search made of them."""

from __future__ import annotations

from archcost.zoo.entry import Entry

ENTRIES: dict[str, Entry] = {}
