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

Every file is written under a hidden name, brought to the disk and renamed. A save that was killed
leaves the old model or the new one; a save that failed leaves what was there and nothing else.
A model has two files: where only one was renamed, the next `load` takes the new ones.

| file | what finds damage |
|---|---|
| `.pt`, `.pt.ckpt`, checkpoints | checksums of the archive, which torch does not look at |
| `.pt` with `.pt.ckpt` | an id that both files of a save share |
| `.zip` of the sktime forecaster | checksums of the archive |
| `config.json`, `model.safetensors` | one SHA-256 over both |

A damaged file is refused by a `ValueError`, or the damage lies where nothing is read (the time of
an entry, a gap between two), and the forecast is the same to the last bit: both count as survived.
Checksums find accidents. A forged pickle runs code when it is loaded:
[which file to trust](deployment.md#which-file-to-trust).

## Known defects

Twelve defects are known from other implementations of the Informer. `tests/mutation_check.py` puts
each of them into this one, and others that a change could bring; a test fails each time.
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
