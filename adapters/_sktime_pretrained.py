"""Private: the network of a forecaster as data, and back; see :mod:`.pretrained`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from ._sktime_frames import Columns
from ._sktime_network import Scales, SharedNetwork
from .darts import InformerModel
from .pretrained import JSON, Tensors, describe, plain, restore

# Names of tensors beside the weights: center and scale (2, X), and of each series (n, 2, C).
EXOGENOUS, SERIES = "scale.exogenous", "scale.series"


def describe_network(network: SharedNetwork, scales: Scales) -> tuple[dict[str, JSON], Tensors]:
    """Write down a network, its columns and the scales of series.

    Raises
    ------
    ValueError
        If a label is no string or number.
    """
    columns = network.columns
    names = {"y": columns.y, "X past": columns.past, "X future": columns.future}
    exogenous = [
        one.reindex(columns.exogenous).to_numpy() for one in (columns.center, columns.scale)
    ]
    series = np.array(list(scales.values()), dtype=np.float64)
    described: dict[str, JSON] = {
        "columns": {name: _labels(f"columns of {name}", each) for name, each in names.items()},
        "calendar": list(columns.calendar),
        "step": None if columns.step is None else columns.step.isoformat(),
        "series": [_labels("label of a series", key) for key in scales],
        "epochs_trained": network.epochs_trained,
        "network": describe(network.model),
    }
    tensors = {
        EXOGENOUS: torch.tensor(np.array(exogenous, dtype=np.float64)),
        SERIES: torch.tensor(series.reshape(len(scales), 2, len(columns.y))),
    }
    return described, {**network.model.model.state_dict(), **tensors}


def restore_network(
    described: Mapping[str, Any], tensors: Tensors, changes: dict[str, Any]
) -> SharedNetwork:
    """Make the network that was written down, with ``changes`` to how it is trained.

    Raises
    ------
    ValueError
        If the scales do not fit the columns and series, or the weights the network.
    """
    weights = {name: one for name, one in tensors.items() if name not in (EXOGENOUS, SERIES)}
    exogenous, series = (tensors[name].double().numpy() for name in (EXOGENOUS, SERIES))
    y, past, future = described["columns"].values()
    labels = [tuple(label) for label in described["series"]]
    shapes = (2, len(past) + len(future)), (len(labels), 2, len(y))
    scales = np.r_[series[:, 1].ravel(), exogenous[1]]
    finite = np.isfinite(series).all() and np.isfinite(exogenous).all()
    if (exogenous.shape, series.shape) != shapes or not finite or not (scales > 0).all():
        raise ValueError("the scales must be finite, positive, and fit the columns and series.")
    columns = Columns(
        y=y,
        past=past,
        future=future,
        calendar=tuple(described["calendar"]),
        center=pd.Series(exogenous[0], index=[*past, *future]),
        scale=pd.Series(exogenous[1], index=[*past, *future]),
        step=None if described["step"] is None else pd.Timedelta(described["step"]),
    )
    model = restore(InformerModel, described["network"], weights, changes)
    quantiles = None if model.likelihood is None else tuple(model.likelihood.quantiles)
    network = SharedNetwork(columns, quantiles, model)
    network.epochs_trained = int(described["epochs_trained"])
    network.scales = dict(zip(labels, series, strict=True))
    return network


def _labels(name: str, labels: Sequence[object]) -> list[JSON]:
    """Strings and numbers of labels; a tuple would come back as a list."""
    found = [plain(name, label) for label in labels]
    for label, one in zip(labels, found, strict=True):
        if isinstance(one, list | dict):
            raise ValueError(
                f"`{name}` cannot be saved as data; got {label!r}. Rename it to a string or a "
                "number, or keep the whole forecaster with `save`."
            )
    return found
