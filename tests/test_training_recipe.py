"""What `fit` does when the user chose neither schedule, clipping nor early stopping."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.utils.data import SequentialTorchTrainingDataset
from darts.utils.likelihood_models.torch import QuantileRegression
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch.utils.data import DataLoader

from informer_forecaster import InformerModel
from informer_forecaster._training.best_weights import KeepBestWeights, Validated
from informer_forecaster._training.gains import earned_share, windows_apart
from informer_forecaster._training.recipe import fuse_on_a_cpu
from informer_forecaster._training.share import SHARES
from informer_forecaster.adapters import _darts_module
from informer_forecaster.adapters._darts_series import SomeWindows

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Losses(Callback):
    """Note validation loss and weights of every epoch, and every step's rate."""

    def __init__(self):
        self.losses, self.weights, self.rates, self.norms = [], [], [], []

    def on_validation_epoch_end(self, trainer, pl_module):
        if trainer.sanity_checking:
            return
        assert "train_loss" in trainer.callback_metrics, "of an epoch that has ended"
        self.losses.append(float(trainer.callback_metrics["val_loss"]))
        self.weights.append({k: v.clone() for k, v in pl_module.state_dict().items()})

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):  # noqa: ARG002
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, pl_module, *_):  # noqa: ARG002
        gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        self.norms.append(float(torch.cat(gradients).norm()))


def fit(tiny_model, waves, callbacks=(), **options):
    losses = Losses()
    trainer = {"callbacks": [losses, *callbacks], **options.pop("trainer", {})}
    model = tiny_model(trainer=trainer, **options).fit(waves(), val_series=waves(seed=1))
    return model, losses


@pytest.mark.parametrize(("chosen", "patience"), [({}, 15), ({"early_stopping_patience": 5}, 5)])
def test_training_stops_early_and_keeps_the_best_weights(tiny_model, waves, chosen, patience):
    """At this rate the loss soon rises; the last weights would be worse than earlier ones.

    A quarter of the epochs may pass, as a long training is noisy at first.
    """
    options = {"n_epochs": 60, "optimizer_kwargs": {"lr": 0.2}, "lookback_skip": False, **chosen}
    model, seen = fit(tiny_model, waves, **options)
    best = seen.losses.index(min(seen.losses))
    assert len(seen.losses) == best + 1 + patience < 60
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, seen.weights[best][name]), name


def test_the_linear_start_forecasts_alone_where_the_network_brings_nothing(tiny_model, waves):
    """On little data the network may learn nothing that holds on the validation series."""
    model, seen = fit(tiny_model, waves, n_epochs=20, optimizer_kwargs={"lr": 1.0})
    best = seen.losses.index(min(seen.losses))
    assert len(seen.losses) == best + 1 + 5  # the start is no epoch, and callbacks see none
    assert model.model.share == 0
    start, _ = fit(tiny_model, waves, n_epochs=0)
    assert model.predict(4, waves()) == start.predict(4, waves())


@pytest.mark.parametrize("options", [{}, {"lookback_skip": False}])
def test_what_a_later_training_begins_with_competes_too(tiny_model, waves, options):
    """A second `fit` at a rate that ruins the weights gives back what it was given."""
    model, _ = fit(tiny_model, waves, n_epochs=2, optimizer_kwargs={"lr": 1e-3}, **options)
    before = {k: v.clone() for k, v in model.model.state_dict().items()}
    model.model.optimizer_kwargs["lr"] = 10.0
    model.fit(waves(), val_series=waves(seed=1), epochs=3)
    assert all(value.equal(before[name]) for name, value in model.model.state_dict().items())


@pytest.mark.parametrize(
    ("gains", "apart", "share"),
    [
        ([1, 1, 1, 1, 1], 10, 1.0),
        ([9, -8, 9, -8, 9], 10, 2.2**2 / (2.2**2 + 86.7 / 5)),
        ([1, 2, 3, 4, 5], 100, 9 / (9 + 2.5 / 5)),
        ([1, 2, 3, 4, 5], 2, 9 / (9 + 2.5 / 2)),  # five stretches of windows that overlap
        ([-1, -2, -3, -4, 5], 100, 0.0),
        ([3], 1, 0.5),  # one window cannot tell
    ],
)
def test_a_change_is_kept_to_the_share_that_its_gain_has_earned(gains, apart, share):
    """A lower loss on one stretch of the validation part is no promise for the next.

    Windows that share their steps ahead err alike, and are no more than one of them.
    """
    assert earned_share(torch.tensor(gains, dtype=torch.float64), apart) == pytest.approx(share)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("likelihood", [None, QuantileRegression([0.1, 0.5, 0.9])])
def test_parts_of_a_batch_lose_what_the_batch_loses(
    tiny_model, waves, monkeypatch, weighted, likelihood
):
    """The share is chosen for the loss that the user chose, not for another one."""
    told = []
    monkeypatch.setattr(
        _darts_module, "agreed_share", lambda losses, *_, **__: told.append(losses) or 0.5
    )
    loss = {"likelihood": likelihood} if likelihood else {"loss_fn": torch.nn.L1Loss()}
    model = tiny_model(n_epochs=1, batch_size=16, **loss)
    series = waves()
    weight = series.with_values(np.linspace(0.5, 2.0, series.values().size)[:, None])
    given = {"sample_weight": weight, "val_sample_weight": weight} if weighted else {}
    validating = series[-(model.input_chunk_length + model.output_chunk_length + 15) :]
    model.fit(series, val_series=validating, **given)
    (losses,) = told
    parts = losses[:, SHARES.index(1.0)]  # of the network alone, by which an epoch is judged
    assert parts.shape == (8,)
    assert parts.std() > 0
    logged = model.trainer.callback_metrics["val_loss"]
    torch.testing.assert_close(parts.mean(), logged.to(parts.dtype))


@pytest.mark.parametrize(("series", "stride", "apart"), [(1, 1, 2.5), (1, 4, 10.0), (6, 1, 6.0)])
def test_windows_apart(waves, series, stride, apart):
    """Of one series they share steps; different series have none in common."""
    windows = SequentialTorchTrainingDataset(
        [waves()] * series, input_chunk_length=8, output_chunk_length=12, stride=stride
    )
    count = 30
    assert windows_apart(DataLoader(windows), count, horizon=12) == apart
    held = SomeWindows(windows, np.arange(count))
    assert windows_apart(DataLoader(held), count, horizon=12) == apart


def test_weights_drawn_at_random_are_not_kept_for_a_doubtful_gain(tiny_model):
    """Without a linear map the start has merits by chance only, and a user expects a training."""
    wave = np.sin(np.arange(330) * np.pi / 6).astype(np.float32)
    usual = [TimeSeries.from_values(wave[at : at + 24]) for at in range(4)]
    turned = TimeSeries.from_values(np.concatenate([wave[:12], -wave[:12]]))
    options = {"lookback_skip": False, "batch_size": 1, "trainer": {"limit_train_batches": 1.0}}
    model = tiny_model(12, 12, n_epochs=4, optimizer_kwargs={"lr": 1e-2}, **options)
    model.fit(TimeSeries.from_values(wave), val_series=[*usual, turned], stride=2)
    errors = model.predict(12, usual[0][:12]).values() - usual[0].values()[12:]
    assert np.square(errors).mean() < 0.05  # 0.5 is that of a constant


def test_without_a_validation_series_all_epochs_are_trained(tiny_model, waves):
    assert tiny_model(n_epochs=5).fit(waves()).epochs_trained == 5


def test_a_training_that_was_never_validated_keeps_its_last_weights(tiny_model, waves):
    """Nothing but the start was compared: its weights must not undo the whole training."""
    options = {"n_epochs": 3, "nr_epochs_val_period": 10, "optimizer_kwargs": {"lr": 0.05}}
    with pytest.warns(UserWarning, match="no epoch of this training was validated"):
        model, seen = fit(tiny_model, waves, **options)
    assert not seen.losses
    options["early_stopping_patience"] = None
    plain = tiny_model(**{**options, "trainer": {}}).fit(waves())
    for one, other in zip(model.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_none_trains_all_epochs_and_keeps_the_last_weights(tiny_model, waves):
    options = {"n_epochs": 8, "optimizer_kwargs": {"lr": 0.05}, "early_stopping_patience": None}
    model, seen = fit(tiny_model, waves, **options)
    assert len(seen.losses) == 8
    assert torch.equal(
        model.model.network.projection.weight, seen.weights[-1]["network.projection.weight"]
    )


def test_an_early_stopping_of_the_user_ends_the_training(tiny_model, waves):
    """The best weights are kept all the same."""
    own = EarlyStopping("val_loss", patience=1, min_delta=1e9)
    model, seen = fit(tiny_model, waves, callbacks=[own], n_epochs=8)
    assert len(seen.losses) == 2  # the first is better than infinity
    assert own in model.trainer.callbacks
    best = seen.weights[int(np.argmin(seen.losses))]["network.projection.weight"]
    assert torch.equal(model.model.network.projection.weight, best)


def test_the_file_of_the_best_epoch_holds_the_share_that_was_chosen(tiny_model, waves, tmp_path):
    """Also where an early stopping of the user's ends the training, as Darts' guides have it."""
    place = {"model_name": "own", "work_dir": str(tmp_path)}
    own = {"callbacks": [EarlyStopping("val_loss", patience=2)]}
    model = tiny_model(n_epochs=8, save_checkpoints=True, trainer=own, **place)
    model.fit(waves(), val_series=waves(seed=1))
    loaded = InformerModel.load_from_checkpoint(**place, best=True)
    assert loaded.predict(4, waves()) == model.predict(4, waves())
    assert loaded.model.share == 0  # waves are linear; a half, if nothing had validated


def as_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def test_early_stopping_goes_on_from_its_state():
    """A resumed training must not forget its best weights."""
    first, second = KeepBestWeights(2), KeepBestWeights(2)
    first.best = Validated({"a": torch.ones(1)}, 3)
    first.best_score = torch.tensor(0.5)
    state = torch.load(io.BytesIO(as_file(first.state_dict())), weights_only=True)
    second.load_state_dict(state)
    assert second.best == first.best
    assert float(second.best_score) == 0.5
    third = KeepBestWeights(2)
    third.load_state_dict(KeepBestWeights(2).state_dict())
    assert third.best is None


def test_losses_on_other_validation_data_are_forgotten(tiny_model, waves, tmp_path):
    """A loss of before on easier data would undo all that the newer training learns."""
    place = {"model_name": "old", "work_dir": str(tmp_path)}
    model = tiny_model(save_checkpoints=True, n_epochs=2, optimizer_kwargs={"lr": 1e-2}, **place)
    model.fit(waves(), val_series=waves(seed=1))
    for new, epochs, is_forgotten in ((waves(seed=1), 3, False), (waves(seed=1) * 10.0, 6, True)):
        loaded = InformerModel.load_from_checkpoint(**place, best=False)
        loaded.fit(waves(), val_series=new, epochs=epochs)
        (keeper,) = (c for c in loaded.trainer.callbacks if isinstance(c, KeepBestWeights))
        assert (float(keeper.best_score) > 1.0) == is_forgotten
    assert not all(
        map(torch.equal, loaded.model.state_dict().values(), model.model.state_dict().values())
    )


@pytest.mark.parametrize("epochs", [1, 20])
def test_the_rate_warms_up_and_decays_over_the_steps_there_are(tiny_model, waves, epochs):
    """A training of few steps, as an update is, must not spend the first on next to nothing."""
    _, seen = fit(tiny_model, waves, n_epochs=epochs, optimizer_kwargs={"lr": 0.1})
    assert len(seen.rates) <= 2 * epochs
    num_steps = 2 * epochs
    warm_up = num_steps / 10
    for step, rate in enumerate(seen.rates):
        rise = min(1.0, (step + 1) / (warm_up + 1))
        fall = 0.5 + 0.5 * np.cos(np.pi * step / num_steps)
        assert rate == pytest.approx(0.1 * rise * fall)
    if epochs == 20:
        # The warm-up of four steps in fifths, on the way of the cosine.
        assert seen.rates[:5] == pytest.approx([0.02, 0.03994, 0.05963, 0.07891, 0.09755], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "peak"),
    [({}, 1.5e-3), ({"optimizer_kwargs": {"lr": 3e-3}}, 3e-3)],  # the second is the user's own
)
def test_a_long_training_has_half_the_rate(tiny_model, waves, monkeypatch, options, peak):
    """Ten steps of a few windows here, three thousand else; what a short one has comes first."""
    rates = []
    for longest in (10**6, 10):
        monkeypatch.setattr("informer_forecaster._training.recipe.LONG_TRAINING", longest)
        seen = Losses()
        tiny_model(trainer={"callbacks": [seen]}, n_epochs=20, **options).fit(waves())
        rates.append(max(seen.rates))
    factor = rates[0] / 3e-3
    assert 0.9 < factor <= 1  # the cosine has begun where the warm-up ends
    assert rates[1] == pytest.approx(peak * factor)


def test_the_gradient_is_clipped_unless_the_trainer_says_otherwise(tiny_model, waves):
    """Waves of deviation 1000: the loss is in their units, and so are its gradients."""
    large = lambda **k: waves(**k) * 1000.0  # noqa: E731
    _, clipped = fit(tiny_model, large)
    assert max(clipped.norms) <= 1.0 + 1e-6
    _, own = fit(tiny_model, large, trainer={"gradient_clip_val": 2.0})
    assert max(own.norms) == pytest.approx(2.0, rel=1e-5)
    _, free = fit(tiny_model, large, trainer={"gradient_clip_val": 0.0})
    assert max(free.norms) > 100.0


@pytest.mark.parametrize(
    ("given", "fitted", "epochs"),
    [
        pytest.param({}, {}, 100, id="a small series trains long"),
        pytest.param({"batch_size": 1}, {}, 50, id="as many epochs as make 3000 steps"),
        pytest.param({"n_epochs": 3}, {}, 3, id="a number that was chosen"),
        pytest.param({"n_epochs": 0}, {}, 0, id="also none"),
        pytest.param({}, {"epochs": 2}, 2, id="a number for this training"),
        pytest.param({"early_stopping_patience": None}, {}, 10, id="nothing would stop it"),
        pytest.param(
            {"trainer": {"callbacks": [EarlyStopping("val_loss")]}}, {}, 100, id="the user would"
        ),
    ],
)
def test_epochs_that_nobody_chose_are_enough_steps(tiny_model, waves, given, fitted, epochs):
    """Ten epochs of two batches taught a network nothing that is not linear."""
    model = tiny_model(**{"n_epochs": None, "optimizer_kwargs": {"lr": 1.0}, **given})
    # 60 windows
    model.fit(waves(71), val_series=waves(seed=1), **fitted)
    assert model.trainer.max_epochs == epochs


def test_no_epochs_give_the_linear_forecast(tiny_model, waves):
    """What training begins at, and nothing of a network that has learnt nothing."""
    series = waves(120)
    model = tiny_model(n_epochs=0, trainer={"limit_train_batches": None}).fit(series)
    assert not model.model.network.projection.weight.any()
    assert np.abs(model.predict(4).values() - waves(124)[-4:].values()).max() < 0.7
    assert model.epochs_trained == 0


class Spoil(Callback):
    """Puts a number that is not finite into the weights, as a gradient that overflows does."""

    def on_train_batch_end(self, trainer, pl_module, *_):  # noqa: ARG002
        with torch.no_grad():
            pl_module.network.projection.bias.fill_(float("nan"))


@pytest.mark.parametrize("epochs", [1, 5])
def test_weights_that_are_not_finite_never_leave_a_fit(tiny_model, waves, epochs):
    """An error says what to scale; the forecasts of before are still there."""
    model = tiny_model(n_epochs=3, early_stopping_patience=None).fit(waves())
    expected = model.predict(4)
    spoilt = Trainer(callbacks=[Spoil()], max_epochs=epochs, **QUIET)
    with pytest.raises(ValueError, match="Scale the series and the covariates"):
        model.fit(waves(), trainer=spoilt, epochs=epochs)
    assert spoilt.current_epoch <= 1
    assert model.predict(4, waves()) == expected


def test_with_a_validation_series_the_last_finite_weights_are_kept(tiny_model, waves):
    """What was trained in vain is said, as a gap in the windows that train may be the reason."""
    with pytest.warns(UserWarning, match="no longer finite in epoch 1: .* Fill gaps"):
        model, _ = fit(tiny_model, waves, callbacks=[Spoil()], n_epochs=5)
    assert all(bool(p.isfinite().all()) for p in model.model.parameters())
    assert model.epochs_trained < 5


def test_the_start_draws_none_of_the_random_numbers_of_the_training(tiny_model, waves):
    """With it or without it, training sees the same windows in the same order."""

    class Order(Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):  # noqa: ARG002
            self.seen.append(batch.past_target.clone())

    def order(**options):
        watcher = Order()
        trainer = {"callbacks": [watcher], "limit_train_batches": None}
        tiny_model(n_epochs=2, trainer=trainer, **options).fit(waves(80))
        return torch.cat(watcher.seen)

    assert torch.equal(order(), order(lookback_skip=False))


@pytest.mark.parametrize(
    ("given", "fused"), [({}, True), ({"foreach": True}, None), ({"fused": False}, False)], ids=str
)
def test_adam_takes_a_step_in_one_kernel_unless_it_was_told_how(given, fused):
    """The weights that it leads to are the same."""
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    own, other = torch.optim.Adam(weights[:1], **given), torch.optim.Adam(weights[1:], **given)
    fuse_on_a_cpu(own)
    assert own.param_groups[0]["fused"] is fused
    for step in range(3):
        for weight, optimizer in zip(weights, (own, other), strict=True):
            weight.grad = torch.arange(3.0) - step
            optimizer.step()
    torch.testing.assert_close(*weights)
