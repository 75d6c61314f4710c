"""Steps without weight do not matter: a sensor may have failed there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

WHOLE = {"limit_train_batches": None}
LENGTH, BROKEN = 180, slice(60, 100)
INDEX = pd.date_range("2024-01-01", periods=LENGTH + 8, freq="h")


def table(values):
    values = np.asarray(values, dtype=np.float32).reshape(len(values), -1)
    return TimeSeries.from_times_and_values(INDEX[: len(values)], values)


@pytest.fixture(scope="module")
def driven():
    """Make a series, a covariate whose size drives it, and weights: 0 while a sensor fails.

    Windows of up to eleven steps after the failure look back at it, and have no weight either.
    """
    draw = np.random.default_rng(0)
    covariate = draw.normal(size=LENGTH + 8)
    series = 3 * np.abs(covariate[:LENGTH]) + 0.1 * draw.normal(size=LENGTH)
    weight = np.ones(LENGTH)
    weight[BROKEN.start : BROKEN.stop + 11] = 0
    return table(series), table(covariate), table(weight)


def broken(series, value=-9999.0, steps=BROKEN):
    values = series.values().copy()
    values[steps] = value
    return table(values)


def forecast(tiny_model, series, weight, known, **covariates):
    """Forecast by the start of a training, from covariates that did not fail."""
    options = {"time_features": False, "n_epochs": 0, "trainer": WHOLE}
    model = tiny_model(**options).fit(series, sample_weight=weight, **covariates)
    return model.predict(4, series, **dict.fromkeys(covariates, known)).values()


@pytest.mark.parametrize("name", ["past_covariates", "future_covariates"])
def test_a_covariate_may_fail_where_no_step_has_weight(tiny_model, driven, name):
    """One value of a failed sensor set the unit of the covariate, and no effect was left."""
    series, covariate, weight = driven
    # The step before reads a covariate known ahead, too: from the last step with weight on.
    steps = slice(BROKEN.start + 1, BROKEN.stop)
    spoilt = broken(covariate, steps=steps)
    found = forecast(tiny_model, series, weight, covariate, **{name: spoilt})
    wanted = forecast(tiny_model, series, weight, covariate, **{name: covariate})
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("weight_of_failure", [0.0, 1e-12])
def test_a_failure_is_forgotten_to_its_weight(tiny_model, driven, weight_of_failure):
    """As good as none is none; the value that is known one step ahead may fail as well."""
    series, covariate, weight = driven
    weight = broken(weight, weight_of_failure, slice(BROKEN.start, BROKEN.stop + 11))
    found = forecast(
        tiny_model, broken(series), weight, covariate, future_covariates=broken(covariate)
    )
    truth = 3 * np.abs(covariate.values()[LENGTH : LENGTH + 4])
    assert np.abs(found - truth).mean() < 0.4


def test_without_the_instance_norm_a_component_may_have_no_weight(tiny_model, waves):
    """Its level is not known; the other component's forecast is that of the weights."""
    series = waves(120, components=2)
    weight = series.with_values(np.tile([1.0, 0.0], (120, 1)))
    options = {"n_epochs": 0, "trainer": WHOLE, "use_reversible_instance_norm": False}
    model = tiny_model(**options).fit(series[:-4], sample_weight=weight)
    error = model.predict(4).values() - series[-4:].values()
    assert np.abs(error[:, 0]).mean() < 0.3
