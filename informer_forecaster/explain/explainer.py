"""``InformerExplainer``: explains forecasts of a fitted Darts model, in the form of Darts' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from darts.utils.likelihood_models.torch import QuantileRegression

from informer_forecaster._checks import check_choice, check_integer
from informer_forecaster.adapters._darts_checks import largest_value
from informer_forecaster.adapters.darts import InformerModel

from .checks import (
    check_background,
    check_components,
    check_foreground,
    check_horizons,
    check_names,
    warn_of_idle_covariates,
)
from .explanation import Explanation
from .importance import Tracer
from .result import InformerExplainabilityResult
from .windows import Given, arrays_by_kind, means_of, names_of, window_of


class InformerExplainer:
    """Explain forecasts of a fitted :class:`~informer_forecaster.InformerModel`.

    What a value adds to the forecast comes from integrated gradients: the change of the forecast on
    the way from a baseline, in which every input has its mean over the background, to the window.
    Instance norm, look-back map and likelihood are part of it. While it is computed, the queries
    that are active in the forecast stay active, as a choice has no gradient.

    The model is not touched: a copy is looked into, and dropped. All runs on the CPU.

    Parameters
    ----------
    model : InformerModel
        A fitted model.
    background_series : darts.TimeSeries or sequence of them, optional
        Series whose mean is the baseline, and which are explained by default. May be left out where
        the model was fitted on one series, which then is the background.
    background_past_covariates, background_future_covariates : optional
        Covariates of the background series.
    num_points : int
        Points on the way from the baseline to the window; twice as many halve the gap in
        :meth:`Explanation.completeness`.
    sort_quantiles : bool
        Whether quantiles that cross are put in order before they are explained. Darts' `predict`
        gives them as they are; sktime's forecaster sorts them.

    Raises
    ------
    ValueError
        If the model is none or not fitted, or the background lacks series or covariates.

    Examples
    --------
    >>> from darts.utils.timeseries_generation import sine_timeseries
    >>> from informer_forecaster import InformerModel
    >>> from informer_forecaster.explain import InformerExplainer
    >>> series = sine_timeseries(length=200, value_frequency=1 / 24, freq="h", column_name="load")
    >>> model = InformerModel(48, 24, patch_length=1, n_epochs=1)
    >>> model = model.fit(series, verbose=False)
    >>> result = InformerExplainer(model).explain(horizons=[1, 24])
    >>> result.get_importance(horizon=24)["load_target"].shape
    (72,)
    >>> result.encoder_layers[0].weights.shape  # 4 heads, 20 active queries, 48 keys
    (1, 4, 20, 48)
    """

    def __init__(
        self,
        model: InformerModel,
        background_series: Any = None,
        background_past_covariates: Any = None,
        background_future_covariates: Any = None,
        *,
        num_points: int = 64,
        sort_quantiles: bool = False,
    ) -> None:
        given_model: Any = model
        if not isinstance(given_model, InformerModel) or model.model is None:
            raise ValueError(
                f"`model` must be a fitted InformerModel; got {given_model!r}. Call "
                "`model.fit(series)` first."
            )
        self.num_points = check_integer("num_points", num_points, minimum=1)
        self.sort_quantiles = sort_quantiles
        background = Given.of(
            background_series, background_past_covariates, background_future_covariates
        )
        self._largest_value = largest_value(model, background.series)
        check_background(model, background, self._largest_value)
        if not background.series:
            background = Given.of(
                model.training_series, model.past_covariate_series, model.future_covariate_series
            ).without_encodings(model)
        self.model = model
        for name, series in background._asdict().items():
            check_names(f"background_{name}", series, series)
        self._background = background
        self._means = means_of(model, background.encoded(model))
        components = background.series[0].components
        if model.likelihood is not None:
            components = model.likelihood.component_names(components=components)
        self.target_components_likelihood = [str(name) for name in components]

    def explain(
        self,
        foreground_series: Any = None,
        foreground_past_covariates: Any = None,
        foreground_future_covariates: Any = None,
        horizons: int | Sequence[int] | None = None,
        target_components: str | Sequence[str] | None = None,
        *,
        attention_rows: Literal["kept", "all"] = "kept",
    ) -> InformerExplainabilityResult:
        """Explain the forecast that follows each foreground series.

        Parameters
        ----------
        foreground_series : darts.TimeSeries or sequence of them, optional
            Series whose continuation is explained; by default the background.
        foreground_past_covariates, foreground_future_covariates : optional
            Their covariates, as for `predict`.
        horizons : int or sequence of int, optional
            Steps ahead, from 1 to `output_chunk_length`; by default all. Each takes a backward pass
            for each component.
        target_components : str or sequence of str, optional
            Components of the forecast, with a likelihood its parameters (``"load_q0.500"``); by
            default all.
        attention_rows : {"kept", "all"}
            Whose attention is given back: that of the queries that the selection keeps, or of all,
            which is a number for each pair of tokens.

        Returns
        -------
        InformerExplainabilityResult

        Raises
        ------
        ValueError
            If an argument is outside its range, a series is too short or of other components than
            the background, or covariates are missing.
        """
        check_choice("attention_rows", attention_rows, ("kept", "all"))
        steps = check_horizons(horizons, self.model.output_chunk_length)
        names = check_components(target_components, self.target_components_likelihood)
        given = Given.of(
            foreground_series, foreground_past_covariates, foreground_future_covariates
        )
        check_foreground(self.model, given, self._background, self._largest_value)
        if foreground_series is None:
            given = self._background
        given = given.encoded(self.model)
        warn_of_idle_covariates(self.model, names_of(self.model, given))
        all_rows = attention_rows == "all"
        return InformerExplainabilityResult(
            [
                self._explain_one(given.one(position), steps, names, all_rows=all_rows)
                for position in range(len(given.series))
            ]
        )

    def _explain_one(
        self, given: Given, horizons: list[int], names: list[str], *, all_rows: bool
    ) -> Explanation:
        model, series = self.model, given.series[0]
        lookback, horizon = model.input_chunk_length, model.output_chunk_length
        start = series.end_time() + (1 + model.output_chunk_shift) * series.freq
        ahead = pd.Index([start + step * series.freq for step in range(horizon)])
        times = series.time_index[-lookback:].append(ahead)
        # Only quantiles are in an order.
        sort = self.sort_quantiles and isinstance(model.likelihood, QuantileRegression)
        tracer = Tracer(model.model, window_of(model, given), sort_quantiles=sort)
        outputs = [self.target_components_likelihood.index(name) for name in names]
        attribution = tracer.attribute(self._means, horizons, outputs, self.num_points)
        maps = tracer.attention(times, list(series.components), all_rows=all_rows)
        return Explanation(
            times=times,
            freq=series.freq,
            history=series[-lookback:].to_dataframe(),
            horizons=tuple(horizons),
            components=tuple(names),
            forecast=attribution.forecast.numpy(),
            baseline=attribution.baseline.numpy(),
            added=arrays_by_kind(model, attribution.added, series),
            names=names_of(model, given),
            encoder_layers=tuple(one for one in maps if one.kind == "encoder"),
            decoder_layers=tuple(one for one in maps if one.kind != "encoder"),
        )
