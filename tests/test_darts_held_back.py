"""What validates a training to which no validation series was given."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from darts.utils.data import HorizonBasedTorchTrainingDataset
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch.utils.data import BatchSampler, RandomSampler

from informer_forecaster.adapters import _darts_module

WHOLE = {"limit_train_batches": None}


class Steps(Callback):
    """Note the steps of all horizons: the values of a series that counts its steps."""

    def __init__(self):
        self.training, self.validation = set(), set()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):  # noqa: ARG002
        self.training |= set(batch.future_target.round().int().flatten().tolist())

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):  # noqa: ARG002
        self.validation |= set(batch.future_target.round().int().flatten().tolist())


def counting(waves, length=100, first=0):
    series = waves(length)
    return series.with_values((first + np.arange(float(length)))[:, None, None])


def steps_of(tiny_model, series, fit=None, **options):
    steps = Steps()
    callbacks = [steps, *options.pop("callbacks", [])]
    tiny_model(trainer={**WHOLE, "callbacks": callbacks}, **options).fit(series, **(fit or {}))
    return steps


def test_an_eighth_at_the_end_validates_and_shares_no_step_with_the_training(tiny_model, waves):
    """Of 89 windows 11 validate, which forecast steps 86 to 99."""
    steps = steps_of(tiny_model, counting(waves))
    assert steps.validation == set(range(86, 100))
    assert steps.training == set(range(8, 86))


def test_each_series_holds_back_its_own_end(tiny_model, waves):
    """Darts repeats the windows of a shorter series, and none of them may slip through."""
    series = [counting(waves), counting(waves, 60, first=1000)]
    steps = steps_of(tiny_model, series)
    assert steps.validation == {*range(86, 100), *range(1051, 1060)}
    assert not steps.training & steps.validation
    assert max(steps.training) == 1050


def test_windows_of_a_stride_hold_back_as_many_steps(tiny_model, waves):
    steps = steps_of(tiny_model, counting(waves), fit={"stride": 3})
    assert steps.validation == {*range(87, 100)}
    assert not steps.training & steps.validation


def test_a_network_that_learns_nothing_leaves_the_linear_forecast(tiny_model, waves):
    """At this rate the last weights would be ruined; the start is that of all windows."""
    options = {"optimizer_kwargs": {"lr": 1.0}, "trainer": WHOLE}
    series = waves(120)
    ruined = tiny_model(n_epochs=20, early_stopping_patience=None, **options).fit(series)
    model = tiny_model(n_epochs=20, **options).fit(series)
    start = tiny_model(n_epochs=0, **options).fit(series)
    assert model.predict(4) == start.predict(4) != ruined.predict(4)
    assert model.epochs_trained == 0
    skips = [one.model.network.lookback_skip.weight for one in (model, start)]
    assert torch.equal(*skips)


@pytest.mark.parametrize(
    ("covariates", "epochs", "before", "after"),
    [(True, 1, 86, 100), (False, 1, 86, 100), (True, 0, 100, None)],
)
def test_a_start_does_not_learn_what_judges_it_until_it_is_judged(
    tiny_model, waves, monkeypatch, covariates, epochs, before, after
):
    """The network has not seen these steps: it would be found to forecast them worse.

    Without an epoch nothing is judged.
    """
    seen, fit_start = [], _darts_module.fit_start

    def record(windows, *others, rescale):
        steps = [batch.future.round().int().flatten().tolist() for batch in windows]
        seen.append(set(chain.from_iterable(steps)))
        return fit_start(windows, *others, rescale=rescale)

    monkeypatch.setattr(_darts_module, "fit_start", record)
    given = {"future_covariates": waves(120)} if covariates else {}
    tiny_model(trainer=WHOLE, n_epochs=epochs).fit(counting(waves), **given)
    assert seen == [set(range(8, end)) for end in (before, after) if end]


@pytest.mark.parametrize(
    "likelihood", [None, GaussianLikelihood(), QuantileRegression([0.1, 0.5, 0.9])]
)
@pytest.mark.parametrize("components", [1, 2])
def test_the_start_has_learnt_from_all_windows_in_the_end(
    tiny_model, waves, likelihood, components
):
    """Whatever the epochs brought: here the network has no share, and the start forecasts alone."""
    known, series = waves(120, seed=1), waves(100, components)

    def location(epochs, end):
        model = tiny_model(trainer=WHOLE, n_epochs=epochs, likelihood=likelihood)
        model.fit(series[:end], future_covariates=known)
        model.model.share.zero_()
        given = {"predict_likelihood_parameters": likelihood is not None}
        values = model.predict(4, series=series, future_covariates=known, **given).values()
        num_parameters = values.shape[1] // components
        return values[:, num_parameters == 3 :: num_parameters]

    trained, of_all, of_first = location(2, 100), location(0, 100), location(0, 86)
    assert np.abs(trained - of_all).max() < 0.1 * np.abs(of_first - of_all).max()


def test_a_training_that_goes_on_keeps_its_start(tiny_model, waves):
    """A few new windows, as of one day, would take the place of all that it has seen."""
    known = waves(160, seed=1)
    model = tiny_model(trainer=WHOLE).fit(waves(120), future_covariates=known)
    skip = model.model.network.lookback_skip
    before = skip.weight.clone()
    model.fit(waves(60, seed=2), future_covariates=known)
    assert torch.equal(skip.weight, before)


def test_windows_without_weight_do_not_validate(tiny_model, waves):
    """Of 52 windows with weight 6 validate; where the last 40 steps had none, no loss was left."""
    series = counting(waves)
    weight = series.with_values((np.arange(100) < 60)[:, None, None].astype(float))
    steps = steps_of(tiny_model, series, fit={"sample_weight": weight})
    assert steps.validation == set(range(54, 63))
    assert steps.training == set(range(8, 54))


def test_an_eighth_of_few_windows_with_weight_validates(tiny_model, waves):
    """Two of the 20 that reach the last 20 steps; the others do not count as left to train."""
    series = counting(waves)
    weight = series.with_values((np.arange(100) >= 80)[:, None, None].astype(float))
    steps = steps_of(tiny_model, series, fit={"sample_weight": weight})
    assert steps.validation == set(range(95, 100))
    assert steps.training == set(range(8, 95))


@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping_patience": None},
        {"callbacks": [EarlyStopping("train_loss")]},
    ],
    ids=["no patience", "a rule of the user's"],
)
def test_all_windows_train_where_nothing_would_be_chosen(tiny_model, waves, options):
    steps = steps_of(tiny_model, counting(waves), **options)
    assert not steps.validation
    assert steps.training == set(range(8, 100))


def test_an_early_stopping_of_the_user_has_windows_to_look_at(tiny_model, waves):
    """Lightning refuses one without a validation loss, in the middle of the training."""
    own = EarlyStopping("val_loss")
    steps = steps_of(tiny_model, counting(waves), callbacks=[own])
    assert steps.validation
    assert float(own.best_score) < np.inf


def test_all_windows_of_a_short_series_train(tiny_model, waves):
    """An eighth of 7 windows and the gap after it would leave three."""
    steps = steps_of(tiny_model, counting(waves, 18))
    assert not steps.validation
    assert steps.training == set(range(8, 18))


def test_a_sampler_of_the_user_numbers_all_windows(tiny_model, waves):
    sampler = BatchSampler(RandomSampler(range(89)), 16, drop_last=False)
    loader = {"batch_sampler": sampler, "shuffle": False, "batch_size": 1}
    steps = steps_of(tiny_model, counting(waves), fit={"dataloader_kwargs": loader})
    assert not steps.validation
    assert steps.training == set(range(8, 100))


def test_a_given_validation_series_validates_alone(tiny_model, waves):
    series = counting(waves)
    steps = steps_of(tiny_model, series, fit={"val_series": counting(waves, 20, first=1000)})
    assert steps.training == set(range(8, 100))
    assert steps.validation == set(range(1008, 1020))


def test_data_sets_of_other_kinds_train_whole(tiny_model, waves):
    windows = HorizonBasedTorchTrainingDataset(
        counting(waves), output_chunk_length=4, lh=(1, 5), lookback=2
    )
    steps = Steps()
    model = tiny_model(time_features=False, trainer={**WHOLE, "callbacks": [steps]})
    model.fit_from_dataset(windows)
    assert not steps.validation
    assert steps.training == set(range(80, 100))
