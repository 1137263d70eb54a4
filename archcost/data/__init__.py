"""The documented figures: ``figures.csv``, one line for each; ``archcost audit`` and the tests read this file.

Columns:

- ``id``: unique; S for the lecture notes, P and the architecture for papers and other publications.
- ``source``: where the figure is printed, in words.
- ``subject``, ``quantity``: what it is about and what it measures, for people.
- ``stated``: as printed.
- ``value``: the number in it, where ``stated`` holds more than that; ``-`` where the source prints none.
- ``unit``: M, B, %, Ki, ...: what the number is a multiple of (``report.printed.UNITS``).
- ``rounding``: how the source rounds: empty to the nearest, ``down``, ``up``, ``2 digits`` (zeros at the end of a whole
  number need not be exact), ``about 2%`` (only where the source itself says that it is approximate).
- ``model``: what is measured: a network of the catalogue with its options, or a stack of operators
  (``report.stacks``): ``mobilenet_v1 width=0.5 resolution=160``, ``convolution channels=3 size=6 filters=5 kernel=3``.
- ``measure``: the quantity, in the language of ``report.expressions``; empty for a figure that is not a cost.
- ``because``: where the figure differs from what is computed, and only there: why, in a sentence.
- ``note``: a word on any other figure.
- ``checks``: what proves that sentence or note, separated by ``;``: ``EXPRESSION gives`` (this figure's number),
  ``EXPRESSION misses``, the same with another figure's id behind it, or ``EXPRESSION below EXPRESSION``.

No computed number stands in the file: a number there is a number that somebody has printed.
"""
