"""Private: Darts series as JSON values and tensors, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from darts import TimeSeries

from ._plain_values import JSON, from_json, to_json


def series_to_json(series: TimeSeries, name: str, tensors: dict[str, torch.Tensor]) -> JSON:
    """Describe a series, and add its values ``(L, C, samples)`` to ``tensors`` under ``name``.

    Raises
    ------
    ValueError
        If the description would not give the series back: a time index of a frequency of one's own,
        or static covariates and metadata that are neither numbers nor strings.
    """
    tensors[name] = torch.tensor(series.all_values(copy=False))
    index = series.time_index
    described: dict[str, Any] = {"start": index[0], "step": getattr(index, "step", None)}
    if isinstance(index, pd.DatetimeIndex):
        described = {"start": index[0].isoformat(), "freq": series.freq_str, "unit": index.unit}
    static = series.static_covariates
    table = None
    if static is not None:
        table = {
            "columns": list(static.columns),
            "index": list(static.index),
            "dtypes": [str(dtype) for dtype in static.dtypes],
            "rows": static.to_numpy(dtype=object).tolist(),
        }
    data = {
        "index": to_json(described, f"{name}.time_index"),
        "components": list(series.components),
        "static_covariates": to_json(table, f"{name}.static_covariates"),
        "hierarchy": to_json(series.hierarchy, f"{name}.hierarchy"),
        "metadata": to_json(series.metadata, f"{name}.metadata"),
    }
    _check_comes_back(series, data, name, tensors)
    return data


def series_from_json(data: JSON, name: str, tensors: dict[str, torch.Tensor]) -> TimeSeries:
    """Make the series that :func:`series_to_json` described."""
    values = tensors[name].numpy()
    index = from_json(data["index"])
    times: pd.DatetimeIndex | pd.RangeIndex
    if "freq" in index:
        times = pd.date_range(
            index["start"], periods=len(values), freq=index["freq"], unit=index["unit"]
        )
    else:
        start, step = index["start"], index["step"]
        times = pd.RangeIndex(start, start + step * len(values), step)
    table = from_json(data["static_covariates"])
    if table is not None:
        rows = pd.DataFrame(table["rows"], columns=table["columns"], index=table["index"])
        table = rows.astype(dict(zip(table["columns"], table["dtypes"], strict=True)))
    return TimeSeries(
        times,
        values,
        components=data["components"],
        static_covariates=table,
        hierarchy=from_json(data["hierarchy"]),
        metadata=from_json(data["metadata"]),
    )


def _check_comes_back(
    series: TimeSeries, data: JSON, name: str, tensors: dict[str, torch.Tensor]
) -> None:
    """Raise unless ``data`` describes the whole of ``series``."""
    why = "they differ after a round trip"
    try:
        back = series_from_json(data, name, tensors)
    except (TypeError, ValueError) as error:
        why = str(error)
    else:
        if back == series and np.array_equal(back.time_index, series.time_index):
            return
    raise ValueError(
        f"`{name}` cannot be saved as data: steps of {series.freq_str!r}, and static covariates, "
        f"as they are ({why}). Leave the series out with `clean=True`."
    )
