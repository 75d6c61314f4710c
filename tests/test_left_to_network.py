"""A part of the linear start that the network learns anew, and gets only where validation will say.

A network that has nothing to learn but what a whole linear forecast leaves hardly learns. Where
nothing would say whether it did learn, the start must stay whole: these tests train at a rate of
zero, so that whatever is lost of the start would show in the forecast.
"""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping

from informer_forecaster._training.share import STEPS_TO_LEARN, USUAL

IDLE = {"optimizer_kwargs": {"lr": 0.0}}


class Maps(Callback):
    """Note the linear map that each step of a training begins with."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, *_):  # noqa: ARG002
        self.seen.append(pl_module.network.lookback_skip.weight.clone())


class Stop(Callback):
    """End a training after its first epoch."""

    def on_train_epoch_end(self, trainer, pl_module):  # noqa: ARG002
        trainer.should_stop = True


class StopAtOnce(Callback):
    """End a training at its first step."""

    def on_train_batch_end(self, trainer, pl_module, *_):  # noqa: ARG002
        trainer.should_stop = True


@pytest.fixture
def train(tiny_model, waves):
    """Train for some epochs of two steps; the start's map, those of the steps, and the model."""

    def run(n_epochs=3, trainer=None, **options):
        fit = {"val_series": waves(seed=1)}
        whole = tiny_model(n_epochs=0, **options).fit(waves(), **fit)
        maps = Maps()
        callbacks = [maps, *(trainer or {}).get("callbacks", [])]
        trainer = {**(trainer or {}), "callbacks": callbacks}
        model = tiny_model(n_epochs=n_epochs, trainer=trainer, **options).fit(waves(), **fit)
        return whole, maps.seen, model

    return run


def test_a_short_training_is_left_as_much_as_its_steps_can_learn(train):
    whole, seen, _ = train(n_epochs=3)
    share = USUAL * 6 / STEPS_TO_LEARN
    expected = (1 - share) * whole.model.network.lookback_skip.weight
    assert len(seen) == 6
    for each in seen:
        torch.testing.assert_close(each, expected)


def test_a_long_training_is_left_half(train):
    whole, seen, _ = train(n_epochs=1000, trainer={"callbacks": [Stop()]})
    torch.testing.assert_close(seen[0], 0.5 * whole.model.network.lookback_skip.weight)


def test_a_network_that_learns_nothing_forecasts_the_whole_start(train, waves):
    whole, seen, model = train(**IDLE)
    assert not torch.equal(seen[0], whole.model.network.lookback_skip.weight)
    assert model.predict(4, waves()) == whole.predict(4, waves())


@pytest.mark.filterwarnings("ignore:no epoch of this training was validated")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"early_stopping_patience": None}, id="keeps the last weights"),
        pytest.param({"nr_epochs_val_period": 10}, id="too few epochs to validate one"),
        pytest.param({"trainer": {"max_steps": 1}}, id="too few steps to validate"),
        pytest.param({"trainer": {"limit_val_batches": 0}}, id="validates no batch"),
        pytest.param({"use_reversible_instance_norm": False}, id="the map holds the level"),
        pytest.param(
            {"trainer": {"callbacks": [EarlyStopping("val_loss")]}}, id="stops by the user's rule"
        ),
    ],
)
def test_the_start_stays_whole_where_nothing_would_put_it_back(train, options):
    whole, seen, _ = train(**{**IDLE, **options})
    assert seen
    for each in seen:
        assert torch.equal(each, whole.model.network.lookback_skip.weight)


def test_a_head_that_reads_the_linear_forecast_gets_the_whole_of_it(tiny_model, waves):
    known, maps = waves(seed=2), Maps()
    options = {"val_series": waves(seed=1), "future_covariates": known}
    options["val_future_covariates"] = known
    whole = tiny_model(n_epochs=0).fit(waves(), **options)
    tiny_model(n_epochs=1, trainer={"callbacks": [maps]}).fit(waves(), **options)
    assert maps.seen
    for each in maps.seen:
        assert torch.equal(each, whole.model.network.lookback_skip.weight)


def test_a_series_too_short_to_hold_windows_back_keeps_the_whole_start(tiny_model, waves):
    """Lightning has a loader for validation there, of no window."""
    maps = Maps()
    whole = tiny_model(n_epochs=0).fit(waves(13))
    tiny_model(n_epochs=3, trainer={"callbacks": [maps]}).fit(waves(13))
    assert maps.seen
    for each in maps.seen:
        assert torch.equal(each, whole.model.network.lookback_skip.weight)


def test_windows_that_were_held_back_validate_it_too(tiny_model, waves):
    whole = tiny_model(n_epochs=0, trainer={"limit_train_batches": None}).fit(waves(200))
    maps = Maps()
    trainer = {"callbacks": [maps], "limit_train_batches": None}
    tiny_model(n_epochs=3, trainer=trainer).fit(waves(200))
    start = whole.model.network.lookback_skip.weight
    assert not torch.equal(maps.seen[0], start)


def test_a_second_training_goes_on_from_what_the_first_one_kept(tiny_model, waves):
    maps = Maps()
    model = tiny_model(n_epochs=2, trainer={"callbacks": [maps]})
    model.fit(waves(), val_series=waves(seed=1))
    kept = model.model.network.lookback_skip.weight.clone()
    maps.seen.clear()
    model.fit(waves(), val_series=waves(seed=1))
    assert torch.equal(maps.seen[0], kept)


def test_a_training_that_is_stopped_at_its_first_step_keeps_the_start(tiny_model, waves):
    """As by a clock. Lightning validates where it stops: half a start must not win."""
    whole = tiny_model(n_epochs=0).fit(waves(), val_series=waves(seed=1))
    maps = Maps()
    model = tiny_model(n_epochs=3, trainer={"callbacks": [maps, StopAtOnce()]})
    model.fit(waves(), val_series=waves(seed=1))
    assert len(maps.seen) == 1
    assert not torch.equal(maps.seen[0], whole.model.network.lookback_skip.weight)
    assert model.predict(4, waves()) == whole.predict(4, waves())
