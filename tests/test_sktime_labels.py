"""Labels that differ from those of the fit, of rows, series and columns: by name, or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.offsets import CustomBusinessDay, FY5253Quarter, LastWeekOfMonth

from informer_forecaster import InformerForecaster

TINY = {**InformerForecaster.get_test_params()[0], "quantiles": None}
DAYS = pd.date_range("2024-01-01", periods=40, freq="D")
HOURS = pd.date_range("2024-03-04", periods=60, freq="h", tz="Europe/Berlin")


def make(**parameters):
    return InformerForecaster(**{**TINY, "output_chunk_length": 3, **parameters})


def noise(index, columns="y", seed=0):
    values = np.random.default_rng(seed).normal(50, 5, (len(index), len(columns)))
    return pd.DataFrame(values, index, list(columns))


def several(table, labels="abc"):
    return pd.concat(dict.fromkeys(labels, table), names=["shop", "day"])


def rows_of(table, start, stop):
    times = table.index.get_level_values(-1)
    return table[(times >= DAYS[start]) & (times < DAYS[stop])]


# A series without a label


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NaT], ids=str)
def test_a_series_without_a_label_is_refused(missing):
    """Pandas drops its rows, so that it would be missing from the forecast without a word."""
    label = {pd.NaT: pd.Timestamp("2024"), None: "north"}.get(missing, 1.0)
    y = several(noise(DAYS), [label, missing])
    with pytest.raises(ValueError, match=r"`y` must have a label .* 'shop' has none in 40 of 80"):
        make().fit(y)
    with pytest.raises(ValueError, match=r"`y` must have a label .* 'shop'"):
        make().pretrain(y)


def test_exogenous_rows_without_a_label_are_refused():
    y, X = several(noise(DAYS)), several(noise(DAYS, "x", seed=1))
    unlabelled = pd.concat([X, several(noise(DAYS, "x"), [None])])
    known, ahead = rows_of(X, 0, 30), rows_of(unlabelled, 30, 33)
    with pytest.raises(ValueError, match=r"`X` must have a label .* 'shop' has none in 30 of 120"):
        make().fit(rows_of(y, 0, 30), rows_of(unlabelled, 0, 30))
    forecaster = make().fit(rows_of(y, 0, 30), known)
    for call in (forecaster.predict, forecaster.explain):
        with pytest.raises(ValueError, match=r"`X` must have a label"):
            call([1, 2], X=ahead)
    before = forecaster.predict([1, 2], X=rows_of(X, 30, 33))
    unlabelled_y = pd.concat([y, several(noise(DAYS), [None])])
    with pytest.raises(ValueError, match=r"`y` must have a label .* 'shop' has none in 2 of 8"):
        forecaster.update(rows_of(unlabelled_y, 30, 32), rows_of(X, 30, 32))
    with pytest.raises(ValueError, match=r"`X` must have a label"):
        forecaster.update(rows_of(y, 30, 32), ahead)
    pd.testing.assert_frame_equal(forecaster.predict([1, 2], X=rows_of(X, 30, 33)), before)


@pytest.mark.parametrize(("level", "name"), [(0, "'region'"), (1, "number 1")])
def test_a_label_is_needed_in_every_level(level, name):
    keys = [["east", "a"], ["east", "b"], ["west", "a"]]
    keys[1][level] = None
    rows = [[*key, day] for key in keys for day in DAYS]
    index = pd.MultiIndex.from_tuples(rows, names=["region", None, "day"])
    y = noise(index)
    with pytest.raises(ValueError, match=f"level {name} has none in 40 of 120 rows"):
        make().fit(y)


# Time zones


def test_the_calendar_is_that_of_the_time_zone():
    """Working hours are hours of the clock on the wall, not of Greenwich."""
    local = noise(HOURS)
    on_the_wall = local.set_axis(HOURS.tz_localize(None))
    every_epoch = {"early_stopping_patience": None}  # of noise there is nothing that gains
    forecasts = [
        make(time_features="all", **every_epoch).fit(y[:50]).predict([1, 2, 3]).to_numpy()
        for y in (local, on_the_wall, local.tz_convert("UTC"))
    ]
    np.testing.assert_array_equal(forecasts[0], forecasts[1])
    assert (forecasts[0] != forecasts[2]).all()


def test_times_of_another_zone_are_refused():
    """Sktime compares what clocks show, not times."""
    y, X = noise(HOURS), noise(HOURS, "x", seed=1)
    there = X.tz_convert("Asia/Kolkata")
    forecaster = make().fit(y[:50], X[:50])
    before = forecaster.predict([1, 3], X=X[50:53])
    rule = "must have labels of one kind .* time stamps of Europe/Berlin; .* has time stamps of"
    for argument, call in (
        ("X", lambda: make().fit(y[:50], there[:50])),
        ("X", lambda: forecaster.predict([1, 3], X=there[50:53])),
        ("fh", lambda: forecaster.predict(HOURS[[50, 52]].tz_convert("UTC"), X=X[50:53])),
        ("y", lambda: forecaster.update(y[50:54].tz_convert("UTC"), X[50:54])),
    ):
        with pytest.raises(ValueError, match=f"`{argument}` {rule} .*`tz_convert`"):
            call()
    pd.testing.assert_frame_equal(forecaster.predict([1, 3], X=X[50:53]), before)


# Calendars


def test_holidays_stay_holidays():
    """The alias of the frequency, C, does not say them."""
    step = CustomBusinessDay(holidays=["2024-03-06", "2024-03-11", "2024-03-14"])
    days = pd.date_range("2024-01-01", periods=60, freq=step)
    y = noise(days)
    forecaster = make().fit(y[:47])
    assert days[48] < pd.Timestamp("2024-03-11") < days[49]
    assert list(forecaster.predict([1, 2, 3]).index) == list(days[47:50])
    forecaster.update(y[47:50], update_params=False)
    assert list(forecaster.predict([1, 2, 3]).index) == list(days[50:53])
    assert list(make().fit(several(y[:47])).predict([2, 3]).loc["b"].index) == list(days[48:50])


@pytest.mark.parametrize("freq", ["bh", "cbh", CustomBusinessDay(holidays=["2024-03-06"])])
def test_steps_without_periods_are_counted(freq):
    stamps = pd.date_range("2024-01-02 10:00", periods=60, freq=freq)
    y = noise(stamps)
    forecaster = make().fit(y[:40])
    assert list(forecaster.predict([1, 3]).index) == list(stamps[[40, 42]])
    with pytest.raises(ValueError, match=r"`fh` must count steps .* Give numbers"):
        forecaster.predict(stamps[40:43])
    with pytest.raises(ValueError, match=r"`fh` must count steps .* Give numbers"):
        make().fit(y[:40], fh=stamps[40:43])


@pytest.mark.parametrize(
    "freq",
    [FY5253Quarter(startingMonth=1, weekday=5, variation="last"), LastWeekOfMonth(weekday=2)],
)
def test_calendars_that_sktime_cannot_carry_are_told_to_be_counted(freq):
    """With pandas 3.1 sktime carries them."""
    stamps = pd.date_range("2001-01-01", periods=42, freq=freq)
    known = noise(stamps)[:40]
    for y in (known, known["y"], several(known)):
        if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1):
            labels = make().fit(y).predict([1, 2]).index.get_level_values(-1).unique()
            assert list(labels) == list(stamps[40:])
        else:
            with pytest.raises(ValueError, match=r"`y` must have a frequency .* Count the rows"):
                make().fit(y)
    assert len(make().fit(known.reset_index(drop=True)).predict([1, 2])) == 2


# Columns


def test_columns_are_read_by_name():
    y, X = noise(DAYS, "ab"), noise(DAYS, "pqr", seed=1)
    forecaster = make(past_covariates=("q",)).fit(y[:30], X[:30])
    expected = forecaster.predict([1, 2], X=X[30:32])
    turned = forecaster.predict([1, 2], X=X[30:32][["r", "p"]])
    pd.testing.assert_frame_equal(turned, expected)
    forecaster.update(y[30:34][["b", "a"]], X[30:34][["q", "r", "p"]], update_params=False)
    other = make(past_covariates=("q",)).fit(y[:30], X[:30])
    other.update(y[30:34], X[30:34], update_params=False)
    pd.testing.assert_frame_equal(
        forecaster.predict([1], X=X[34:35])[["a", "b"]], other.predict([1], X=X[34:35])
    )


@pytest.mark.parametrize("change", [lambda y: y, lambda y: y["y"]], ids=["table", "series"])
def test_rows_under_another_name_are_refused(change):
    """Rain is no sale, even where a table has one column only."""
    y = noise(DAYS)
    forecaster = make().fit(change(y[:30]))
    rain = change(y[30:33])
    rain = rain.rename("rain") if rain.ndim == 1 else rain.rename(columns={"y": "rain"})
    with pytest.raises(ValueError, match=r"`y` must have the columns .*\['y'\]; got \['rain'\]"):
        forecaster.update(rain, update_params=False)
    expected = make().fit(change(y[:30])).update(change(y[30:33])).predict([1])
    nameless = forecaster.update(y["y"][30:33].rename(None)).predict([1])
    np.testing.assert_array_equal(nameless, expected.to_numpy().ravel())


def test_pretrained_columns_keep_their_names_or_change_all():
    two = several(noise(DAYS, "ab"))
    for given in ("ba", "xy"):
        table = noise(DAYS, given)
        assert list(make().pretrain(two).fit(table).predict([1]).columns) == list(given)
    with pytest.raises(
        ValueError, match=r"`y` must have the columns .*\['a', 'b'\]; got \['b', 'c'"
    ):
        make().pretrain(two).fit(noise(DAYS, "bc"))


# Another step than that of the training


@pytest.mark.parametrize(
    ("trained", "given", "taken"),
    [("D", "2D", False), ("30min", "15min", False), ("D", "B", True), ("ME", "MS", True)],
)
def test_a_pretrained_network_takes_the_step_that_it_was_trained_on(trained, given, taken):
    """Calendar features may be the same where the step is not: of one day and of two."""
    y = several(noise(pd.date_range("2024-01-01", periods=40, freq=trained)))
    other = noise(pd.date_range("2024-01-01", periods=40, freq=given))
    forecaster = make(time_features="all").pretrain(y)
    if taken:
        assert len(forecaster.fit(other).predict([1])) == 1
        return
    with pytest.raises(ValueError, match=r"`y` must have a step of the length .* `time_features=F"):
        forecaster.fit(other)
    assert len(make(time_features=False).pretrain(y).fit(other).predict([1])) == 1


@pytest.mark.parametrize("freq", ["h", "12h", "2D", "W", "B"])
def test_rows_of_another_step_are_refused(freq):
    forecaster = make().fit(noise(DAYS[:30]))
    before = forecaster.predict([1, 2])
    later = noise(pd.date_range(DAYS[30], periods=30, freq=freq))
    with pytest.raises(ValueError, match="`y` must have"):
        forecaster.update(later, update_params=False)
    pd.testing.assert_frame_equal(forecaster.predict([1, 2]), before)


def test_the_name_of_the_columns_stays():
    y = noise(DAYS, "ab").rename_axis(columns="sensor")
    forecaster = make().fit(y[:30])
    assert forecaster.predict([1, 2]).columns.equals(y.columns)
    assert forecaster.predict([1, 2]).columns.name == "sensor"
    forecaster.update(y[30:32].rename_axis(columns="probe"), update_params=False)
    assert forecaster.predict([1, 2]).columns.name == "probe"
