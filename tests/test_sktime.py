"""Values, labels and errors of the forecaster: what sktime's own checks do not look at."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from sktime.datatypes import convert_to
from sktime.forecasting.base import ForecastingHorizon
from sktime.transformations.series.impute import Imputer
from sktime.utils._testing.hierarchical import _make_hierarchical

from informer_forecaster import InformerConfig, InformerForecaster
from informer_forecaster.adapters._global_model import interpolate_quantiles
from informer_forecaster.adapters._model_holder import ModelHolder, _on_one_device
from informer_forecaster.adapters._sktime_index import step_of

TINY = InformerForecaster.get_test_params()[0]
FH = [1, 2, 3]

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


def make(**parameters):
    return InformerForecaster(**{**TINY, **parameters})


def line(index, slope=2.0, start=10.0, columns=("a",)):
    steps = np.arange(len(index))[:, None] * slope + start
    values = steps + 100.0 * np.arange(len(columns))
    return pd.DataFrame(values, index=index, columns=list(columns))


def noise(rows=40, columns=("a",), seed=0, index=None):
    index = pd.period_range("2001-01", periods=rows, freq="M") if index is None else index
    values = np.random.default_rng(seed).normal(50, 5, size=(len(index), len(columns)))
    return pd.DataFrame(values, index=index, columns=list(columns))


def panel(lengths=(30, 30, 30), names=("north", "south", "east"), seed=0):
    tables = {
        name: noise(n, seed=seed + i)
        for i, (name, n) in enumerate(zip(names, lengths, strict=False))
    }
    return pd.concat(tables, names=["region", "month"])


def weights(forecaster):
    return forecaster.model_.network.model.model.state_dict()


def same_weights(left, right):
    return all(torch.equal(value, right[name]) for name, value in left.items())


@pytest.fixture
def straight(monkeypatch):
    """Put a network in place that continues each line exactly, with quantiles 0.1 apart."""

    def forecast_chunk(self, samples, trainer):  # noqa: ARG001 - the method's own arguments
        steps = np.arange(1, self.model.output_chunk_length + 1, dtype=np.float64)[:, None]
        spread = 0.0 if self.quantiles is None else 0.1 * (np.arange(len(self.quantiles)) - 3)
        chunks = []
        for sample in samples:
            last, before = sample.target[-1].astype(float), sample.target[-2].astype(float)
            points = last + steps * (last - before)
            chunks.append(points[:, :, None] + spread)
        return chunks

    monkeypatch.setattr(ModelHolder, "_forecast_chunk", forecast_chunk)


# Labels: the value forecast for step k stands at step k


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


# Values


def test_a_seasonal_series_is_learnt():
    steps = np.arange(150)
    y = pd.Series(1e4 + 1e3 * np.sin(2 * np.pi * steps / 12), name="sales")
    forecaster = make(input_chunk_length=24, d_model=16, n_epochs=40, batch_size=8, lr=5e-3)
    forecast = forecaster.fit(y[:120], fh=range(1, 13)).predict()
    assert forecast.name == "sales"
    # The mean is 707 off and a forecast near zero 10,000.
    assert np.abs(forecast - y[120:132]).mean() < 200


@pytest.mark.parametrize("parameters", InformerForecaster.get_test_params(), ids=str)
def test_two_fits_with_one_seed_are_equal(parameters):
    y = noise()
    first, second = (InformerForecaster(**parameters).fit(y, fh=FH).predict() for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_seeds_differ():
    y = noise()
    first, second = (make(random_state=seed).fit(y, fh=FH).predict() for seed in (0, 1))
    assert (first != second).all(axis=None)


def test_the_callers_random_numbers_do_not_move():
    state = torch.random.get_rng_state()
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002 - what Darts could move
    forecaster = make().fit(noise(), fh=FH)
    forecaster.predict()
    pickle.loads(pickle.dumps(forecaster))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002


def test_constant_series_are_forecast_as_they_are():
    y = pd.DataFrame({"a": np.full(30, 0.1), "b": np.full(30, 1e12)})
    forecast = make(n_epochs=3).fit(y, fh=FH).predict()
    assert np.isfinite(forecast).all(axis=None)
    np.testing.assert_allclose(forecast["b"], 1e12, rtol=1e-6)


def test_units_do_not_matter():
    y = noise()
    plain = make().fit(y, fh=FH).predict()
    scaled = make().fit(y * 1e6 - 3e6, fh=FH).predict()
    np.testing.assert_allclose(scaled, plain * 1e6 - 3e6, rtol=1e-5)


def test_without_a_scaler_the_network_sees_the_values():
    forecaster = make(scaler=None).fit(noise(), fh=FH)
    (instance,) = forecaster._context.values()
    assert (instance.center, instance.scale) == (0.0, 1.0)


def test_column_order_of_later_tables_does_not_matter():
    y, X = noise(columns=("a", "b")), noise(columns=("p", "q"), seed=1)
    forecasts = []
    for order in (1, -1):
        forecaster = make().fit(y[:20], X[:20], fh=FH)
        forecaster.update(y[20:25].iloc[:, ::order], X[20:25].iloc[:, ::order])
        forecasts.append(forecaster.predict(X=X[25:28].iloc[:, ::order]))
    pd.testing.assert_frame_equal(forecasts[0], forecasts[1][["a", "b"]], check_exact=True)


def test_calendar_features_depend_on_the_index():
    weeks = noise(index=pd.date_range("2001-01-01", periods=40, freq="D"))
    shifted = weeks.set_axis(weeks.index.shift(3))
    on, off = (make(time_features=features) for features in (True, False))
    assert (on.fit(weeks, fh=FH).predict().values != on.fit(shifted, fh=FH).predict().values).all()
    assert (
        off.fit(weeks, fh=FH).predict().values == off.fit(shifted, fh=FH).predict().values
    ).all()


@pytest.mark.parametrize(
    ("time_features", "names"),
    [
        (True, ("day_of_week",)),
        ("all", ("day_of_week", "day_of_month", "day_of_year")),
        (False, ()),
    ],
)
@pytest.mark.parametrize("make_index", [pd.date_range, pd.period_range])
def test_features_need_a_cycle_that_comes_again(make_index, time_features, names):
    """The day of the year in forty days is the date; a shorter series keeps what was learnt."""
    days = noise(index=make_index("2001-01-01", periods=40, freq="D"))
    forecaster = make(time_features=time_features).fit(days, fh=FH)
    assert forecaster.model_.layout.features == names
    several = pd.concat(dict.fromkeys("ab", days), names=["region", "day"])
    forecaster = make(time_features=time_features).pretrain(several, fh=FH)
    assert forecaster.fit(days[:20], fh=FH).model_.layout.features == names


# Quantiles


@pytest.mark.filterwarnings("ignore:step . of `fh`")
@pytest.mark.parametrize("fh", [FH, [2, 8]], ids=["one pass", "roll-out"])
def test_quantiles_do_not_cross_and_the_median_is_the_point(fh):
    y = panel()
    forecaster = make(output_chunk_length=3, n_epochs=2).fit(y)
    alpha = [0.001, 0.05, 0.07, 0.5, 0.8, 0.95, 0.999]
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=alpha)
    assert (np.diff(quantiles.to_numpy(), axis=1) >= 0).all()
    np.testing.assert_array_equal(
        quantiles[("a", 0.5)].to_numpy(), forecaster.predict(fh=fh)["a"].to_numpy()
    )


def test_an_array_of_several_series_and_columns_is_forecast():
    """Its columns have no names, but for those of the table that sktime makes of it."""
    values = np.random.default_rng(0).normal(size=(3, 2, 40))
    table = convert_to(values, "pd-multiindex", as_scitype="Panel")
    by_array, by_table = make().fit(values, fh=FH), make().fit(table, fh=FH)
    expected = by_table.predict()
    assert by_array.predict().shape == (3, 2, 3)
    np.testing.assert_array_equal(
        by_array.predict(), convert_to(expected, "numpy3D", as_scitype="Panel")
    )
    some = by_array.predict_quantiles(alpha=[0.1, 0.9])
    np.testing.assert_array_equal(some, by_table.predict_quantiles(alpha=[0.1, 0.9]))
    by_table.update(values[:, :, :4], update_params=False)
    assert by_table.predict().shape == (3, 2, 3)


def test_alphas_keep_their_order():
    forecaster = make().fit(noise(columns=("a", "b")), fh=FH)
    some = forecaster.predict_quantiles(alpha=[0.9, 0.1])
    assert list(some.columns) == [("a", 0.9), ("a", 0.1), ("b", 0.9), ("b", 0.1)]
    all_of_them = forecaster.predict_quantiles(alpha=[0.1, 0.9])
    pd.testing.assert_frame_equal(some, all_of_them[some.columns], check_exact=True)


def test_quantiles_of_a_normal_distribution_are_exact():
    from scipy.stats import norm

    trained, alpha = (0.05, 0.25, 0.5, 0.75, 0.95), (0.01, 0.1, 0.5, 0.6, 0.99)
    values = norm.ppf(trained, loc=3, scale=2)[None]
    wanted = interpolate_quantiles(values, trained, alpha)
    np.testing.assert_allclose(wanted[0], norm.ppf(alpha, loc=3, scale=2))


def test_without_quantiles_there_are_no_intervals():
    forecaster = make(quantiles=None).fit(noise(), fh=FH)
    assert not forecaster.get_tag("capability:pred_int")
    methods = ("predict_interval", "predict_quantiles", "predict_var", "predict_proba")
    for method in methods:
        with pytest.raises(
            NotImplementedError, match=r"does not have .* `quantiles` is None.*fit again"
        ):
            getattr(forecaster, method)()


def test_variance_and_distribution_come_with_the_quantiles():
    forecaster = make().fit(noise(), fh=FH)
    assert (forecaster.predict_var() > 0).all(axis=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sktime's word on a package that it could use
        distribution = forecaster.predict_proba()
    np.testing.assert_allclose(distribution.mean(), forecaster.predict())


# State: what is stored, copied and sent to another process


COPIES = {
    "pickle": lambda f: pickle.loads(pickle.dumps(f)),
    "deepcopy": copy.deepcopy,
    "memory": lambda f: type(f).load_from_serial(f.save()[1]),
    "copy of a copy": lambda f: copy.deepcopy(pickle.loads(pickle.dumps(f))),
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("parameters", InformerForecaster.get_test_params(), ids=["0", "1", "2"])
def test_copies_forecast_the_same_numbers(duplicate, parameters):
    y, X = noise(columns=("a", "b")), noise(columns=("p",), seed=1)
    original = InformerForecaster(**parameters).fit(y[:30], X[:30], fh=FH)
    twin = duplicate(original)
    expected = original.predict(X=X[30:33])
    pd.testing.assert_frame_equal(twin.predict(X=X[30:33]), expected, check_exact=True)
    # The copy is one of its own: training it leaves the original alone, and goes the same way.
    twin.update(y[30:36], X[30:36])
    pd.testing.assert_frame_equal(original.predict(X=X[30:33]), expected, check_exact=True)
    original.update(y[30:36], X[30:36])
    assert same_weights(weights(original), weights(twin))


def test_clone_and_refit_gives_the_same_numbers():
    forecaster = make().fit(noise(), fh=FH)
    expected = forecaster.predict()
    for other in (forecaster.clone(), forecaster):
        pd.testing.assert_frame_equal(
            other.fit(noise(), fh=FH).predict(), expected, check_exact=True
        )


def test_a_file_is_read_by_a_process_that_knows_only_sktime(tmp_path):
    forecaster = make().fit(noise(), fh=FH)
    forecaster.save(tmp_path / "model")
    script = (
        "from sktime.base import load\n"
        f"print(load({str(tmp_path / 'model')!r}).predict()['a'].map(float.hex).tolist())"
    )
    root = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.strip() == str(forecaster.predict()["a"].map(float.hex).tolist())


def test_a_file_of_another_format_is_refused():
    holder = make().fit(noise(), fh=FH).model_.network
    state = {**holder.__getstate__(), "format": 99}
    with pytest.raises(ValueError, match=r"format 99.*reads format 1"):
        ModelHolder.__new__(ModelHolder).__setstate__(state)


def test_a_forecast_runs_where_the_training_device_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    forecaster = make().fit(noise(), fh=FH)
    expected = forecaster.predict()
    # As a forecaster reads that was fitted on a machine with a GPU and loaded on this one.
    forecaster.pl_trainer_kwargs = {"accelerator": "gpu", "devices": [3]}
    pd.testing.assert_frame_equal(forecaster.predict(), expected, check_exact=True)


def test_training_goes_on_where_the_training_device_is_missing(monkeypatch):
    y = noise()
    expected = make().fit(y[:30], fh=FH).update(y[30:]).predict()
    forecaster = make().fit(y[:30], fh=FH)
    no_gpu(monkeypatch)
    forecaster.pl_trainer_kwargs = {"accelerator": "gpu", "devices": 4, "strategy": "ddp"}
    pd.testing.assert_frame_equal(forecaster.update(y[30:]).predict(), expected, check_exact=True)


@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_first_fit_needs_the_device_that_it_names(monkeypatch, accelerator):
    no_gpu(monkeypatch)
    message = rf"accelerator='{accelerator}'.*no GPU on this machine; leave out `accelerator`"
    with pytest.raises(ValueError, match=message):
        make(pl_trainer_kwargs={"accelerator": accelerator}).fit(noise(), fh=FH)


def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("devices", [2, "auto"])
def test_a_forecast_uses_one_device(devices):
    forecaster = make().fit(panel(), fh=FH)
    expected = forecaster.predict()
    forecaster.pl_trainer_kwargs = {"accelerator": "cpu", "devices": devices}
    pd.testing.assert_frame_equal(forecaster.predict(), expected, check_exact=True)
    forecaster.pl_trainer_kwargs["strategy"] = "ddp_spawn"
    pd.testing.assert_frame_equal(forecaster.predict(), expected, check_exact=True)


def test_training_uses_one_device_unless_told():
    assert make()._trainer_arguments()["devices"] == 1
    assert make(pl_trainer_kwargs={"devices": 2})._trainer_arguments()["devices"] == 2
    assert _on_one_device({"devices": [3, 4], "strategy": "ddp"}) == {"devices": [3]}


def test_files_hold_no_data_but_the_context():
    small, large = (make().fit(noise(rows), fh=FH) for rows in (50, 2500))
    assert len(pickle.dumps(large)) - len(pickle.dumps(small)) < 100


# Update


def test_update_trains_only_if_asked_to():
    y = noise()
    forecaster = make().fit(y[:30], fh=FH)
    before, origin = weights(forecaster), forecaster.predict()
    forecaster.update(y[30:35], update_params=False)
    assert same_weights(before, weights(forecaster))
    assert (forecaster.predict().to_numpy() != origin.to_numpy()).all()
    forecaster.update(y[35:36], update_params=True)
    assert not same_weights(before, weights(forecaster))


def test_no_update_epochs_means_no_training():
    forecaster = make(update_epochs=0).fit(noise()[:30], fh=FH)
    before = weights(forecaster)
    assert same_weights(before, weights(forecaster.update(noise()[30:])))


def test_rows_of_an_update_replace_those_they_overlap():
    y = noise()
    forecaster = make().fit(y[:30], fh=FH).update(y[25:33] + 7.0, update_params=False)
    (context,) = forecaster._context.values()
    pd.testing.assert_frame_equal(context.y, y[26:33] + 7.0, check_freq=False)
    forecaster.update(y[20:28], update_params=False)
    (context,) = forecaster._context.values()
    pd.testing.assert_frame_equal(context.y, y[21:28], check_freq=False)


def test_a_new_member_is_forecast_without_a_refit():
    y = panel()
    forecaster = make().fit(y.loc[["north", "south"]], fh=FH)
    forecaster.update(y.loc[["east"]], update_params=False)
    assert list(forecaster.predict().index.levels[0]) == ["east", "north", "south"]
    alone = make().pretrain(y.loc[["north", "south"]], fh=FH).fit(y.loc["east"], fh=FH)
    np.testing.assert_allclose(forecaster.predict().loc["east"], alone.predict(), rtol=1e-4)


def test_update_after_a_gap_needs_a_whole_window():
    y = noise()
    forecaster = make().fit(y[:20], fh=FH)
    with pytest.raises(ValueError, match=r"must go on where .* none at 2002-09, 2002-10"):
        forecaster.update(y[22:24], update_params=False)
    forecaster.update(y[22:30], update_params=False)
    assert list(forecaster.predict().index) == list(y.index[30:33])


def test_a_refused_update_changes_nothing():
    y = noise()
    forecaster = make().fit(y[:20], fh=FH)
    expected, cutoff = forecaster.predict(), forecaster.cutoff
    broken = y[20:22].copy()
    broken.iloc[0] = np.nan
    for rows in (y[22:24], broken, y[20:22].assign(b=1.0), y[20:22].replace(y.iloc[20, 0], np.inf)):
        with pytest.raises(ValueError, match="`y` must"):
            forecaster.update(rows)
        pd.testing.assert_index_equal(forecaster.cutoff, cutoff)
        pd.testing.assert_frame_equal(forecaster.predict(), expected, check_exact=True)
    forecaster.update(y[20:22], update_params=False)
    assert forecaster.predict().index[0] == y.index[22]


def test_an_update_that_fails_in_training_changes_nothing(monkeypatch):
    y = noise()["a"]
    forecaster = make().fit(y[:20], fh=FH)
    expected, before, cutoff = forecaster.predict(), weights(forecaster), forecaster.cutoff

    def fail(self, *arguments, **more):  # noqa: ARG001 - the method's own arguments
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(ModelHolder, "train", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            forecaster.update(y[20:22])
    pd.testing.assert_index_equal(forecaster.cutoff, cutoff)
    pd.testing.assert_series_equal(forecaster.predict(), expected, check_exact=True)
    assert same_weights(before, weights(forecaster))


def test_an_update_of_too_few_rows_to_train_is_used_for_the_forecast():
    forecaster = make().pretrain(panel(), fh=FH)
    y = noise()
    forecaster.fit(y[:4], fh=FH)
    before = weights(forecaster)
    with pytest.warns(UserWarning, match="no series has the 7 rows") as caught:
        forecaster.update(y[4:5])
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]
    assert same_weights(before, weights(forecaster))
    pd.testing.assert_index_equal(forecaster.predict().index, y.index[5:8])
    forecaster.update(y[5:7])
    assert not same_weights(before, weights(forecaster))


# Panels, pretraining


def test_a_member_is_forecast_as_it_is_alone():
    y = panel()
    together = make().fit(y, fh=FH).predict()
    model = make().pretrain(y, fh=FH)
    for name in ("north", "south", "east"):
        alone = model.clone().fit(y.loc[name], fh=FH).predict()
        np.testing.assert_allclose(together.loc[name], alone, rtol=1e-5)


def test_short_members_are_named_and_forecast():
    y = panel(lengths=(30, 5, 2))
    with pytest.warns(
        UserWarning, match="2 series of fewer than 7 rows.*series 'south', series 'east'"
    ):
        forecast = make().fit(y, fh=FH).predict()
    assert np.isfinite(forecast).all(axis=None)
    assert len(forecast) == 9


def test_zero_shot_keeps_the_network_and_finetune_trains_a_copy():
    y = panel()
    for choice, kept in (("zero-shot", True), ("finetune", False)):
        forecaster = make(fit_after_pretrain=choice).pretrain(y, fh=FH)
        before = copy.deepcopy(forecaster.pretrained_model_.network.model.model.state_dict())
        expected = forecaster.fit(y.loc["north"], fh=FH).predict()
        assert same_weights(before, weights(forecaster)) is kept
        # A second fit starts from the pretrained network again, not from the first fit.
        again = forecaster.fit(y.loc["north"], fh=FH).predict()
        pd.testing.assert_frame_equal(again, expected, check_exact=True)


def test_pretraining_goes_on_and_takes_other_names():
    forecaster = make().pretrain(panel(), fh=FH)
    before = copy.deepcopy(forecaster.pretrained_model_.network.model.model.state_dict())
    forecaster.pretrain(panel(seed=9).rename(columns={"a": "other"}))
    assert not same_weights(before, forecaster.pretrained_model_.network.model.model.state_dict())
    forecast = forecaster.fit(noise().rename(columns={"a": "third"}), fh=FH).predict()
    assert list(forecast.columns) == ["third"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("integer", "day_of_week; a step of 1 has none"),
        ("datetime-hour", "day_of_week; a step of h has hour_of_day, day_of_week"),
        ("period-month", "day_of_week; a step of M has month_of_year"),
    ],
)
def test_a_step_of_other_calendar_features_than_pretraining_is_refused(index, message):
    days = pd.date_range("2001-11-27", periods=30, freq="D")
    y = pd.concat({name: noise(index=days) for name in "ab"}, names=["region", "day"])
    forecaster = make().pretrain(y, fh=FH)
    other = noise(index=INDEXES[index](30))
    with pytest.raises(ValueError, match=message):
        forecaster.fit(other, fh=FH)
    assert len(make(time_features=False).pretrain(y, fh=FH).fit(other, fh=FH).predict()) == 3
    workdays = noise(index=INDEXES["datetime-business"](30))
    assert len(forecaster.fit(workdays, fh=FH).predict()) == 3


# Exogenous columns


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
    [{"sampling_factor": 1}, {"attention": "full"}, {"patch_length": 2}, {"decoder_causal": False}],
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
    y, X = exogenous()
    forecaster = make(past_covariates=("noise",), output_chunk_length=2).fit(y[:30], X[:30])
    with (
        pytest.warns(UserWarning, match="beyond the 2 steps"),
        pytest.raises(ValueError, match="`output_chunk_length=3` or more"),
    ):
        forecaster.predict(fh=[3], X=X[30:33])


# Training


class Epochs(Callback):
    """Note validation loss and weights of every epoch; of the class, as trainers get a copy."""

    seen: ClassVar[list[tuple[float, dict[str, torch.Tensor]]]] = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            state = {name: value.clone() for name, value in pl_module.state_dict().items()}
            self.seen.append((float(trainer.callback_metrics["val_loss"]), state))


def test_early_stopping_keeps_the_best_weights():
    trainer = {"callbacks": [Epochs()]}
    forecaster = make(
        n_epochs=200, early_stopping_patience=2, lr=5e-2, pl_trainer_kwargs=trainer
    ).fit(noise(200), fh=FH)
    losses = [loss for loss, _ in Epochs.seen]
    best = losses.index(min(losses))
    assert best + 3 == len(losses) < 200
    assert same_weights(weights(forecaster), Epochs.seen[best][1])


def test_rows_that_validate_take_no_part_in_the_scale():
    y = pd.DataFrame({"a": np.r_[np.zeros(80), np.full(20, 100.0)]})
    X = y.rename(columns={"a": "x"})
    forecaster = make(early_stopping_patience=1).fit(y, X, fh=FH)
    (instance,) = forecaster._context.values()
    assert (instance.center, instance.scale) == (0.0, 1.0)
    assert (forecaster.model_.layout.center["x"], forecaster.model_.layout.scale["x"]) == (0.0, 1.0)
    without = make(early_stopping_patience=1, scaler=None).fit(y + 5.0, X, fh=FH)
    (instance,) = without._context.values()
    assert (instance.center, instance.scale) == (0.0, 1.0)


def test_callbacks_are_not_used_up():
    from pytorch_lightning.callbacks import EarlyStopping

    stop = EarlyStopping("train_loss", patience=1, min_delta=1e9)
    forecaster = make(n_epochs=20, pl_trainer_kwargs={"accelerator": "cpu", "callbacks": [stop]})
    epochs = [forecaster.fit(noise(), fh=FH).model_.network.epochs_trained for _ in "ab"]
    assert epochs[0] == epochs[1] < 20
    assert stop.wait_count == 0


def test_nothing_is_written_printed_or_warned(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster = make().fit(noise()[:30], fh=FH)
        forecaster.predict()
        forecaster.update(noise()[30:])
        forecaster.predict_interval()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_output_chunk_is_capped_by_the_data():
    forecaster = make().fit(noise(10), fh=range(1, 30))
    assert forecaster.model_.output_chunk_length == 6
    with pytest.warns(UserWarning, match="step 29 of `fh` is beyond the 6 steps"):
        assert len(forecaster.predict()) == 29


# Parameters


def test_every_choice_of_the_network_is_a_parameter_with_its_default():
    data = {f"num_{name}" for name in ("targets", "parameters")}
    data |= {f"num_{kind}_covariates" for kind in ("past", "future", "static")}
    lengths = {"input_chunk_length", "output_chunk_length"}
    parameters = inspect.signature(InformerForecaster).parameters
    for field in fields(InformerConfig):
        if field.name not in data | lengths:
            assert parameters[field.name].default == field.default, field.name


def test_the_horizon_is_needed_in_fit_only_without_an_output_length():
    assert InformerForecaster().get_tag("requires-fh-in-fit")
    assert not InformerForecaster(output_chunk_length=3).get_tag("requires-fh-in-fit")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"input_chunk_length": 0}, "`input_chunk_length` must be an integer of at least 1; got 0"),
        ({"output_chunk_length": 1.5}, "`output_chunk_length` must be an integer"),
        ({"verbose": None}, "`verbose` must be True or False; got None"),
        ({"use_reversible_instance_norm": "no"}, "`use_reversible_instance_norm` must be True or"),
        ({"n_epochs": 0}, "`n_epochs` must be an integer of at least 1; got 0"),
        ({"batch_size": True}, "`batch_size` must be an integer of at least 1; got True"),
        ({"update_epochs": -1}, "`update_epochs` must be an integer of at least 0; got -1"),
        ({"early_stopping_patience": 0}, "`early_stopping_patience` must be an integer of at"),
        ({"lr": 0.0}, "`lr` must be a number, positive; got 0.0"),
        ({"validation_fraction": 1.0}, "`validation_fraction` must be a number, between 0 and 1"),
        ({"random_state": -1}, "`random_state` must be an integer of at least 0; got -1"),
        ({"random_state": 2**32}, r"`random_state` must be below 2 \*\* 32; got 4294967296"),
        ({"scaler": "robust"}, "`scaler` must be one of 'standard', None; got 'robust'"),
        ({"time_features": "ALL"}, "`time_features` must be one of True, False, 'all'; got 'ALL'"),
        ({"fit_after_pretrain": "no"}, "`fit_after_pretrain` must be one of 'zero-shot'"),
        ({"quantiles": (0.5,)}, "`quantiles` must be a tuple of numbers between 0 and 1"),
        ({"quantiles": (0.1, 1.0)}, r"`quantiles` must .* got \(0.1, 1.0\)"),
        ({"quantiles": 0.1}, "`quantiles` must be a tuple"),
        ({"quantiles": (1e-7, 0.5)}, "`quantiles` must be a tuple of numbers between 0 and 1"),
        ({"past_covariates": "noise"}, r"For a single column write \('noise',\)"),
        ({"pl_trainer_kwargs": [1]}, "`pl_trainer_kwargs` must be a dict"),
        ({"pl_trainer_kwargs": {"max_epochs": 3}}, "Use `n_epochs`"),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        InformerForecaster(**parameters)


def test_numbers_of_numpy_are_numbers():
    sizes = {"n_epochs": 3, "update_epochs": 2, "input_chunk_length": 4, "output_chunk_length": 3}
    sizes |= {"d_model": 8, "batch_size": 8, "early_stopping_patience": 2, "random_state": 3}
    rates = {"dropout": 0.125, "lr": 0.0078125, "validation_fraction": 0.25}
    plain = make(**sizes, **rates, quantiles=(0.1, 0.9), distil=True)
    numpy = make(
        **{name: np.int64(size) for name, size in sizes.items()},
        **{name: np.float32(rate) for name, rate in rates.items()},
        quantiles=np.array([0.1, 0.9]),
        distil=np.bool_(True),
    )
    y = noise()
    one, other = (f.clone().fit(y[:30]).update(y[30:]).predict(fh=FH) for f in (plain, numpy))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    with pytest.raises(ValueError, match="`n_epochs` must be an integer of at least 1"):
        make(n_epochs=np.int64(0))
    with pytest.raises(ValueError, match="`lr` must be a number, positive"):
        make(lr=np.float32(-1))


# Data that cannot be used


def test_missing_values_name_the_remedy():
    y, X = exogenous()
    broken, broken_X = y.copy(), X.copy()
    broken.iloc[3] = np.nan
    broken_X.iloc[3, 0] = np.nan
    remedy = r"`Imputer\(\) \* InformerForecaster"
    for one in (broken, broken["a"]):
        with pytest.raises(ValueError, match=rf"`y` .*'a' .* is nan at 2001-04.*{remedy}"):
            make().fit(one, fh=FH)
    joint = r"`Imputer\(\) \*\* InformerForecaster"
    with pytest.raises(ValueError, match=rf"`X` .*'driver' .* is nan at 2001-04.*{joint}"):
        make().fit(y, broken_X, fh=FH)
    assert (Imputer() ** make()).fit(y, broken_X, fh=FH).is_fitted
    table = pd.concat({"a": y, "b": broken}, names=["region", "month"])
    with pytest.raises(ValueError, match=rf"'a' of series 'b' is nan at 2001-04.*{remedy}"):
        make().fit(table, fh=FH)
    with pytest.raises(ValueError, match=rf"column 0 of the series is nan at 3.*{remedy}"):
        make().fit(broken.to_numpy(), fh=FH)


def test_infinite_values_are_located():
    y, X = exogenous()
    y.iloc[3], X.iloc[31, 1] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"`y` .* column 'a' of the series is inf at 2001-04"):
        make().fit(y[:30], fh=FH)
    forecaster = make().fit(y[10:30], X[10:30], fh=FH)
    with pytest.raises(ValueError, match=r"`X` .* column 'noise' of the series is -inf at 2003-08"):
        forecaster.predict(X=X[30:33])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("period-month", r"every step of M; the series has none at 2002-05.*period_range\("),
        ("datetime-no-freq", r"every step of MS; the series has none at 2002-05.*date_range\("),
        ("datetime-hour", "every step of h; the series has none at 2001-11-28 04:00:00"),
        ("integer", r"every step of 1; the series has none at 11\. Count the rows"),
    ],
)
def test_gaps_are_located(index, message):
    y = line(INDEXES[index](30))
    with pytest.raises(ValueError, match=message):
        make().fit(y.drop(y.index[6]), fh=FH)


DAYS = pd.date_range("2020-01-01", periods=60, freq="D")


def with_row(table, stamp):
    """A copy of ``table`` with one more row at ``stamp``, in the order of time."""
    row = table[-1:].set_axis(pd.DatetimeIndex([stamp]))
    return pd.concat([table, row]).sort_index()


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        ("2020-02-10 12:00", "whole steps of D apart.*at 2020-02-10 12:00:00. Leave these"),
        ("2020-02-29", r"one row a time stamp.*at 2020-02-29.*\[~{0}.index.duplicated\(\)\]"),
        ("2020-01-21", r"one row a time stamp.*at 2020-01-21.*\[~{0}.index.duplicated\(\)\]"),
    ],
)
def test_time_stamps_between_the_steps_and_twice_are_located(stamp, message):
    y, X = noise(index=DAYS), noise(index=DAYS, columns=("x",))
    with pytest.raises(ValueError, match="`y` must .*" + message.format("y")):
        make().fit(with_row(y, stamp), fh=FH)
    with pytest.raises(ValueError, match="`X` must .*" + message.format("X")):
        make().fit(y, with_row(X, stamp), fh=FH)
    forecaster = make().fit(y[:15], X[:15], fh=FH)
    with pytest.raises(ValueError, match="`X` must .*" + message.format("X")):
        forecaster.predict(X=with_row(X[15:], stamp))
    with pytest.raises(ValueError, match="`y` must .*" + message.format("y")):
        forecaster.update(with_row(y[15:], stamp), with_row(X[15:], stamp))


def test_an_update_between_the_steps_is_refused():
    y = noise(index=DAYS)
    forecaster = make().fit(y[:30], fh=FH)
    late = y[30:31].set_axis(DAYS[30:31] + pd.Timedelta("12h"))
    with pytest.raises(ValueError, match=r"whole steps of D apart.*at 2020-01-31 12:00:00"):
        forecaster.update(late)


def test_the_step_of_a_long_series_with_gaps_is_found_quickly(monkeypatch):
    calls, infer = [], pd.DatetimeIndex

    class Counted(type(infer)):
        def __instancecheck__(cls, instance):
            return isinstance(instance, infer)

    class Index(infer, metaclass=Counted):
        def __new__(cls, *args, **kwargs):
            calls.append(1)
            return infer(*args, **kwargs)

    monkeypatch.setattr(pd, "DatetimeIndex", Index)
    minutes = pd.date_range("2020-01-01", periods=20_000, freq="min").delete([5, 9_000])
    assert step_of(minutes) == pd.offsets.Minute()
    assert len(calls) <= 1001


def test_periods_of_business_days_warn_of_nothing_here():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = noise(rows=40, index=pd.period_range("2001-11-27", periods=40, freq="B"))
        forecaster = make(early_stopping_patience=1, output_chunk_length=3).fit(y[:30])
        forecaster.update(y[30:36])
        for horizon in (FH, ForecastingHorizon(y.index[36:39], is_relative=False)):
            assert list(forecaster.predict(fh=horizon).index) == list(y.index[36:39])
        table = pd.concat({"a": y, "b": y}, names=["region", "day"])
        X = table.rename(columns={"a": "x"})
        early = table.index.get_level_values(1) < y.index[30]
        forecaster = make(output_chunk_length=3).fit(table[early], X[early])
        forecaster.update(table[~early][:2], X[~early][:2], update_params=False)
        forecaster.predict(FH, X[~early])
    ours = [f"{w.filename}:{w.lineno} {w.message}" for w in caught if "adapters/" in w.filename]
    assert not [line for line in ours if "site-packages" not in line]
    assert [w for w in caught if w.filename == __file__]  # pandas did warn where it was made


def test_integer_steps_other_than_one_are_refused():
    with pytest.raises(ValueError, match="every step of 1; the series has none at 1, 3, 5 and 26"):
        make().fit(line(pd.RangeIndex(0, 60, 2)), fh=FH)


def test_too_few_rows_name_how_many_are_needed():
    with pytest.raises(ValueError, match=r"at least 7 rows to train: .* 4 \+ 3; got 5"):
        make(output_chunk_length=3).fit(noise(5))
    with pytest.raises(ValueError, match="at least 5 rows to train"):
        make().fit(noise(3), fh=FH)


def test_early_stopping_needs_rows_of_its_own():
    with pytest.raises(
        ValueError, match=r"a series with 7 rows to train on besides 3 .* got 9 rows"
    ):
        make(early_stopping_patience=1).fit(noise(9), fh=FH)
    greedy = {"early_stopping_patience": 1, "validation_fraction": 0.97}
    with pytest.raises(ValueError, match=r"to validate on, 0.97 of all; got 40 rows. .* smaller"):
        make(**greedy).fit(noise(40), fh=FH)


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


def test_pretraining_needs_a_horizon():
    with pytest.raises(ValueError, match="`fh` must be given to `pretrain`"):
        make().pretrain(panel())


def test_time_stamps_off_the_steps_are_refused():
    y = line(INDEXES["datetime-month-end"](30))
    forecaster = make(output_chunk_length=3).fit(y)
    horizon = ForecastingHorizon(pd.DatetimeIndex(["2004-05-31", "2004-06-15"]), is_relative=False)
    with pytest.raises(ValueError, match=r"`fh` must hold time stamps .* got 2004-06-15"):
        forecaster.predict(fh=horizon)
