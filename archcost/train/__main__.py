"""``python -m archcost.train MODEL DATASET``: the command ``archcost train``."""

from __future__ import annotations

import sys

from archcost.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
