"""``InformerExplainer``: explains forecasts of a fitted Darts model, in the form of Darts' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from darts import TimeSeries
from darts.explainability.explainability import _ForecastingModelExplainer

from informer_forecaster._network.config import LARGEST_VALUE, check_choice, check_integer
from informer_forecaster.adapters._validation import (
    as_list,
    check_inputs,
    check_length,
    check_type,
)
from informer_forecaster.adapters.darts import InformerModel

from .checks import (
    check_background,
    check_components,
    check_covariates,
    check_horizons,
    check_names,
)
from .explanation import Explanation
from .importance import Tracer
from .result import InformerExplainabilityResult
from .windows import arrays_by_kind, background_means, names_of, tensors_of


class InformerExplainer(_ForecastingModelExplainer):  # type: ignore[misc]
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
    >>> quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    >>> model = InformerModel(48, 24, patch_length=1, n_epochs=1, pl_trainer_kwargs=quiet)
    >>> result = InformerExplainer(model.fit(series)).explain(horizons=[1, 24])
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
        if not isinstance(given_model, InformerModel) or not model._fit_called:
            raise ValueError(
                f"`model` must be a fitted InformerModel; got {given_model!r}. Call "
                "`model.fit(series)` first."
            )
        self.num_points = check_integer("num_points", num_points, minimum=1)
        self.sort_quantiles = sort_quantiles
        check_background(
            model, background_series, background_past_covariates, background_future_covariates
        )
        self._largest_value = LARGEST_VALUE[64 if model.model.dtype.itemsize == 8 else 32]
        check_inputs(
            background_series,
            background_past_covariates,
            background_future_covariates,
            largest=self._largest_value,
            prefix="background_",
        )
        super().__init__(
            model,
            background_series,
            background_past_covariates,
            background_future_covariates,
            requires_background=True,
            check_component_names=True,
        )
        self._means = background_means(
            model,
            self.background_series,
            self.background_past_covariates,
            self.background_future_covariates,
        )

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
        steps = check_horizons(horizons, self.n)
        names = check_components(target_components, self.target_components_likelihood)
        given = (foreground_series, foreground_past_covariates, foreground_future_covariates)
        self._check_foreground(*given)
        lists = [as_list(one) for one in self._process_foreground(*given)[:3]]
        explanations = [
            self._explain_one(
                {
                    "series": series,
                    "past_covariates": lists[1][position] if lists[1] else None,
                    "future_covariates": lists[2][position] if lists[2] else None,
                },
                steps,
                names,
                all_rows=attention_rows == "all",
            )
            for position, series in enumerate(lists[0])
        ]
        return InformerExplainabilityResult(explanations)

    def _explain_one(
        self, given: dict[str, Any], horizons: list[int], names: list[str], *, all_rows: bool
    ) -> Explanation:
        dataset = self._dataset(given)
        sample, series = dataset[0], given["series"]
        inputs = tensors_of(sample)
        lookback = self.model.input_chunk_length
        ahead = pd.Index([sample.pred_time + step * series.freq for step in range(self.n)])
        times = series.time_index[-lookback:].append(ahead)
        tracer = Tracer(self.model.model, inputs, sort_quantiles=self.sort_quantiles)
        baseline = {name: self._means[name].expand_as(x) for name, x in inputs.items()}
        outputs = [self.target_components_likelihood.index(name) for name in names]
        attribution = tracer.attribute(baseline, horizons, outputs, self.num_points)
        maps = tracer.attention(times, list(series.components), all_rows=all_rows)
        return Explanation(
            times=times,
            freq=series.freq,
            history=series[-lookback:].to_dataframe(),
            horizons=tuple(horizons),
            components=tuple(names),
            forecast=attribution.forecast.numpy(),
            baseline=attribution.baseline.numpy(),
            added=arrays_by_kind(attribution.added),
            names=names_of(self.model, dataset),
            encoder_layers=tuple(one for one in maps if one.kind == "encoder"),
            decoder_layers=tuple(one for one in maps if one.kind != "encoder"),
        )

    def _dataset(self, given: dict[str, Any]) -> Any:
        """Darts' data set of one window, encodings included."""
        prepared = self.model._setup_for_predict_from_dataset(
            n=self.n, show_warnings=False, **given
        )
        return prepared["dataset"]

    def _check_foreground(self, series: Any, past: Any, future: Any) -> None:
        given = {"past_covariates": past, "future_covariates": future}
        known = (self.background_past_covariates, self.background_future_covariates)
        for name, foreground in {"series": series, **given}.items():
            is_given = name == "series" and series is not None
            check_type(f"foreground_{name}", foreground, required=is_given)
        if series is None:
            if past is not None or future is not None:
                raise ValueError(
                    "`foreground_series` must be given with its covariates; got covariates alone. "
                    "Give the series too, or nothing for the background."
                )
            return
        lookback = self.model.input_chunk_length
        check_length("foreground_series", series, lookback, "input_chunk_length")
        check_names("foreground_series", series, self.target_components)
        for (name, foreground), background in zip(given.items(), known, strict=True):
            check_covariates(f"foreground_{name}", foreground, series, background)
        check_inputs(
            series[-lookback:]
            if isinstance(series, TimeSeries)
            else [one[-lookback:] for one in series],
            past,
            future,
            largest=self._largest_value,
            prefix="foreground_",
            future_steps_ahead=self.model.output_chunk_shift + self.model.output_chunk_length,
        )
