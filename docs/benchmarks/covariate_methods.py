"""The methods of covariates.py by name: ours and its ablations, networks of Darts, baselines."""

from __future__ import annotations

import importlib.util

from baselines import Linear, Naive, Sktime, Smoothing
from contenders import Method, Network, Ours, blind
from pairs import Pairs
from task import Task
from torch.nn import L1Loss

RATES = (5e-4, 2e-3)
NORM = {"use_reversible_instance_norm": True}
START = {"n_epochs": 0}  # the forecast that training begins at

OURS = Ours("Informer")
ALONE = Ours("Informer's network alone", arguments={"lookback_skip": False})
BEGINNING = Ours("Informer's start alone", arguments=START, seeded=False)
TIDE = Network("TiDE", RATES, name="TiDEModel", arguments=NORM)

METHODS: dict[str, Method] = {
    "naive": Naive("Repeat the last season", seeded=False, sees_covariates=False),
    "linear": Linear("Linear regression", seeded=False),
    "lightgbm": Pairs("LightGBM", needs="lightgbm"),
    "autoets": Smoothing("AutoETS", seeded=False, sees_covariates=False, needs="statsforecast"),
    "informer": OURS,
    "informer-unvalidated": Ours("Informer, no validation series", given=False),
    "informer-start": BEGINNING,
    "informer-network": ALONE,
    "informer-blind": blind(OURS),
    "informer-start-blind": blind(BEGINNING),
    "informer-network-blind": blind(ALONE),
    "informer-full": Ours("Informer, full attention", arguments={"attention": "full"}),
    "informer-whole": Ours("Informer, no distilling", arguments={"distil": False}),
    "informer-absolute": Ours("Informer, absolute errors", arguments={"loss_fn": L1Loss()}),
    "informer-quantiles": Ours("Informer, quantiles", quantiles=True),
    "forecaster": Sktime("InformerForecaster (sktime), quantiles", quantiles=True),
    "tide": TIDE,
    "nlinear": Network("NLinear", RATES, name="NLinearModel", arguments=NORM),
    "tsmixer": Network("TSMixer", RATES, name="TSMixerModel", arguments=NORM),
    "nhits": Network("N-HiTS", RATES, name="NHiTSModel", arguments=NORM, past_only=True),
    "tide-quantiles": Network(
        "TiDE, quantiles", RATES, name="TiDEModel", arguments=NORM, quantiles=True
    ),
    # Quantiles are its own default; their median is its forecast in every table. An epoch takes ten
    # times that of TiDE: where a task has a stride, a third of the windows trains it.
    "tft": Network(
        "TFT",
        RATES,
        name="TFTModel",
        arguments=NORM,
        quantiles=True,
        epochs=30,
        patience=3,
        coarser=3,
    ),
}
BLIND = ("informer-blind", "informer-start-blind", "informer-network-blind")


def applies(name: str, task: Task) -> bool:
    """Tell whether a method has something to forecast in a task, and its package is there.

    One that leaves covariates out needs some, TFT needs covariates that are known ahead or a
    calendar, trees take one component, and exponential smoothing is for seasons of months: of
    longer ones it holds no state.
    """
    method = METHODS[name]
    if method.needs is not None and importlib.util.find_spec(method.needs) is None:
        return False
    has_covariates = bool(task.covariates.past or task.covariates.future)
    if name in BLIND:
        return has_covariates
    if name == "tft":
        return bool(task.covariates.future or task.calendar)
    if name == "lightgbm":
        return task.targets[0].n_components == 1
    if name == "autoets":
        return task.season == 12
    if name == "linear":
        return task.targets[0].n_components * task.look_back < 2000
    return not (isinstance(method, Sktime) and task.covariates.past)
