"""Private: the steps that a forecasting horizon asks for."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon
from sktime.utils.validation.forecasting import check_fh

from ._sktime_data import Instance
from ._sktime_index import (
    Step,
    business_periods_allowed,
    check_kind,
    in_zone,
    labels_after,
    listed,
    zone_of,
)


@business_periods_allowed()
def read_horizon(fh: Any, cutoff: pd.Index[Any], step: Step | None) -> Any:
    """Make sktime's horizon of ``fh``, with a time step where it names time stamps.

    Raises
    ------
    ValueError
        If its labels are of another kind than ``cutoff``, or sktime cannot count their steps.
    """
    horizon = check_fh(fh, freq=cutoff)
    if horizon.is_relative:
        return horizon
    labels = in_zone(horizon.to_pandas(), zone_of(cutoff))
    # sktime asserts it without a word.
    check_kind(labels, cutoff, "fh", "it")
    if not isinstance(labels, pd.DatetimeIndex):
        return horizon
    # Of series that end at different times sktime knows no common step.
    horizon = ForecastingHorizon(labels, is_relative=False, freq=step or cast(Any, cutoff).freq)
    try:
        horizon.to_relative(cutoff)
    except (AttributeError, ValueError):
        raise ValueError(
            f"`fh` must count steps where sktime has no periods of the frequency, {horizon.freq}; "
            f"got time stamps, {listed(labels)}. Give numbers: `fh=[1, 2, 3]`."
        ) from None
    return horizon


def why_not(fh: Any, known: Any, cutoff: pd.Index[Any]) -> str:
    """Say why a forecaster that was fitted for the horizon ``known`` cannot forecast ``fh``."""
    if not fh.is_all_out_of_sample(cutoff):
        return (
            "`fh` must lie behind the last row: there are no forecasts of rows that the network "
            f"was trained on, which residuals and some reconcilers ask for; got {fh_labels(fh)}. "
            "Compare with held-out rows, for example by `evaluate`."
        )
    return (
        f"`fh` must be the one that `fit` was given, {fh_labels(known)}, as `output_chunk_length` "
        f"is None; got {fh_labels(fh)}. Fit again, or with an `output_chunk_length`: then each "
        "`predict` may have a horizon of its own."
    )


def fh_labels(fh: Any) -> str:
    """Write out the first few labels of a horizon."""
    return listed(fh.to_pandas())


@business_periods_allowed()
def steps_ahead(fh: Any, instance: Instance) -> npt.NDArray[np.int64]:
    """Steps from the end of a series to each entry of a forecasting horizon.

    Raises
    ------
    ValueError
        If an entry is none of the time stamps that follow.
    """
    values: Any = fh.to_pandas()
    if fh.is_relative and pd.api.types.is_integer_dtype(values.dtype):
        return np.asarray(values, dtype=np.int64)
    index, last = instance.y.index, instance.y.index[-1]
    wanted = last + values if fh.is_relative else values
    check_kind(wanted, index, "fh", "it")
    count = 1
    labels = labels_after(index, instance.step, count)
    while labels[-1] < wanted.max():
        count *= 2
        labels = labels_after(index, instance.step, count)
    found = labels.get_indexer(wanted)
    if (found < 0).any():
        raise ValueError(
            f"`fh` must hold time stamps that follow the last one of {instance.name}, {last}, by "
            f"whole steps; got {listed(wanted[found < 0])}. Leave these out."
        )
    return found.astype(np.int64) + 1
