"""What the network is given of a series: its rows, what fills it up, and what is known ahead."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from informer_forecaster import InformerForecaster

TINY = {
    **InformerForecaster.get_test_params()[0],
    "output_chunk_length": 3,
    "early_stopping_patience": None,  # whatever was learnt stays
}
STEPS = pd.RangeIndex(60)


def make(**parameters):
    return InformerForecaster(**{**TINY, **parameters})


def noise(columns="y", seed=0, index=STEPS):
    values = np.random.default_rng(seed).normal(50, 5, (len(index), len(columns)))
    return pd.DataFrame(values, index, list(columns))


def several(tables):
    return pd.concat(tables, names=["shop", "step"])


def network_of(forecaster):
    return forecaster.model_.model.model


def test_quantiles_that_the_network_crosses_are_put_in_order():
    forecaster = make(scaler=None).fit(noise("ab")[:40])
    torch.manual_seed(0)
    for weight in network_of(forecaster).parameters():
        torch.nn.init.normal_(weight)
    trained = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    given = forecaster.predict_quantiles([1, 2, 3], alpha=trained)
    # What Darts makes of the same network crosses, so that something is there to be put in order.
    from darts import TimeSeries

    raw = (
        forecaster.model_.model.predict(
            3,
            TimeSeries.from_values(noise("ab")[:40].to_numpy(np.float32)),
            predict_likelihood_parameters=True,
            show_warnings=False,
        )
        .values()
        .reshape(3, 2, 7)
    )
    assert (np.diff(raw) < 0).any()
    np.testing.assert_allclose(given.to_numpy().reshape(3, 2, 7), np.sort(raw), rtol=1e-5)
    interval = forecaster.predict_interval(coverage=[0.5, 0.9])
    assert (interval.xs("lower", axis=1, level=2) <= interval.xs("upper", axis=1, level=2)).all(
        axis=None
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_a_short_series_stands_for_one_that_begins_with_its_first_row(rows):
    """Zeros would be a drop to nothing that the series never had."""
    y, X = noise(), noise("x", seed=1)
    forecaster = make(scaler=None, input_chunk_length=6).fit(
        several({"a": y[:40]}), several({"a": X[:40]})
    )
    short, filled = y[40:46].copy(), y[40:46].copy()
    filled.iloc[: 6 - rows] = filled.iloc[6 - rows]
    known, ahead = X[40:46].copy(), X[46:49]
    known.iloc[: 6 - rows] = known.iloc[6 - rows]
    new = {"short": slice(6 - rows, None), "filled": slice(None)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecaster.update(
            several(
                {name: (short if name == "short" else filled)[cut] for name, cut in new.items()}
            ),
            several({name: known[cut] for name, cut in new.items()}),
            update_params=False,
        )
    future = several({"a": X[40:43], "short": ahead, "filled": ahead})
    forecast = forecaster.predict([1, 2, 3], X=future)
    np.testing.assert_allclose(forecast.loc["short"], forecast.loc["filled"], rtol=1e-6)


@pytest.mark.parametrize("series", ["one", "panel"])
@pytest.mark.parametrize("left_out", [[42], [41], [40, 41, 42]], ids=str)
def test_no_row_stands_for_one_that_is_missing(series, left_out):
    """A forecast from the price of yesterday would not say so."""
    y, X = noise()[:40], noise("x", seed=1)
    known, ahead = X[:40], X[40:43].drop(left_out)
    if series == "panel":
        y, known = several({"a": y, "b": y}), several({"a": known, "b": known})
        ahead = several({"a": X[40:43], "b": ahead}) if len(ahead) else several({"a": X[40:43]})
    forecaster = make().fit(y, known)
    stamps = ", ".join(map(str, left_out))
    with pytest.raises(ValueError, match=rf"`X` must have a row with 'x' .* lacks {stamps}\."):
        forecaster.predict([1, 2, 3], X=ahead)


def test_a_column_known_for_some_steps_only_is_refused():
    y, X = noise()[:40], noise("xz", seed=1)
    forecaster = make(past_covariates=("z",)).fit(y, X[:40])
    late = X[40:43][["z"]]
    with pytest.raises(ValueError, match="`X` must have the columns"):
        forecaster.predict([1, 2, 3], X=late)


@pytest.mark.parametrize("again", [lambda f, X: f.predict([1, 2, 3], X=X[40:43])])
def test_revised_exogenous_rows_replace_those_of_before(again):
    """A weather forecast of today is better than that of last week."""
    X, old = noise("x", seed=1), noise("x", seed=2)
    y = noise()[:42].add(X["x"][:42], axis=0)
    stale = pd.concat([X[:40], old[40:46]])
    expected = again(make().fit(y[:40], X[:40]), X)
    assert not np.allclose(make().fit(y[:40], stale).predict([1, 2, 3]), expected)
    revised = make().fit(y[:40], stale)
    np.testing.assert_array_equal(again(revised, X), expected)
    # A forecast remembers nothing; an update does, also of rows that it replaces in the past.
    later = copy.deepcopy(revised)
    later.update(y[40:42], X[38:46], update_params=False)
    right = make().fit(y[:40], X[:40]).update(y[40:42], X[38:46], update_params=False)
    np.testing.assert_array_equal(later.predict([1, 2]), right.predict([1, 2]))


def test_each_column_has_its_own_scale():
    """In their own units the columns of one table may differ by a factor of a million."""
    y = noise("ab")[:40] * [1.0, 1e6] + [0.0, 3e7]
    forecast = make().fit(y).predict([1, 2, 3])
    alone = make().fit(noise("ab")[:40]).predict([1, 2, 3])
    np.testing.assert_allclose(forecast, alone * [1.0, 1e6] + [0.0, 3e7], rtol=1e-4)


def test_each_series_has_its_own_scale():
    tables = {"small": noise()[:40], "large": 1e6 * noise()[:40] + 3e7, "other": noise(seed=4)[:40]}
    forecast = make().fit(several(tables)).predict([1, 2, 3])
    np.testing.assert_allclose(forecast.loc["large"], 1e6 * forecast.loc["small"] + 3e7, rtol=1e-5)


def test_past_columns_are_read_up_to_the_last_row_and_no_further():
    y, X = noise()[:40], noise("x", seed=1)
    forecasts = {}
    for change in ("nothing", "last", "next"):
        rows = X[:43].copy()
        if change != "nothing":
            rows.iloc[39 if change == "last" else 40] += 1000.0
        forecaster = make(past_covariates=("x",)).fit(y, X[:40])
        forecaster.update(y[39:40], rows[39:43], update_params=False)
        forecasts[change] = forecaster.predict([1, 2, 3]).to_numpy()
    np.testing.assert_array_equal(forecasts["nothing"], forecasts["next"])
    assert (forecasts["nothing"] != forecasts["last"]).all()


def test_known_columns_are_read_at_their_own_step():
    """The row of step k moves the forecast of step k; without attention it would be all it does."""
    y, X = noise()[:40], noise("x", seed=1)
    forecaster = make().fit(y, X[:40])
    before = forecaster.predict([1, 2, 3], X=X[40:43])
    changed = X[40:43].copy()
    changed.iloc[2] += 5.0
    after = forecaster.predict([1, 2, 3], X=changed)
    assert after.iloc[2, 0] != before.iloc[2, 0]
    # With the rows in another order the forecast is another: none is read for another step.
    turned = X[40:43].iloc[::-1].set_axis(X.index[40:43])
    assert (forecaster.predict([1, 2, 3], X=turned).to_numpy() != before.to_numpy()).any()
