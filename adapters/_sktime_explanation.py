"""Private: the explanation of a network's forecast, on sktime's time axis and in its units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from ._sktime_data import Instance
from ._sktime_layout import Layout

if TYPE_CHECKING:
    from informer_forecaster.explain import Explanation


def restate(
    explanation: Explanation,
    layout: Layout,
    instance: Instance,
    times: pd.Index[Any],
    columns: Sequence[Any],
) -> Explanation:
    """Put names, time stamps and units of the data into what a network says of arrays.

    Parameters
    ----------
    explanation : Explanation
        Of one series whose steps count from 0, scaled, and without names.
    layout : Layout
        Names of the exogenous columns and calendar features.
    instance : Instance
        The series and its scale.
    times : pandas.Index
        Time stamps of look-back and horizon.
    columns : sequence
        Names of the columns of `y`.
    """
    names = [str(name) for name in columns]
    center, scale = instance.center, instance.scale
    lookback = len(explanation.history)
    future = [*layout.future_columns, *layout.features]
    kinds: dict[str, Sequence[Any]] = {
        "target": names,
        "pastcov": layout.past_columns,
        "futcov": future,
        "statcov": [],
    }
    maps = (explanation.encoder_layers, explanation.decoder_layers)
    encoder, decoder = (
        tuple(one.relabelled(times, tuple(names)) for one in layers) for layers in maps
    )
    return replace(
        explanation,
        times=times,
        freq=instance.step,
        history=instance.y.iloc[-lookback:].set_axis(names, axis=1),
        components=tuple(names),
        forecast=explanation.forecast * scale + center,
        baseline=explanation.baseline * scale + center,
        # One dimension for the outputs, whose units these are, and two of the inputs behind it.
        added={kind: array * scale[:, None, None] for kind, array in explanation.added.items()},
        names={kind: [str(name) for name in found] for kind, found in kinds.items()},
        encoder_layers=encoder,
        decoder_layers=decoder,
    )
