"""Private: the arguments of Lightning's trainer, for a training and for a forecast.

Imported when a network is first needed, as Lightning is slow to import.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.profilers import Profiler

from informer_forecaster._training.runs import DEFAULTS, available

Trainer = Mapping[str, Any]
# What watches a training. A user reads these objects afterwards, so no copy may take their place.
_WATCHING = ("callbacks", "logger", "profiler")


@contextmanager
def for_training(trainer: Trainer, *more: Callback) -> Iterator[dict[str, Any]]:
    """Give the arguments of one training, and take back what Lightning ties to their objects.

    Callbacks, loggers and profilers are the user's own. Strategies, plugins and callbacks that one
    training uses up are copies: a second training, and one in another thread, begins anew.
    """
    watching = {name: trainer[name] for name in _WATCHING if name in trainer}
    others = {name: value for name, value in trainer.items() if name not in watching}
    given = watching.get("callbacks") or []
    callbacks = [given] if isinstance(given, Callback) else list(given)
    chosen = [copy.deepcopy(one) if _is_used_up(one) else one for one in callbacks]
    try:
        yield {**DEFAULTS, **copy.deepcopy(others), **watching, "callbacks": [*chosen, *more]}
    finally:
        # Or a clone or a file of the callbacks would hold the network once more.
        for callback in callbacks:
            vars(callback).pop("log", None)
            vars(callback).pop("log_dict", None)
        # A weak reference, which could be neither copied nor pickled once the network is gone.
        if isinstance(profiler := watching.get("profiler"), Profiler):
            vars(profiler)["_lightning_module"] = None


def for_forecasts(trainer: Trainer) -> dict[str, Any]:
    """Give the arguments of forecasts, which nobody watches, on a device that this machine has."""
    return {**DEFAULTS, **available(trainer, *_WATCHING)}


def _is_used_up(callback: Callback) -> bool:
    """Whether a callback of Lightning's goes on where the last training left it.

    Early stopping, a timer and averages of weights save a state. So does a checkpoint, which a
    user asks for its best file.
    """
    save = type(callback).state_dict
    saves = save is not Callback.state_dict and not isinstance(callback, Checkpoint)
    return saves and save.__module__.startswith("pytorch_lightning.")
