"""The best checkpoint holds the weights that a training kept, and those of no other training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts.utils.likelihood_models.torch import QuantileRegression
from pytorch_lightning.callbacks import ModelCheckpoint

from informer_forecaster import InformerModel


def best_of(place):
    return InformerModel.load_from_checkpoint(**place, best=True)


def are_equal(one, other):
    """Whether two models have the same weights."""
    ones, others = (dict(each.model.network.named_parameters()) for each in (one, other))
    assert ones.keys() == others.keys()
    return all(ones[name].equal(others[name]) for name in ones)


@pytest.mark.parametrize("rate", [0.0, 0.05])
@pytest.mark.parametrize("likelihood", [None, QuantileRegression([0.1, 0.5, 0.9])])
def test_the_best_checkpoint_is_the_model_that_fit_left(
    tiny_model, waves, tmp_path, rate, likelihood
):
    """The start where no epoch is better, a share of an epoch, and calibrated quantiles."""
    place = {"model_name": "kept", "work_dir": str(tmp_path)}
    options = {"n_epochs": 4, "optimizer_kwargs": {"lr": rate}, "likelihood": likelihood}
    model = tiny_model(save_checkpoints=True, **options, **place)
    model.fit(waves(), val_series=waves(seed=1))
    assert are_equal(model, best_of(place))
    names = sorted(file.name[:5] for file in (tmp_path / "kept" / "checkpoints").iterdir())
    assert names == ["best-", "last-"]


def test_a_training_goes_on_from_the_best_checkpoint(tiny_model, waves, tmp_path):
    """At a rate of zero it ends where it began."""
    place = {"model_name": "kept", "work_dir": str(tmp_path)}
    idle = {"optimizer_kwargs": {"lr": 0.0}, "save_checkpoints": True}
    model = tiny_model(n_epochs=3, **idle, **place)
    model.fit(waves(), val_series=waves(seed=1))
    loaded = best_of(place)
    loaded.fit(waves(), val_series=waves(seed=1), epochs=6)
    assert are_equal(loaded, model)
    assert loaded.predict(4, waves()) == model.predict(4, waves())


def test_a_checkpoint_by_another_measure_stays_an_epoch(tiny_model, waves, tmp_path):
    """What the user's own callback writes is the user's."""
    own = ModelCheckpoint(tmp_path, "own", monitor="train_loss")
    model = tiny_model(
        n_epochs=2,
        optimizer_kwargs={"lr": 0.0},
        trainer={"callbacks": [own], "enable_checkpointing": True},
    )
    model.fit(waves(), val_series=waves(seed=1))
    written = torch.load(own.best_model_path, weights_only=False)["state_dict"]
    assert written["share"] > 0  # the network's while it trains; it has learnt nothing
    assert model.model.share == 0


@pytest.fixture
def rough():
    """Make a series that no model forecasts well."""

    def make(series):
        noise = np.random.default_rng(3).normal(scale=5.0, size=series.values().shape)
        return series + series.with_values(noise)

    return make


@pytest.mark.parametrize("resumes", [False, True])
def test_the_best_checkpoint_of_an_earlier_training_stays(
    tiny_model, waves, rough, tmp_path, resumes
):
    """A later training that validates on a rougher series never has a loss as low.

    Darts hands one callback to both trainings; a checkpoint that is resumed has its state.
    """
    place = {"model_name": "kept", "work_dir": str(tmp_path)}
    options = {"n_epochs": 3, "optimizer_kwargs": {"lr": 0.05}, "save_checkpoints": True}
    model = tiny_model(**options, **place).fit(waves(), val_series=waves(seed=1))
    best = best_of(place)
    assert are_equal(best, model)
    other = InformerModel.load_from_checkpoint(**place, best=False) if resumes else model
    other.fit(rough(waves()), val_series=rough(waves()), epochs=6 if resumes else 3)
    assert not are_equal(best, other)
    assert are_equal(best, best_of(place))


def test_the_best_checkpoint_of_a_later_training_that_is_better(tiny_model, waves, rough, tmp_path):
    place = {"model_name": "kept", "work_dir": str(tmp_path)}
    options = {"n_epochs": 3, "optimizer_kwargs": {"lr": 0.05}, "save_checkpoints": True}
    model = tiny_model(**options, **place).fit(rough(waves()), val_series=rough(waves()))
    earlier = best_of(place)
    model.fit(waves(), val_series=waves(seed=1))
    assert are_equal(best_of(place), model)
    assert not are_equal(earlier, model)
