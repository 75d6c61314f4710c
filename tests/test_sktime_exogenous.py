"""Exogenous columns: those known ahead, those of the past, and the rows that are needed."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sktime_tables import FH, make, noise, panel


def exogenous(rows=60):
    """A target that is the driver of two steps later, and a column of noise."""
    X = noise(rows, columns=("driver", "noise"), seed=3)
    return X[["driver"]].rename(columns={"driver": "a"}), X


def test_the_known_future_matters():
    y, X = exogenous(150)
    forecaster = make(d_model=16, n_epochs=30, lr=1e-2, time_features=False)
    forecaster.fit(y[:120], X[:120], fh=range(1, 6))
    error = np.abs(forecaster.predict(X=X[120:125]) - y[120:125]).to_numpy().mean()
    assert error < 0.5 * y.to_numpy().std()
    swapped = X[120:125].iloc[::-1].set_axis(X.index[120:125])
    assert np.abs(forecaster.predict(X=swapped) - y[120:125]).to_numpy().mean() > 2 * error


def test_more_rows_than_asked_for_and_history_change_nothing():
    y, X = exogenous()
    forecaster = make().fit(y[:30], X[:30], fh=FH)
    expected = forecaster.predict(X=X[30:33])
    pd.testing.assert_frame_equal(forecaster.predict(X=X[:33]), expected, check_exact=True)


def test_rows_between_the_steps_asked_for_are_needed():
    y, X = exogenous()
    forecaster = make().fit(y[:30], X[:30], fh=[1, 3])
    with pytest.raises(ValueError, match="the series lacks 2003-08"):
        forecaster.predict(X=X.iloc[[30, 32]])
    with pytest.raises(ValueError, match="the series lacks 2003-07, 2003-08, 2003-09"):
        forecaster.predict()


def test_rows_that_fit_was_given_ahead_are_used():
    y, X = exogenous()
    forecaster = make().fit(y[:30], X[:33], fh=FH)
    expected = make().fit(y[:30], X[:33], fh=FH).predict(X=X[30:33])
    pd.testing.assert_frame_equal(forecaster.predict(), expected, check_exact=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"sampling_factor": 1, "sparsity": "sampled"},
        {"attention": "full"},
        {"patch_length": 2},
        {"decoder_causal": False},
    ],
    ids=["prob", "full", "patches", "not causal"],
)
def test_rows_past_the_horizon_cannot_change_the_forecast(parameters):
    y, X = exogenous()
    forecaster = make(output_chunk_length=6, **parameters).fit(y[:30], X[:30])
    expected = forecaster.predict(fh=FH, X=X[30:33])
    garbage = X[30:36].copy()
    garbage.iloc[3:] = 1e6
    for rows in (X[30:36], garbage):
        pd.testing.assert_frame_equal(forecaster.predict(fh=FH, X=rows), expected, check_exact=True)
    known = make(output_chunk_length=6, **parameters).fit(y[:30], X[:30])
    known.update(y[29:30], pd.concat([X[29:30], garbage]), update_params=False)
    pd.testing.assert_frame_equal(known.predict(fh=FH), expected, check_exact=True)


def test_past_columns_need_no_future():
    y, X = exogenous()
    forecaster = make(past_covariates=("noise", "driver")).fit(y[:30], X[:30], fh=FH)
    first = forecaster.predict()
    changed = X[:30].copy()
    changed.iloc[-1] += 100.0
    second = make(past_covariates=("noise", "driver")).fit(y[:30], changed, fh=FH).predict()
    assert (first.to_numpy() != second.to_numpy()).all()
    mixed = make(past_covariates=("noise",)).fit(y[:30], X[:30], fh=FH)
    only = mixed.predict(X=X[["driver"]][30:33])
    pd.testing.assert_frame_equal(mixed.predict(X=X[30:33]), only, check_exact=True)


def test_past_columns_cannot_be_rolled_out():
    """Refused at once, and not after a warning that medians are fed back."""
    y, X = exogenous()
    forecaster = make(past_covariates=("noise",), output_chunk_length=2).fit(y[:30], X[:30])
    rule = r"`fh` must lie within the 2 steps .* `past_covariates`, here noise, .* got step 3\."
    for method in (forecaster.predict, forecaster.predict_interval):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match=rule):
                method(fh=[1, 3], X=X[30:33])


def test_exogenous_columns_that_the_network_does_not_know_are_to_be_left_out():
    y, X = exogenous()
    forecaster = make().fit(y[:30], fh=FH)
    rule = r"`X` must be left out, as the network was trained without .* \['driver', 'noise'\]"
    with pytest.raises(ValueError, match=rule):
        forecaster.predict(X=X[30:33])
    with pytest.raises(ValueError, match=rule):
        forecaster.update(y[30:32], X[30:32])


def test_columns_must_stay_the_same():
    y, X = exogenous()
    with pytest.raises(ValueError, match=r"`past_covariates` must name .* got \['rain'\]"):
        make(past_covariates=("rain",)).fit(y[:30], X[:30], fh=FH)
    forecaster = make().fit(y[:30], X[:30], fh=FH)
    for wrong in (X[["noise"]], X.assign(more=1.0), X.rename(columns={"noise": "rain"})):
        with pytest.raises(ValueError, match=r"`X` must have the columns .*\['driver', 'noise'\]"):
            forecaster.predict(X=wrong[30:33])
    single = make().fit(y[:30], X[["driver"]][:30], fh=FH)
    with pytest.raises(ValueError, match=r"`X` must have the columns .* got \['noise'\]"):
        single.predict(X=X[["noise"]][30:33])
    with pytest.raises(ValueError, match=r"`y` must have the columns .*\['a'\]; got \['a', 'b'\]"):
        forecaster.update(y[30:32].assign(b=1.0), X[30:32])


def test_exogenous_rows_are_needed_for_every_member():
    y = panel()
    X = y.rename(columns={"a": "x"})
    with pytest.raises(ValueError, match="series 'east' is missing from it"):
        make().fit(y, X.loc[["north", "south"]], fh=FH)
    early = y.index.get_level_values(1) < y.index[25][1]
    forecaster = make().fit(y[early], X[early], fh=FH)
    with pytest.raises(ValueError, match="series 'east' lacks 2003-02, 2003-03, 2003-04"):
        forecaster.predict(X=X.loc[["north", "south"]])
