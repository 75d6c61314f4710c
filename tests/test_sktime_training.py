"""What a forecaster learns: in any unit, from a seed, with early stopping, on a device."""

from __future__ import annotations

from functools import wraps

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from sktime_tables import FH, make, noise, panel, same_weights, weights

from informer_forecaster import InformerForecaster


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


@pytest.mark.parametrize("norm", [True, False])
def test_without_a_scaler_the_network_sees_the_values(norm):
    y = noise()
    center, scale = y.mean(), y.std(ddof=0)
    given = {"use_reversible_instance_norm": norm, "n_epochs": 3}
    scaled = make(**given).fit(y, fh=FH).predict()
    bare = make(**given, scaler=None).fit((y - center) / scale, fh=FH).predict()
    np.testing.assert_allclose(bare * scale + center, scaled, rtol=1e-5)


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
    assert forecaster.model_.columns.calendar == names
    several = pd.concat(dict.fromkeys("ab", days), names=["region", "day"])
    forecaster = make(time_features=time_features).pretrain(several, fh=FH)
    assert forecaster.fit(days[:20], fh=FH).model_.columns.calendar == names


class Epochs(Callback):
    """Note validation loss and weights of every epoch."""

    def __init__(self):
        self.seen = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            state = {name: value.clone() for name, value in pl_module.state_dict().items()}
            self.seen.append((float(trainer.callback_metrics["val_loss"]), state))


def test_early_stopping_keeps_the_best_weights():
    epochs = Epochs()
    trainer = {"callbacks": [epochs]}
    forecaster = make(
        n_epochs=200, early_stopping_patience=2, lr=5e-2, pl_trainer_kwargs=trainer
    ).fit(noise(200), fh=FH)
    losses = [loss for loss, _ in epochs.seen]
    best = losses.index(min(losses))
    assert best + 3 == len(losses) < 200
    assert not same_weights(weights(forecaster), epochs.seen[-1][1])


class Windows(Callback):
    """Note how many windows train and how many validate."""

    def __init__(self):
        self.seen = set()

    def on_validation_end(self, trainer, pl_module):  # noqa: ARG002 - Lightning's arguments
        if not trainer.sanity_checking:
            loaders = (trainer.train_dataloader, trainer.val_dataloaders)
            self.seen.add(tuple(len(loader.dataset) for loader in loaders))


def test_the_last_eighth_of_the_windows_validates():
    windows = Windows()
    trainer = {"accelerator": "cpu", "callbacks": [windows]}
    make(early_stopping_patience=1, pl_trainer_kwargs=trainer).fit(noise(206), fh=FH)
    # Each of 200 windows takes 4 and 3 rows. Two overlap the horizon of one that validates.
    assert windows.seen == {(200 - 25 - 2, 25)}


def test_an_update_trains_for_its_own_epochs():
    y = noise(60)
    forecaster = make(n_epochs=2, update_epochs=5).fit(y[:40], fh=FH)
    assert forecaster.model_.epochs_trained == 2
    assert forecaster.update(y[40:]).model_.epochs_trained == 5
    table = pd.concat({"a": y, "b": y}, names=["region", "month"])
    tuned = make(n_epochs=2, update_epochs=5, fit_after_pretrain="finetune")
    assert tuned.pretrain(table, fh=FH).fit(y, fh=FH).model_.epochs_trained == 5
    assert tuned.pretrain(table).pretrained_model_.epochs_trained == 2


def test_every_parameter_of_the_training_reaches_it():
    given = {"batch_size": 7, "early_stopping_patience": 9, "random_state": 3, "dropout": 0.4}
    model = make(**given, lr=0.03).fit(noise(), fh=FH).model_.model
    assert {name: model.model_params[name] for name in given} == given
    assert model.model_params["optimizer_kwargs"] == {"lr": 0.03}


@pytest.mark.parametrize(("rows", "stops"), [(11, False), (40, True)])
def test_only_a_long_series_validates_by_itself(rows, stops):
    """Of five windows one would validate, and two beside it would be left to train."""
    given = {"n_epochs": 30, "lr": 0.05}
    forecaster = make(early_stopping_patience=1, **given).fit(noise(rows), fh=FH)
    assert (forecaster.model_.epochs_trained < 30) is stops
    if not stops:
        expected = make(**given).fit(noise(rows), fh=FH).predict()
        pd.testing.assert_frame_equal(forecaster.predict(), expected)


def test_no_epochs_give_the_linear_forecast():
    """What training begins at; a straight line goes on as one."""
    y = noise(80)
    y["a"] = np.arange(80.0)
    forecaster = make(n_epochs=0, input_chunk_length=12).fit(y, fh=FH)
    assert forecaster.model_.epochs_trained == 0
    forecast = forecaster.predict()
    np.testing.assert_allclose(forecast["a"], [80.0, 81.0, 82.0], atol=0.5)


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
    message = (
        rf"accelerator='{accelerator}'.*no such device on this machine. Leave out `accelerator`"
    )
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


def test_training_uses_one_device_unless_told(monkeypatch):
    """Lightning would take all that it finds."""
    seen = []

    class Trainer(pl.Trainer):
        @wraps(pl.Trainer.__init__)
        def __init__(self, **arguments):
            seen.append(arguments["devices"])
            super().__init__(**arguments)

    monkeypatch.setattr(pl, "Trainer", Trainer)
    make().fit(noise(), fh=FH).predict()
    make(pl_trainer_kwargs={"accelerator": "cpu", "devices": "auto"}).fit(noise(), fh=FH)
    assert seen == [1, 1, "auto"]
