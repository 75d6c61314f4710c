"""Rows that come after the fit: what is known of each series, and what is refused."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from sktime.base import load
from sktime.forecasting.base import ForecastingHorizon
from sktime.split import SlidingWindowSplitter

from informer_forecaster import InformerForecaster

TINY = {**InformerForecaster.get_test_params()[0], "quantiles": None}
DAYS = pd.date_range("2020-01-01", periods=60, freq="D")
Y = pd.Series(np.random.default_rng(0).normal(size=60), DAYS, name="sold")
X = pd.DataFrame({"price": np.random.default_rng(1).normal(size=60)}, DAYS)


def make(**parameters):
    return InformerForecaster(**{**TINY, **parameters})


def panel(rows, columns="y"):
    tables = {label: pd.DataFrame({columns: rows + i}) for i, label in enumerate("st")}
    return pd.concat(tables, names=["shop", "day"])


def test_a_window_that_is_filled_up_is_warned_of():
    """After going back in time, in a new series, and where a network is taken as it is."""
    forecaster = make().fit(Y[:40], fh=[1])
    short = "fewer rows than the look-back window, 4: .* filled up with its first row"
    with pytest.warns(UserWarning, match=f"the series has {short}"):
        forecaster.update(Y[10:13], update_params=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster.update(Y[13:14], update_params=False)
    many = make().fit(panel(Y[:40]), fh=[1])
    new = pd.concat({"v": panel(Y[:40]).loc["s"][-2:]}, names=["shop", "day"])
    with pytest.warns(UserWarning, match=f"series 'v' has {short}"):
        many.update(new, update_params=False)
    with pytest.warns(UserWarning, match=short):
        make().pretrain(panel(Y[:40]), fh=[1]).fit(Y[:2], fh=[1])


def test_a_backtest_with_short_windows_says_so():
    forecaster = make().fit(Y[:40], fh=[1])
    splitter = SlidingWindowSplitter(fh=[1], window_length=2)
    with pytest.warns(UserWarning, match="fewer rows than the look-back window"):
        forecaster.update_predict(Y[20:26], splitter, update_params=False)


@pytest.mark.parametrize(("known", "new"), [(panel(Y[:40]), Y[40:42]), (Y[:40], panel(Y[40:42]))])
def test_rows_of_another_number_of_levels_are_refused(known, new):
    """They would stand beside the known series, and forecasts would lose their labels."""
    forecaster = make().fit(known, fh=[1])
    before = forecaster.predict()
    with pytest.raises(ValueError, match="`y` must have as many levels of series as in `fit`"):
        forecaster.update(new, update_params=False)
    assert forecaster.predict().equals(before)


def test_exogenous_rows_that_are_known_need_not_be_given_again():
    given = make().fit(Y[:40], X=X[:41], fh=[1])
    again = make().fit(Y[:40], X=X[:41], fh=[1])
    given.update(Y[40:41], update_params=False)
    again.update(Y[40:41], X=X[40:41], update_params=False)
    assert given.predict(X=X[41:42]).equals(again.predict(X=X[41:42]))
    with pytest.raises(ValueError, match=r"`X` must have a row with 'price' .* lacks 2020-02-11"):
        given.update(Y[41:42], update_params=False)
    assert given.cutoff[0] == DAYS[40]


def test_exogenous_rows_of_a_series_without_new_rows_are_kept():
    prices = panel(X["price"][:41], "price")
    forecaster = make().fit(panel(Y[:40]), X=prices.groupby(level=0).head(40), fh=[1])
    new = panel(Y[:42]).loc[["s"]].tail(2)
    future = panel(X["price"][:43], "price").groupby(level=0).tail(3)
    forecast = forecaster.update(new, X=future, update_params=False).predict()
    assert list(forecast.index) == [("s", DAYS[42]), ("t", DAYS[40])]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda rows: rows.to_period(), "periods of D"),
        (lambda rows: rows.set_axis(range(40, 40 + len(rows))), "integers"),
        (lambda rows: rows.tz_localize("UTC"), "time stamps of UTC"),
    ],
)
def test_labels_of_another_kind_are_named(change, kind):
    forecaster = make(output_chunk_length=2).fit(Y[:40], X=X[:40])
    rule = "must have labels of one kind .* time stamps without a time zone; .* has"
    for argument, call in (
        ("y", lambda: make().fit(Y[:40], fh=[1]).update(change(Y[40:42]), update_params=False)),
        ("X", lambda: forecaster.predict([1], X=change(X[40:42]))),
    ):
        with pytest.raises(ValueError, match=f"`{argument}` {rule} {kind}"):
            call()
    assert np.isfinite(forecaster.predict([1], X=X[40:42])).all()


def test_a_horizon_without_the_time_zone_is_refused():
    forecaster = make(output_chunk_length=2).fit(Y[:40].tz_localize("UTC"))
    with pytest.raises(ValueError, match=r"`fh` must have labels of one kind .* of UTC"):
        forecaster.predict(ForecastingHorizon(DAYS[40:42], is_relative=False))


def test_an_empty_series_is_refused():
    with pytest.raises(ValueError, match="`y` must have rows; got none"):
        make().fit(Y[:0], fh=[1])


def test_forecasts_keep_the_frequency_of_the_index():
    """What takes a forecast for data, as a second forecaster does, needs it."""
    forecaster = make(output_chunk_length=3, quantiles=(0.1, 0.9)).fit(Y[:40])
    forecast = forecaster.predict([1, 2, 3])
    assert forecast.index.equals(DAYS[40:43])
    assert forecast.index.freq == forecaster.predict_interval([2, 3]).index.freq == DAYS.freq
    assert forecaster.predict([1, 3]).index.freq is None
    make().fit(pd.concat([Y[:40], forecast]).asfreq("D"), fh=[1])


def test_quantiles_of_single_precision_are_numbers_like_others():
    given = make(quantiles=np.array([0.05, 0.1, 0.9], "float32")).fit(Y[:40], fh=[1])
    plain = make(quantiles=(0.05, 0.1, 0.9)).fit(Y[:40], fh=[1])
    assert given.predict_quantiles(alpha=[0.1]).equals(plain.predict_quantiles(alpha=[0.1]))


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2020-03-02 10:00", periods=40, freq="bh"),
        pd.date_range("2020-03-01", periods=40, freq=pd.DateOffset(months=1)),
        DAYS[:40].tz_localize("Europe/Berlin"),
        DAYS[:40].tz_localize("dateutil/Europe/Berlin"),
        DAYS[:40].tz_localize("UTC"),
        pd.period_range("2024-01", periods=40, freq="M"),
    ],
    ids=["business hours", "months", "zone", "dateutil", "UTC", "period"],
)
@pytest.mark.parametrize("serialization_format", ["pickle", "cloudpickle"])
def test_a_saved_forecaster_of_any_step_is_loaded(index, serialization_format, tmp_path):
    forecaster = make().fit(Y[:40].set_axis(index), fh=[1])
    forecaster.save(tmp_path / "saved", serialization_format)
    assert [file.name for file in tmp_path.iterdir()] == ["saved.zip"]
    assert load(str(tmp_path / "saved")).predict().equals(forecaster.predict())


def test_fit_and_predict_in_one_call_keep_a_pretrained_network():
    """What sktime's own would drop without a word."""
    pretrained = make(n_epochs=3).pretrain(panel(Y), fh=[1, 2])
    expected = copy.deepcopy(pretrained).fit(Y[:20], fh=[1, 2]).predict()
    pd.testing.assert_series_equal(pretrained.fit_predict(Y[:20], fh=[1, 2]), expected)
    short = make().pretrain(panel(Y), fh=[1, 2]).fit_predict(Y[:4], fh=[1, 2])
    assert np.isfinite(short).all()


@pytest.mark.parametrize("past", [None, ("price",)])
def test_exogenous_rows_behind_the_last_step_change_nothing(past):
    """Not even the scale: they are the future, which a user may hand over with the rest."""
    parameters = {"past_covariates": past, "n_epochs": 3}
    last = 42 - 2 * (past is not None)
    other = X.copy()
    other[last:] *= 1000.0
    forecasts = [
        make(**parameters).fit(Y[:40], X=rows, fh=[1, 2]).predict(X=rows)
        for rows in (X, other, X[:last])
    ]
    for one in forecasts[1:]:
        pd.testing.assert_series_equal(one, forecasts[0])


@pytest.mark.parametrize("rows", [Y, [panel(Y).loc[label] for label in "st"]], ids=["one", "list"])
def test_an_update_with_a_forecast_gives_the_container_of_fit(rows):
    first, second = (
        (rows[:40], rows[40:43])
        if rows is Y
        else ([r[:40] for r in rows], [r[40:43] for r in rows])
    )
    forecaster = make().fit(first, fh=[1, 2])
    expected = copy.deepcopy(forecaster).update(second).predict()
    found = forecaster.update_predict_single(second)
    assert type(found) is type(expected) is type(rows)
    assert type(forecaster.predict()) is type(rows)
    for one, other in zip(*((x if rows is not Y else [x]) for x in (found, expected)), strict=True):
        pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(other))


def test_an_update_with_a_forecast_that_fails_changes_nothing():
    forecaster = make(output_chunk_length=3).fit(Y[:40], fh=[1])
    before = forecaster.predict()
    with pytest.raises(ValueError, match="`y` must go on where"):
        forecaster.update_predict_single(Y[42:44])
    assert forecaster.cutoff[0] == DAYS[39]
    pd.testing.assert_series_equal(forecaster.predict(), before)


def test_the_scale_of_a_series_grows_with_its_first_rows():
    """A single row has no deviation: intervals in units of it would be far too narrow."""
    parameters = {"use_reversible_instance_norm": False, "quantiles": (0.1, 0.5, 0.9)}
    forecaster = make(**parameters).fit(panel(Y[:40]), fh=[1])
    rows = pd.concat({"v": pd.DataFrame({"y": 1000.0 * Y[40:46]})}, names=["shop", "day"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grown, at_once = (copy.deepcopy(forecaster) for _ in range(2))
        for part in (rows[:1], rows[1:3], rows[3:]):
            grown.update(part, update_params=False)
        at_once.update(rows, update_params=False)
    one, other = (each.predict_interval().loc["v"] for each in (grown, at_once))
    width = float((other.iloc[0, 1] - other.iloc[0, 0]) / 1000.0)
    assert width > 0.01
    assert float((one.iloc[0, 1] - one.iloc[0, 0]) / 1000.0) == pytest.approx(width, rel=1e-6)


def test_a_horizon_of_another_kind_is_named():
    forecaster = make().fit(Y[:40], fh=[1, 2])
    with pytest.raises(ValueError, match=r"`fh` must have labels of one kind .* periods of D"):
        forecaster.predict(fh=pd.period_range("2020-02-10", periods=2))


def test_a_past_column_without_a_future_may_be_left_out():
    forecaster = make(past_covariates=("price",)).fit(Y[:40], X=X[:40], fh=[1, 2])
    with pytest.raises(ValueError, match="column 'price' of the series is nan at 2020-02-10"):
        forecaster.predict(X=X[40:42] * np.nan)
    assert np.isfinite(forecaster.predict()).all()
