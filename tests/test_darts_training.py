"""Training: repeatable, watched, stopped, weighted, fine-tuned, and good enough on real data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.metrics import mae, mape, mql
from darts.utils.data import SequentialTorchTrainingDataset
from darts.utils.likelihood_models.torch import QuantileRegression
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch.utils.data import BatchSampler, RandomSampler
from torchmetrics import MeanAbsoluteError, MetricCollection

from informer_forecaster import InformerModel
from informer_forecaster.adapters import _darts_module

TINY_PAPER = {"d_model": 16, "nhead": 2, "dim_feedforward": 16, "batch_size": 8}
PAST, FUTURE = "past_covariates", "future_covariates"
WHOLE = {"limit_train_batches": None}
PROJECTION = {"projection.weight", "projection.bias"}


def weights(model):
    return {name: p.detach().clone() for name, p in model.model.network.named_parameters()}


def changed(before, after):
    """Names of the parameters that differ."""
    return {name for name in before if not torch.equal(before[name], after[name])}


class Watcher(Callback):
    """Notes the metrics of every epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):  # noqa: ARG002 - Lightning calls it
        self.epochs.append({k: float(v) for k, v in trainer.callback_metrics.items()})


@pytest.mark.parametrize("attention", ["prob", "full"])
def test_random_state_fixes_the_training(tiny_model, waves, attention):
    """Initial weights, batches, dropout and key samples all follow from it."""
    sparse = {"attention": attention, "sampling_factor": 1, "sparsity": "sampled"}
    options = {**sparse, "dropout": 0.2, "n_epochs": 2}
    series = waves(80)
    once, again, other = (
        weights(tiny_model(30, 4, random_state=seed, **options).fit(series)) for seed in (1, 1, 2)
    )
    assert changed(once, again) == set()
    assert changed(once, other)


def test_fitting_again_continues_the_training(tiny_model, waves):
    # Where the best weights are kept, those that it begins with may be the best.
    model = tiny_model(early_stopping_patience=None).fit(waves())
    before = weights(model)
    assert changed(before, weights(model.fit(waves(), epochs=2)))


@pytest.mark.parametrize("names", [(), (PAST,), (FUTURE,), (PAST, FUTURE)])
def test_a_validation_series_is_watched_and_not_learnt(tiny_model, waves, names):
    """Its loss is there for callbacks; whatever it holds, the weights are the same."""
    given = {name: waves(60, seed=3) for name in names}

    def fit(factor):
        validation = {f"val_{name}": waves(60, seed=4) * factor for name in names}
        watcher = Watcher()
        # What is kept in the end, the validation decides.
        options = {"n_epochs": 3, "early_stopping_patience": None}
        model = tiny_model(**options, trainer={"callbacks": [watcher]})
        model.fit(waves(), val_series=waves(seed=1) * factor, **given, **validation)
        return weights(model), [epoch["val_loss"] for epoch in watcher.epochs]

    (one, losses), (other, other_losses) = fit(1.0), fit(3.0)
    assert changed(one, other) == set()
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    assert losses != other_losses


def test_early_stopping_ends_the_training(tiny_model, waves):
    """An impossible demand stops it after the patience, long before the last epoch."""
    stopper = EarlyStopping(monitor="val_loss", patience=1, min_delta=1e9)
    model = tiny_model(n_epochs=50, trainer={"callbacks": [stopper]})
    assert model.fit(waves(), val_series=waves(seed=1)).epochs_trained == 2


def test_metrics_and_schedulers_work(tiny_model, waves):
    watcher = Watcher()
    model = tiny_model(
        n_epochs=3,
        loss_fn=torch.nn.L1Loss(),
        torch_metrics=MetricCollection([MeanAbsoluteError()]),
        optimizer_cls=torch.optim.AdamW,
        lr_scheduler_cls=torch.optim.lr_scheduler.ExponentialLR,
        lr_scheduler_kwargs={"gamma": 0.5},
        optimizer_kwargs={"lr": 1e-3},
        trainer={"callbacks": [watcher]},
    ).fit(waves(), val_series=waves(seed=1))
    assert {"train_MeanAbsoluteError", "val_MeanAbsoluteError"} <= set(watcher.epochs[-1])
    assert model.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3 / 8)


def test_weights_of_zero_teach_nothing_and_weights_of_one_everything(tiny_model, waves):
    """Sample weights scale the loss: these two ends need no tolerance."""
    series = waves()
    ones = series.with_values(np.ones(series.shape))
    plain = weights(tiny_model().fit(series))
    assert changed(plain, weights(tiny_model().fit(series, sample_weight=ones))) == set()
    # The norm of distilling is over all windows of a batch, whatever their weight.
    one, other, both = (
        weights(tiny_model(distil=False).fit([series, second], sample_weight=[ones, weight]))
        for second, weight in (
            (waves(seed=1), ones - 1),
            (waves(seed=2) * 3.0, ones - 1),
            (waves(seed=1), ones),
        )
    )
    assert changed(one, other) == set()
    assert changed(one, both) != set()


def test_what_has_no_weight_is_not_in_the_start_either(tiny_model, waves):
    """A broken sensor for half of the time: the linear map has to be that of the other half."""
    series = waves(400).astype(np.float32)
    broken = series.values().copy()
    broken[:200] = np.random.default_rng(0).normal(scale=50, size=(200, 1))
    broken = series.with_values(broken)
    weight = series.with_values((np.arange(400) >= 212).astype(np.float32)[:, None])

    def error(**given):
        model = tiny_model(12, 4, optimizer_kwargs={"lr": 0.0}, trainer=WHOLE, **given)
        model.fit(broken, sample_weight=weight)
        options = {"retrain": False, "start": 250, "start_format": "position", "metric": mae}
        if given:  # the median, not a sample
            options.update(metric=mql, predict_likelihood_parameters=True, metric_kwargs={"q": 0.5})
        return model.backtest(series, **options)

    assert error() < 0.15
    assert error(likelihood=QuantileRegression([0.1, 0.5, 0.9])) < 0.15
    weight = None
    assert error() > 0.3


def test_a_trainer_that_is_used_again_brings_no_weights_along(tiny_model, waves):
    """Its early stopping has the best weights of the model before."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    trainer = Trainer(accelerator="cpu", max_epochs=2, enable_checkpointing=False, **quiet)
    first = waves(dtype=np.float32)
    tiny_model().fit(first, val_series=first, trainer=trainer)
    trainer.fit_loop.max_epochs = 4
    other, alone = waves(60, seed=5, dtype=np.float32), tiny_model(trainer=WHOLE)
    again = tiny_model().fit(other, val_series=other, trainer=trainer)
    alone.fit(other, val_series=other)
    name = "lookback_skip.weight"
    torch.testing.assert_close(weights(again)[name], weights(alone)[name])


def test_the_start_sees_what_a_batch_sampler_draws(tiny_model, waves, monkeypatch):
    seen = []

    def record(windows, *_, **__):
        seen.extend(len(batch.future) for batch in windows)

    monkeypatch.setattr(_darts_module, "fit_start", record)
    series = waves(60)
    sampler = BatchSampler(RandomSampler(range(49)), 16, drop_last=False)
    loader = {"batch_sampler": sampler, "shuffle": False, "batch_size": 1}
    tiny_model(trainer=WHOLE).fit(series, dataloader_kwargs=loader)
    assert seen == [10, 10, 10, 10, 9]


@pytest.mark.parametrize("weight", ["linear", "exponential"])
def test_decaying_sample_weights_change_the_training(tiny_model, waves, weight):
    several = [waves(), waves(50, seed=1)]
    weighted = tiny_model().fit(several, sample_weight=weight, val_series=several)
    assert changed(weights(weighted), weights(tiny_model().fit(several)))


@pytest.mark.parametrize(
    ("enable", "trained"),
    [
        ({"unfreeze": ["network.projection.*"]}, PROJECTION),
        (
            {"freeze": ["network.encoder*", "network.decoder*", "network.lookback_skip*", "rin*"]},
            PROJECTION,
        ),
        (False, set()),
    ],
    ids=["unfreeze", "freeze", "none"],
)
def test_fine_tuning_trains_the_named_parameters_only(tiny_model, waves, tmp_path, enable, trained):
    """Patterns name parameters of the network; a wrong name would freeze or train all."""
    model = tiny_model().fit(waves())
    model.predict(1)
    model.save(str(tmp_path / "base.pt"))
    tuned = tiny_model(enable_finetuning=enable)
    tuned.load_weights(str(tmp_path / "base.pt"))
    required = {n for n, p in tuned.model.network.named_parameters() if p.requires_grad}
    assert required == trained
    if trained:
        before = weights(tuned)
        tuned.fit(waves(seed=1), epochs=2)
        assert changed(before, weights(tuned)) == trained


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, 3e-3),
        ({"d_model": 64}, 1.5e-3),
        ({"optimizer_cls": torch.optim.Adam, "optimizer_kwargs": {"eps": 1e-6}}, 3e-3),
        ({"optimizer_kwargs": {"lr": 0.01}}, 0.01),
        ({"optimizer_cls": torch.optim.Adadelta}, 1.0),
    ],
    ids=str,
)
def test_the_default_rate_is_that_of_the_default_optimizer(tiny_model, waves, options, rate):
    """At 3e-3 Adadelta, made for a rate of 1, would not move: a network without any training."""
    model = tiny_model(**options).fit(waves())
    assert model.model.trainer.optimizers[0].defaults["lr"] == rate


def test_the_learning_rate_finder_runs(tiny_model, waves):
    model = tiny_model(trainer={"limit_train_batches": 1.0})
    found = model.lr_find(waves(300), num_training=30)
    assert found.suggestion() > 0


def test_a_data_set_of_darts_can_be_fitted(tiny_model, waves):
    """`fit_from_dataset` brings no index, so there is no calendar, as with an integer index."""
    dataset = SequentialTorchTrainingDataset(
        series=[waves()], input_chunk_length=8, output_chunk_length=4
    )
    model = tiny_model().fit_from_dataset(dataset)
    assert model.model.network.config.num_future_covariates == 0
    assert model.predict(4, waves()).shape == (4, 1, 1)


def test_max_samples_and_stride_of_the_training_windows(tiny_model, waves):
    model = tiny_model().fit(waves(), max_samples_per_ts=1)
    assert changed(weights(model), weights(tiny_model().fit(waves(), stride=3)))


@pytest.mark.parametrize("attention", ["prob", "full"])
@pytest.mark.parametrize("instance_norm", [True, False])
def test_air_passengers_in_ten_epochs(tiny_model, attention, instance_norm):
    """Darts' own bound for a network of default size on its scaled series: MAPE below 40."""
    datasets = pytest.importorskip("sktime.datasets")
    record = datasets.load_airline()
    series = TimeSeries.from_times_and_values(record.index.to_timestamp(), record.to_numpy())
    train, test = series.split_before(108)
    scaler = Scaler()
    train = scaler.fit_transform(train)
    sizes = {"d_model": 64, "nhead": 4, "dim_feedforward": 256, "batch_size": 32, "n_epochs": 10}
    options = {"attention": attention, "use_reversible_instance_norm": instance_norm}
    model = tiny_model(24, 12, trainer={"limit_train_batches": 1.0}, **sizes, **options)
    forecast = model.fit(train).predict(len(test))
    assert mape(scaler.transform(test), forecast) < 40


def test_the_paper_preset_is_the_paper(waves):
    """Point tokens, mixed channels, nothing beside the network, and its halving learning rate."""
    model = InformerModel.paper(24, 8)
    expected = {"d_model": 512, "nhead": 8, "dim_feedforward": 2048, "dropout": 0.05}
    assert expected.items() <= model.model_params.items()
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    tiny = InformerModel.paper(24, 8, **TINY_PAPER, pl_trainer_kwargs=quiet).fit(waves(40, 2))
    config = tiny.model.network.config
    assert (config.patch_length, config.padding_mode, config.d_model) == (1, "circular", 16)
    assert not config.channel_independent
    assert not config.lookback_skip
    assert tiny.model.rin is None
    assert tiny.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-4 / 2**6)
