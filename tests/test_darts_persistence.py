"""Files: saved models, checkpoints, and weights that move to other models."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import pytorch_lightning as pl
from darts.utils.callbacks import TFMProgressBar
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from informer_forecaster import InformerModel


def weights(model):
    return dict(model.model.network.named_parameters())


def assert_equal_weights(one, other, besides=()):
    ones, others = weights(one), weights(other)
    assert ones.keys() == others.keys()
    assert [n for n in ones if not n.startswith(besides) and not ones[n].equal(others[n])] == []


@pytest.fixture
def saved(tiny_model, waves, tmp_path):
    """Fit a model, save it, and give both the model and the path."""

    def save(*lengths, clean=False, **options):
        covariates = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
        model = tiny_model(*(lengths or (8, 4)), **options).fit(waves(40, 2), **covariates)
        model.predict(2, **covariates)
        path = str(tmp_path / "model.pt")
        model.save(path, clean=clean)
        return model, path

    return save


def test_a_loaded_model_can_be_trained_further(saved, waves):
    """Calendar features, covariates and trainer arguments come back with the file."""
    model, path = saved(early_stopping_patience=None)
    loaded = InformerModel.load(path)
    series = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
    loaded.fit(waves(40, 2), epochs=1, **series)
    assert loaded.add_encoders == model.add_encoders
    assert loaded.predict(4, **series) != model.predict(4, **series)


def test_a_clean_file_holds_no_series(saved, waves):
    """What is handed on must not carry the training data; the forecast is the same."""
    model, path = saved(clean=True)
    loaded = InformerModel.load(path, pl_trainer_kwargs={"accelerator": "cpu", "logger": False})
    assert loaded.training_series is None
    given = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
    assert loaded.predict(4, waves(40, 2), **given) == model.predict(4, waves(40, 2), **given)


def test_an_unfitted_model_comes_back_unfitted(tiny_model, waves, tmp_path):
    path = str(tmp_path / "unfitted.pt")
    tiny_model(attention="full").save(path)
    loaded = InformerModel.load(path)
    assert loaded.fit(waves()).model.network.config.attention == "full"


def test_untrained_model_is_a_new_one_of_the_same_arguments(saved, waves):
    """Backtests with retraining and grid searches build their models this way."""
    model, _ = saved(dropout=0.2)
    fresh = model.untrained_model()
    assert type(fresh) is InformerModel
    assert fresh.model is None
    assert dict(fresh.model_params) == dict(model.model_params)
    assert fresh.fit(waves()).model.network.config.dropout == 0.2


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.4},
        {"start_token_length": 2},
        {"start_token_length": 0},
        {"output_chunk_shift": 2},
        {"n_epochs": 7, "batch_size": 3},
        {"optimizer_kwargs": {"lr": 0.1}},
        {"early_stopping_patience": None},
    ],
    ids=str,
)
def test_weights_move_to_a_model_with_another(saved, tiny_model, waves, change):
    """None of these has a weight of its own: pre-trained weights must not be lost to them."""
    model, path = saved()
    other = tiny_model(8, 4, **change)
    other.load_weights(path)
    assert_equal_weights(model, other)
    given = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
    assert np.isfinite(other.predict(4, waves(40, 2), **given).values()).all()


@pytest.mark.parametrize("lengths", [(16, 4), (5, 4), (8, 10), (8, 1), (20, 9), (1, 1)])
@pytest.mark.parametrize("attention", ["prob", "full"])
def test_weights_move_to_other_lengths(saved, tiny_model, waves, lengths, attention):
    """Nothing in an Informer depends on the lengths; forecast at once, and train on."""
    model, path = saved(attention=attention)
    other = tiny_model(*lengths, attention=attention, early_stopping_patience=None)
    other.load_weights(path)
    # The map of the look-back has a weight for each step; a test below is about it.
    assert_equal_weights(model, other, besides="lookback_skip")
    given = {"past_covariates": waves(60, seed=1), "future_covariates": waves(60, seed=2)}
    series = waves(40, 2)
    before = other.predict(lengths[1] + 3, series, **given)
    assert len(before) == lengths[1] + 3
    other.fit(series, epochs=1, **given)
    assert other.predict(lengths[1] + 3, series, **given) != before


@pytest.mark.parametrize("lengths", [(16, 4), (8, 10), (5, 3)])
@pytest.mark.parametrize("shift", [0, 2])
def test_the_calendar_follows_to_other_lengths(tiny_model, waves, tmp_path, lengths, shift):
    """Its encoder came with the weights and knew the old lengths."""
    path = str(tmp_path / "model.pt")
    model = tiny_model(8, 4).fit(waves())
    model.predict(1)
    model.save(path)
    other = tiny_model(*lengths, output_chunk_shift=shift)
    other.load_weights(path)
    forecast = other.predict(lengths[1], waves())
    assert len(forecast) == lengths[1]
    other.save(path)
    assert InformerModel.load(path).predict(lengths[1], waves()) == forecast
    backtest = other.historical_forecasts(waves(), retrain=False, last_points_only=False)
    assert np.isfinite(backtest[0].values()).all()


def test_the_same_arguments_and_weights_give_the_same_forecast(saved, tiny_model, waves):
    model, path = saved()
    other = tiny_model(8, 4, random_state=5)
    other.load_weights(path)
    given = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
    assert other.predict(4, waves(40, 2), **given) == model.predict(4, waves(40, 2), **given)


def test_weights_can_be_loaded_without_the_encoders(saved, tiny_model, waves):
    """The calendar needs no fitting, so a forecast works at once."""
    model, path = saved()
    other = tiny_model(8, 4)
    other.load_weights(path, load_encoders=False)
    assert_equal_weights(model, other)
    given = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
    assert other.predict(4, waves(40, 2), **given) == model.predict(4, waves(40, 2), **given)


@pytest.mark.parametrize(
    "change",
    [{"d_model": 16}, {"num_encoder_layers": 3}, {"distil": False}, {"time_features": False}],
    ids=str,
)
def test_weights_that_do_not_fit_are_refused_by_name(saved, tiny_model, change):
    _, path = saved()
    with pytest.raises(ValueError, match=next(iter(change))):
        tiny_model(8, 4, **change).load_weights(path)


@pytest.mark.parametrize("lengths", [(16, 4), (6, 4), (8, 6), (8, 2)])
def test_the_weights_of_a_look_back_skip_move_with_their_distances(saved, lengths, tiny_model):
    """What was learnt of "k steps back, h ahead" stays with k and h in a model of other lengths."""
    model, path = saved(lookback_skip=True)
    other = tiny_model(*lengths, lookback_skip=True)
    other.load_weights(path)
    ours, theirs = (m.model.network.lookback_skip.weight for m in (other, model))
    rows, columns = min(lengths[1], 4), min(lengths[0], 8)
    assert ours.any()
    assert ours[..., :rows, -columns:].equal(theirs[..., :rows, -columns:])


@pytest.fixture
def checkpointed(tiny_model, waves, tmp_path):
    """Fit with checkpoints and a validation series; give the model and where its files are.

    Without early stopping: of a network that is kept to a share there is no checkpoint.
    """
    place = {"model_name": "tiny", "work_dir": str(tmp_path)}
    options = {"save_checkpoints": True, "force_reset": True, "early_stopping_patience": None}
    model = tiny_model(n_epochs=2, **options, **place)
    return model.fit(waves(), val_series=waves(seed=1)), place


@pytest.mark.parametrize("best", [True, False])
def test_checkpoints_come_back(checkpointed, tiny_model, waves, best):
    """The last one is the model as it is; the best one is that of the lowest validation loss."""
    model, place = checkpointed
    loaded = InformerModel.load_from_checkpoint(**place, best=best)
    assert np.isfinite(loaded.predict(6, waves()).values()).all()
    if not best:
        assert_equal_weights(loaded, model)
    other = tiny_model(12, 6, dropout=0.3)
    other.load_weights_from_checkpoint(**place, best=best)
    assert_equal_weights(loaded, other, besides="lookback_skip")


@pytest.mark.parametrize("best", [True, False])
def test_a_checkpoint_of_a_trainer_of_ones_own_comes_back(tiny_model, waves, tmp_path, best):
    place = {"model_name": "own", "work_dir": str(tmp_path)}
    model = tiny_model(save_checkpoints=True, early_stopping_patience=None, **place)
    callbacks = [c for c in model.trainer_params["callbacks"] if isinstance(c, ModelCheckpoint)]
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=callbacks, **quiet)
    model.fit(waves(), val_series=waves(seed=1), trainer=trainer)
    loaded = InformerModel.load_from_checkpoint(**place, best=best)
    assert loaded.predict(4, waves()) == model.predict(4, waves())
    other = tiny_model(random_state=5)
    other.load_weights_from_checkpoint(**place, best=best)
    assert other.predict(4, waves()) == model.predict(4, waves())


def test_a_loaded_model_is_saved_with_its_weights(saved, waves):
    """Darts leaves the weights out of a model that was neither trained nor used since."""
    model, path = saved()
    InformerModel.load(path).save(path)
    given = {"past_covariates": waves(40, seed=1), "future_covariates": waves(60, seed=2)}
    loaded = InformerModel.load(path)
    assert loaded.predict(4, waves(40, 2), **given) == model.predict(4, waves(40, 2), **given)


def test_a_model_of_a_lost_checkpoint_is_saved_with_its_weights(checkpointed, tmp_path):
    model, place = checkpointed
    loaded = InformerModel.load_from_checkpoint(**place, best=False)
    shutil.rmtree(tmp_path / "tiny" / "checkpoints")
    loaded.save(str(tmp_path / "model.pt"))
    assert_equal_weights(InformerModel.load(str(tmp_path / "model.pt")), model)


def test_a_model_without_weights_does_not_take_those_of_its_predecessor(saved):
    _, path = saved()
    InformerModel(8, 4).save(path)
    assert InformerModel.load(path).model is None


def test_training_resumes_from_a_checkpoint(checkpointed, waves):
    """The optimiser's state and the count of epochs go on where they stopped."""
    model, place = checkpointed
    loaded = InformerModel.load_from_checkpoint(**place, best=False)
    loaded.fit(waves(), epochs=5)
    assert loaded.epochs_trained == 5
    assert loaded.predict(4, waves()) != model.predict(4, waves())


def test_load_best_leaves_the_best_weights(tiny_model, waves, tmp_path):
    place = {"model_name": "best", "work_dir": str(tmp_path)}
    steep = {"n_epochs": 3, "optimizer_kwargs": {"lr": 0.5}}
    model = tiny_model(save_checkpoints=True, early_stopping_patience=None, **steep, **place)
    model.fit(waves(), val_series=waves(seed=1), load_best=True)
    assert_equal_weights(model, InformerModel.load_from_checkpoint(**place, best=True))


def test_load_best_keeps_the_start_where_no_epoch_is_better(tiny_model, waves, tmp_path):
    """No epoch trained it: the count says so."""
    steep = {"n_epochs": 2, "optimizer_kwargs": {"lr": 1.0}, "save_checkpoints": True}
    steep |= {"work_dir": str(tmp_path)}
    start = tiny_model(n_epochs=1, optimizer_kwargs={"lr": 0.0})
    start.fit(waves(), val_series=waves(seed=1))
    model = tiny_model(model_name="steep", **steep)
    model.fit(waves(), val_series=waves(seed=1), load_best=True)
    assert_equal_weights(model, start)
    assert model.epochs_trained == 0


@pytest.mark.parametrize("change", [{}, {"patch_length": 3}])
def test_weights_bring_the_length_of_their_patches_along(tiny_model, waves, tmp_path, change):
    """Where none was chosen it follows from the look-back: 3 steps of 48, and 6 of 96."""
    model = tiny_model(48, 12).fit(waves(100))
    model.save(str(tmp_path / "model.pt"))
    other = tiny_model(96, 12, **change)
    other.load_weights(str(tmp_path / "model.pt"))
    forecast = other.predict(12, waves(100))
    other.save(str(tmp_path / "other.pt"))
    assert InformerModel.load(str(tmp_path / "other.pt")).predict(12, waves(100)) == forecast
    other.save_pretrained(tmp_path / "other")
    assert InformerModel.from_pretrained(tmp_path / "other").predict(12, waves(100)) == forecast
    with pytest.raises(
        ValueError, match="`patch_length` must be that of the saved weights, 3; got"
    ):
        tiny_model(96, 12, patch_length=6).load_weights(str(tmp_path / "model.pt"))


def test_a_checkpoint_is_not_overwritten_unasked(checkpointed, tiny_model, waves):
    _, place = checkpointed
    with pytest.raises(ValueError, match="force_reset"):
        tiny_model(save_checkpoints=True, **place).fit(waves())


def test_a_checkpoint_holds_plain_hyper_parameters(saved):
    """Plain values load anywhere; an object of ours would bind the file to its module path."""
    model, _ = saved(start_token_length=3)
    hyper_parameters = dict(model.model.hparams)
    for name in ("optimizer_cls", "optimizer_kwargs", "train_sample_shape", "likelihood"):
        hyper_parameters.pop(name, None)
    # Darts' own form of this argument is a dictionary.
    assert hyper_parameters.pop("use_reversible_instance_norm") == {
        "eps": 1e-12,
        "affine": False,
    }
    plain = (int, float, str, bool, tuple, type(None))
    assert {n: v for n, v in hyper_parameters.items() if not isinstance(v, plain)} == {}


def test_parameter_names_are_stable(saved):
    """Fine-tuning patterns and old files name them: a change here breaks users."""
    model, _ = saved()
    names = {re.sub(r"\.(weight|bias)$", "", name) for name in weights(model)}
    stack = "encoder.stacks.0"
    layer = ("self_attention.query_key_value", "self_attention.output")
    feed_forward = ("feed_forward.expand", "feed_forward.contract", "feed_forward_norm")
    encoder = {
        f"{stack}.layers.{i}.{part}"
        for i in range(2)
        for part in (*layer, "attention_norm", *feed_forward)
    }
    cross = ("cross_attention.query_key_value", "cross_attention.output", "cross_attention_norm")
    decoder = {
        f"decoder.layers.0.{part}"
        for part in (*layer, "self_attention_norm", *cross, *feed_forward)
    }
    embeddings = {
        f"{side}_embedding.{part}"
        for side in ("encoder", "decoder")
        for part in ("value", "time_stamp")
    }
    distilling = {f"{stack}.distilling.0.convolution", f"{stack}.distilling.0.norm"}
    others = {*distilling, f"{stack}.norm", "decoder.norm", "projection", "lookback_skip"}
    steps = {f"step_embedding.{part}" for part in ("expand", "contract")}
    steps |= {f"step_head.{part}" for part in ("shares", "layers.0", "layers.3")}
    assert names == encoder | decoder | embeddings | others | steps
    assert f"{type(model.model).__module__}.{type(model.model).__name__}" == (
        "informer_forecaster.adapters._darts_module._InformerModule"
    )


def test_callbacks_survive_a_file(tiny_model, waves, tmp_path):
    """Darts rebuilds them from the constructor's arguments, which must hold them."""
    bar = TFMProgressBar(enable_train_bar=False, enable_prediction_bar=False)
    trainer = {"callbacks": [bar], "enable_progress_bar": True}
    path = str(tmp_path / "model.pt")
    tiny_model(trainer=trainer).fit(waves()).save(path)
    callbacks = InformerModel.load(path).trainer_params["callbacks"]
    assert [type(callback) for callback in callbacks] == [TFMProgressBar]


def test_a_checkpoint_of_a_trainer_of_the_users_own_loads(tiny_model, waves, tmp_path):
    options = {"model_name": "own", "work_dir": str(tmp_path), "save_checkpoints": True}
    # Without early stopping the model keeps the last weights, as the last checkpoint does.
    model = tiny_model(early_stopping_patience=None, **options)
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    callbacks = model.trainer_params["callbacks"]
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", callbacks=callbacks, **quiet)
    expected = model.fit(waves(), trainer=trainer).predict(4)
    loaded = InformerModel.load_from_checkpoint("own", str(tmp_path), best=False)
    assert loaded.predict(4, waves()) == expected


def test_checks_of_loading_that_exclude_each_other_are_named_first(tiny_model):
    """As in Darts, where the files need not be there for that."""
    with pytest.raises(ValueError, match="mutually exclusive"):
        tiny_model().load_weights_from_checkpoint(
            "missing", "nowhere", "last-none.ckpt", skip_checks=True, load_encoders=True
        )
