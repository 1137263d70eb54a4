"""Catalogue entries: LeNet, AlexNet, VGG, the Inception family, SqueezeNet."""

from __future__ import annotations

from archcost.zoo.entry import Entry

ENTRIES: dict[str, Entry] = {}
