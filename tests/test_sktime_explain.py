"""The explanation of sktime's forecaster: in the units, names and time stamps of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sktime.exceptions import NotFittedError

from informer_forecaster import InformerForecaster

TINY = {
    "input_chunk_length": 16,
    "d_model": 8,
    "nhead": 2,
    "dim_feedforward": 8,
    "n_epochs": 1,
    "sampling_factor": 1,
    "sparsity": "sampled",
    "random_state": 0,
    "pl_trainer_kwargs": {"accelerator": "cpu"},
}
MONTHS = pd.period_range("2000-01", periods=60, freq="M")


def table(columns, scale=100.0, seed=0, index=MONTHS):
    """Noise around 3 times its scale."""
    values = np.random.default_rng(seed).normal(3, 1, (len(index), len(columns)))
    return pd.DataFrame(values * scale, index=index, columns=columns)


def check_against_forecast(explanation, forecast):
    """The explained forecast is the forecast, and what is added sums to it from the baseline."""
    np.testing.assert_allclose(explanation.forecast, forecast, rtol=1e-4)
    sums = explanation.completeness()
    difference = (sums["forecast"] - sums["baseline"]).abs().max()
    assert difference > 0
    # Quantiles of a network as good as untrained cross, which takes many points to follow.
    assert sums["gap"].abs().max() < 5e-2 * difference


@pytest.mark.parametrize(
    "arguments", [{}, {"quantiles": None, "scaler": None}, {"channel_independent": False}]
)
def test_columns_of_every_kind_are_explained(arguments):
    y, X = table(["a", "b"]), table(["plan", "rain"], scale=5.0, seed=1)
    forecaster = InformerForecaster(**{**TINY, **arguments}, past_covariates=("rain",))
    forecaster.fit(y[:40], X=X[:40], fh=[1, 2, 3])
    explanation = forecaster.explain(X=X[["plan"]][40:43])
    forecast = forecaster.predict(X=X[["plan"]][40:43])
    check_against_forecast(explanation, forecast)
    importance = explanation.importance(2, "b")
    assert list(importance.columns) == [
        *("a_target", "b_target", "rain_pastcov", "plan_futcov", "month_of_year_futcov")
    ]
    assert list(importance.index) == list(MONTHS[24:43])
    np.testing.assert_allclose(explanation.history, y[24:40])
    channels = ("all",) if "channel_independent" in arguments else ("a", "b")
    assert explanation.encoder_layers[0].channels == channels
    times = explanation.encoder_layers[1].queries["time"]
    assert list(times) == list(MONTHS[24:40:2])


def test_a_series_keeps_its_name_and_its_plots_have_its_dates():
    y = table(["sales"])["sales"]
    explanation = InformerForecaster(**TINY).fit(y, fh=[1, 2]).explain(fh=[2])
    assert explanation.components == ("sales",)
    assert explanation.horizons == (2,)
    figure = explanation.plot_importance()
    first, last = figure.axes[0].dataLim.intervalx
    axis = figure.axes[0]
    stamps = pd.PeriodIndex(explanation.times).to_timestamp()
    assert first == axis.convert_xunits(stamps[0])
    assert last == axis.convert_xunits(stamps[-1])
    for plot in (explanation.plot_sparsity, explanation.plot_attention):
        plot(1).draw_without_rendering()
    plt.close("all")


def test_series_of_a_panel_are_explained_each_by_its_label():
    tables = {
        name: table(["y"], scale, seed) for seed, (name, scale) in enumerate([("s", 1), ("t", 9)])
    }
    panel = pd.concat(tables, names=["store", "month"])
    forecaster = InformerForecaster(**TINY).fit(panel, fh=[1, 2])
    found = forecaster.explain()
    assert list(found) == ["s", "t"]
    forecasts = forecaster.predict()
    for name, explanation in found.items():
        check_against_forecast(explanation, forecasts.loc[name])


def test_an_explanation_survives_a_copy_and_leaves_the_forecast_alone():
    forecaster = InformerForecaster(**TINY).fit(table(["y"]), fh=[1, 2])
    before = forecaster.predict()
    first = forecaster.explain().importance()
    pd.testing.assert_frame_equal(
        forecaster.clone().fit(table(["y"]), fh=[1, 2]).explain().importance(), first
    )
    pd.testing.assert_frame_equal(forecaster.predict(), before)


def test_what_cannot_be_explained_is_refused():
    forecaster = InformerForecaster(**TINY, output_chunk_length=3)
    with pytest.raises(NotFittedError):
        forecaster.explain(fh=1)
    forecaster.fit(table(["y"]))
    with pytest.raises(ValueError, match=r"`fh` must lie within the 3 steps.*got .* \[1, 4\]"):
        forecaster.explain(fh=[1, 4])
    with pytest.raises(ValueError, match=r"got the steps \[0, 1\]"):
        forecaster.explain(fh=[0, 1])
    with pytest.raises(ValueError, match="`X`"):
        forecaster.explain(fh=1, X=table(["unknown"]))
    long, short = table(["y"]), table(["y"], index=MONTHS[:9])
    panel = pd.concat({"long": long, "short": short}, names=["store", "month"])
    with pytest.warns(UserWarning, match="not trained on"):
        forecaster.fit(panel)
    with pytest.raises(ValueError, match=r"`y` must have 16 rows.*series 'short' has 9"):
        forecaster.explain(fh=1)
