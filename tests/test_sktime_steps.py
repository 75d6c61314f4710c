"""Labels of a forecast: the value of step k stands at step k, for every kind of index."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from sktime.forecasting.base import ForecastingHorizon
from sktime.utils._testing.hierarchical import _make_hierarchical
from sktime_tables import FH, make, noise, panel

from informer_forecaster import InformerModel

INDEXES = {
    "period-month": lambda n: pd.period_range("2001-11", periods=n, freq="M"),
    "period-quarter": lambda n: pd.period_range("2001Q3", periods=n, freq="Q"),
    "period-two-days": lambda n: pd.period_range("2001-11-27", periods=n, freq="2D"),
    "datetime-hour": lambda n: pd.date_range("2001-11-27 22:00", periods=n, freq="h"),
    "datetime-month-end": lambda n: pd.date_range("2001-11-30", periods=n, freq="ME"),
    "datetime-business": lambda n: pd.date_range("2001-11-27", periods=n, freq="B"),
    "datetime-no-freq": lambda n: pd.DatetimeIndex(
        list(pd.date_range("2001-11-01", periods=n, freq="MS"))
    ),
    # Both cross the end of summer time: a local day of 25 hours, a local hour that comes twice.
    "zone-day": lambda n: pd.date_range("2001-10-20", periods=n, freq="D", tz="Europe/Berlin"),
    "zone-hour": lambda n: pd.date_range(
        "2001-10-27 15:00", periods=n, freq="h", tz="Europe/Berlin"
    ),
    "range": lambda n: pd.RangeIndex(n),
    "range-from-7": lambda n: pd.RangeIndex(7, 7 + n),
    "integer": lambda n: pd.Index(np.arange(5, 5 + n)),
}


def line(index, slope=2.0, start=10.0, columns=("a",)):
    steps = np.arange(len(index))[:, None] * slope + start
    values = steps + 100.0 * np.arange(len(columns))
    return pd.DataFrame(values, index=index, columns=list(columns))


@pytest.fixture
def straight(monkeypatch):
    """Let Darts continue each line exactly, with quantiles 0.1 apart."""

    def predict(model, n, series, **_):
        steps = np.arange(1, n + 1, dtype=np.float64)[:, None]
        quantiles = getattr(model.likelihood, "quantiles", (0.5,))
        spread = 0.1 * (np.arange(len(quantiles)) - len(quantiles) // 2)
        forecasts = []
        for one in series:
            before, last = one.values()[-2:].astype(float)
            points = last + steps * (last - before)
            values = (points[:, :, None] + spread).reshape(n, -1)
            forecasts.append(TimeSeries.from_values(values))
        return forecasts

    monkeypatch.setattr(InformerModel, "predict", predict)


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
@pytest.mark.parametrize("fh", [[1, 2, 3], [2, 5]], ids=str)
def test_each_step_stands_at_its_label(index, fh):
    y = line(index(30))
    forecast = make().fit(y[:20], fh=fh).predict()
    expected = y.iloc[[19 + step for step in fh]]
    pd.testing.assert_frame_equal(forecast, expected, check_freq=False, rtol=1e-4)


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
def test_absolute_horizons_are_relative_ones_of_the_same_steps(index):
    y = line(index(30))
    forecaster = make(output_chunk_length=3).fit(y[:20])
    absolute = forecaster.predict(fh=ForecastingHorizon(y.index[[21, 22]], is_relative=False))
    pd.testing.assert_frame_equal(absolute, y.iloc[[21, 22]], check_freq=False, rtol=1e-4)


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
def test_update_moves_the_origin(index):
    y = line(index(30))
    forecaster = make().fit(y[:18], fh=[1, 3])
    for rows in (slice(18, 19), slice(17, 21)):  # a single row, and rows that overlap
        forecaster.update(y[rows], update_params=False)
        expected = y.iloc[[rows.stop, rows.stop + 2]]
        pd.testing.assert_frame_equal(forecaster.predict(), expected, check_freq=False, rtol=1e-4)


@pytest.mark.usefixtures("straight")
@pytest.mark.filterwarnings("ignore:step . of `fh`")
def test_a_roll_out_goes_on_where_the_chunk_ends():
    y = line(pd.RangeIndex(30), columns=("a", "b"))
    forecast = make(output_chunk_length=3).fit(y[:20], fh=[1, 4, 8]).predict()
    pd.testing.assert_frame_equal(forecast, y.iloc[[20, 23, 27]], rtol=1e-4)


@pytest.mark.usefixtures("straight")
def test_panel_members_with_other_cutoffs_are_forecast_from_their_own():
    months = INDEXES["period-month"](40)
    y = pd.concat(
        {"b": line(months[:20]), "a": line(months[5:30], slope=-3.0)}, names=["region", "month"]
    )
    forecaster = make().fit(y, fh=[1, 3])
    expected = pd.concat(
        {
            "b": line(months).iloc[[20, 22]],
            "a": line(months[5:], slope=-3.0).iloc[[25, 27]],
        },
        names=["region", "month"],
    )
    pd.testing.assert_frame_equal(forecaster.predict(), expected, rtol=1e-4)


@pytest.mark.usefixtures("straight")
def test_an_update_of_one_member_leaves_the_others_where_they_were():
    months = INDEXES["period-month"](40)
    y = pd.concat({"b": line(months), "a": line(months)}, names=["region", "month"])
    time = y.index.get_level_values(1)
    forecaster = make().fit(y[time < months[20]], fh=[1])
    forecaster.update(y.loc[["a"]][lambda rows: rows.index.get_level_values(1) < months[25]])
    index = forecaster.predict().index
    assert list(index) == [("b", months[20]), ("a", months[25])]


@pytest.mark.usefixtures("straight")
def test_hierarchies_keep_their_levels_and_order():
    y = _make_hierarchical((2, 2), min_timepoints=20, max_timepoints=20, random_state=0)
    forecast = make().fit(y, fh=[1, 2]).predict()
    assert forecast.index.names == y.index.names
    assert list(forecast.index.droplevel(-1).unique()) == list(y.index.droplevel(-1).unique())
    assert len(forecast) == 8


@pytest.mark.usefixtures("straight")
def test_categories_without_rows_are_no_series():
    """A label that a selection left behind must not become a series without a past."""
    y = panel()
    y.index = y.index.set_levels(y.index.levels[0].astype("category"), level=0)
    kept = y[y.index.get_level_values(0) != "south"]
    forecast = make().fit(kept, fh=FH).predict()
    assert list(forecast.index.unique(0)) == ["north", "east"]


def test_the_output_chunk_is_capped_by_the_data():
    forecaster = make().fit(noise(10), fh=range(1, 30))
    assert forecaster.model_.output_chunk_length == 6
    with pytest.warns(UserWarning, match="step 29 of `fh` is beyond the 6 steps"):
        assert len(forecaster.predict()) == 29
