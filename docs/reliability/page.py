"""Write docs/reliability.md from results.csv, which ``make reliability`` fills."""

from __future__ import annotations

import csv
from pathlib import Path

RESULTS = Path(__file__).with_name("results.csv")
PAGE = Path(__file__).parents[1] / "reliability.md"

TEXT = """\
# Reliability

What was done to this package on purpose, how often, and how often it came through. `make
reliability` injects the faults and writes this page from [results.csv](reliability/results.csv); a
quicker version of each test runs in `make test`.

{table}

## Interrupted trainings

With `save_checkpoints=True` a training that was killed goes on from its last epoch, in a new
process, and ends with the weights of one that was never interrupted, bit by bit: a checkpoint holds
the state of torch's generators beside the weights and the optimizer.

```python notest: the process is killed
place = {{"model_name": "load", "work_dir": "runs"}}
model = InformerModel(96, 24, n_epochs=100, save_checkpoints=True, **place)
model.fit(series)  # killed

model = InformerModel.load_from_checkpoint(**place, best=False)
model.fit(series, epochs=100)
```

It holds for one machine and the same library versions. What a trainer's other plugins and callbacks
draw from the generators of Python and numpy is theirs to restore.

## Files

Every file is written beside the old one and then renamed, so a save that was killed leaves the old
model or the new one. Where the two files of `InformerModel.save` were renamed half, the next `load`
finishes it. `save` and `save_checkpoints` of `InformerModel` and `save` of `InformerForecaster` end
each archive with a seal: its kind, format and SHA-256 digest. `save_pretrained` keeps the digests
in its config.json. A file that was cut short, changed in any bit, is of another model, kind or
format is refused with a `ValueError` before anything in it is used; it is not written to.

A seal finds accidents. Who forges a file can forge its seal, so what a sealed file holds is still
limited to classes that are known to be safe; others are refused, and nothing runs. `trusted=True`
lifts both for a file without a seal. Two doors are not ours: `sktime.base.load` unpickles the class
before it calls this package (for a file of doubtful origin use
`InformerForecaster.load_from_path`), and the loaders of Darts' own classes check the weights but
not the model's file.

## Known defects

Twelve defects are known from other implementations of the Informer. Each was put into this one (the
ninth in both its parts), by `tests/mutation_check.py`, and a test failed each time.
"""


def render() -> str:
    """Make the page."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows = [row.values() for row in csv.DictReader(file)]
    head = ["| fault | cases | survived | command |", "|---|--:|--:|---|"]
    lines = [f"| {fault} | {n} | {survived} | `{by}` |" for fault, n, survived, by in rows]
    return TEXT.format(table="\n".join([*head, *lines]))


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
