"""The table of measures by faults, over drawn dancers, as Markdown.

    python tests/benchmarks/metric_faults.py [SEEDS]

Every number is the mean over so many dancers (8); a drawing without a fault comes first.
"""

import sys

import numpy as np
from builders.drawn_renders import FAULTS, measured

from animcli.metrics.measurement import METRICS


def main(seeds: int = 8) -> None:
    rows = {}
    for name, fault in FAULTS.items():
        each = [measured(fault(900000 + seed)) for seed in range(seeds)]
        rows[name] = {key: np.mean([one[key] for one in each]) for key in each[0]}
    keys = list(rows["none"])
    print("| | " + " | ".join(METRICS[key].title for key in keys) + " |")
    print("|---" * (len(keys) + 1) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key in keys) + " |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
