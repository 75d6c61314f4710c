"""The model among the tools around it: other models' places, subclasses, search, silence."""

from __future__ import annotations

import inspect
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from darts.models import ConformalNaiveModel, NaiveEnsembleModel, TransformerModel
from darts.utils.likelihood_models.torch import QuantileRegression

import informer_forecaster
from informer_forecaster import InformerModel

PACKAGE = Path(informer_forecaster.__file__).parent.resolve()


@pytest.mark.parametrize("cls", [TransformerModel, InformerModel])
def test_the_arguments_of_the_transformer_model_are_taken(tiny_model, waves, cls):
    """A pipeline written for Darts' Transformer changes models by changing one name."""
    arguments = {
        "output_chunk_shift": 0,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "dropout": 0.2,
        "activation": "relu",
        "likelihood": QuantileRegression([0.1, 0.5, 0.9]),
        "use_reversible_instance_norm": True,
        "add_encoders": {"cyclic": {"past": ["hour"]}},
        "optimizer_kwargs": {"lr": 1e-3},
    }
    model = tiny_model(cls=cls, **arguments).fit(waves(), past_covariates=waves(seed=1))
    assert model.predict(4, num_samples=3).n_samples == 3
    backtest = model.historical_forecasts(waves(), past_covariates=waves(seed=1), retrain=False)
    assert np.isfinite(backtest.values()).all()


def test_no_argument_of_the_transformer_model_is_missing():
    """Two are left out on purpose: a norm and custom layers, which would not be an Informer."""
    theirs = set(inspect.signature(TransformerModel.__init__).parameters)
    ours = set(inspect.signature(InformerModel.__init__).parameters)
    assert theirs - ours == {"norm_type", "custom_encoder", "custom_decoder"}


class Fixed(InformerModel):
    """A user's subclass that fixes arguments and repeats no signature."""

    def __init__(self, input_chunk_length, output_chunk_length, width=8, **kwargs):
        kwargs = {**kwargs, "d_model": width, "output_chunk_shift": 1}
        super().__init__(input_chunk_length, output_chunk_length, **kwargs)


class Plain(InformerModel):
    """A user's subclass that adds a method only."""

    def fit_quietly(self, series):
        return self.fit(series, verbose=False)


def test_a_subclass_need_not_repeat_the_signature(tiny_model, waves, tmp_path):
    """Darts records the subclass's arguments; the network must get those that it received."""
    model = tiny_model(cls=Fixed, width=16).fit(waves())
    assert model.model.network.config.d_model == 16
    assert model.output_chunk_shift == 1
    forecast = model.predict(3)
    fresh = model.untrained_model()
    assert isinstance(fresh, Fixed)
    assert fresh.fit(waves()).predict(3) == forecast
    model.save(str(tmp_path / "model.pt"))
    assert Fixed.load(str(tmp_path / "model.pt"), trusted=True).predict(3) == forecast


def test_a_subclass_without_a_constructor(tiny_model, waves):
    model = tiny_model(cls=Plain, attention="full").fit_quietly(waves())
    assert model.predict(4) == tiny_model(attention="full").fit(waves()).predict(4)


def test_a_grid_search_finds_arguments(waves):
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    grid = {
        "input_chunk_length": [8],
        "output_chunk_length": [4],
        "d_model": [8],
        "nhead": [2],
        "dim_feedforward": [8],
        "n_epochs": [1],
        "attention": ["prob", "full"],
        "pl_trainer_kwargs": [{**quiet, "accelerator": "cpu", "enable_checkpointing": False}],
    }
    series = waves(60)
    best, chosen, error = InformerModel.gridsearch(grid, series[:50], val_series=series[50:])
    assert isinstance(best, InformerModel)
    assert chosen["attention"] in ("prob", "full")
    assert np.isfinite(error)


def test_ensembles_and_conformal_intervals(tiny_model, waves):
    series = waves(50)
    ensemble = NaiveEnsembleModel([tiny_model(), tiny_model(10, 5)]).fit(series)
    members = [tiny_model().fit(series), tiny_model(10, 5).fit(series)]
    mean = sum(member.predict(4).values() for member in members) / 2
    assert np.allclose(ensemble.predict(4).values(), mean)
    conformal = ConformalNaiveModel(members[0], quantiles=[0.1, 0.5, 0.9], cal_length=4)
    bands = conformal.predict(4, series, predict_likelihood_parameters=True).values()
    assert (np.diff(bands, axis=1) >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_of_ours_warns(tiny_model, waves, caplog, tmp_path, dtype):
    """Fit, forecast, backtest, save and load: a warning from our code would have no remedy."""
    series = [waves(60, 2, dtype=dtype), waves(50, 2, dtype=dtype)]
    future = {"future_covariates": [waves(80, dtype=dtype), waves(80, dtype=dtype)]}
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        model = tiny_model(likelihood=QuantileRegression([0.1, 0.5, 0.9]))
        model.fit(
            series, val_series=series, **future, val_future_covariates=future["future_covariates"]
        )
        model.predict(9, series, num_samples=2, mc_dropout=True, **future)
        model.historical_forecasts(series, retrain=False, **future)
        model.save(str(tmp_path / "model.pt"))
        InformerModel.load(str(tmp_path / "model.pt")).predict(4, series, **future)
        tiny_model(16, 6, likelihood=QuantileRegression([0.1, 0.5, 0.9])).load_weights(
            str(tmp_path / "model.pt")
        )
    folders = (PACKAGE, (PACKAGE / "adapters").resolve())
    ours = [w for w in caught if Path(w.filename).resolve().is_relative_to(folders[0])]
    ours += [w for w in caught if Path(w.filename).resolve().is_relative_to(folders[1])]
    assert ours == []
    assert [record.getMessage() for record in caplog.records] == []
