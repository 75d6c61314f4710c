"""What `fit` does when the user chose neither schedule, clipping nor early stopping."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.strategies import SingleDeviceStrategy

from informer_forecaster import InformerModel
from informer_forecaster.adapters._best_weights import KeepBestWeights, Validated
from informer_forecaster.adapters._darts_training import rate_factor


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


def test_training_stops_early_and_keeps_the_best_weights(tiny_model, waves):
    """At this rate the loss soon rises; the last weights would be worse than earlier ones."""
    model, seen = fit(tiny_model, waves, n_epochs=60, optimizer_kwargs={"lr": 0.03})
    best = seen.losses.index(min(seen.losses))
    assert len(seen.losses) == best + 1 + 3 < 60
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, seen.weights[best][name]), name


def test_the_linear_start_is_kept_where_no_epoch_is_better(tiny_model, waves):
    """On little data the network may learn nothing that holds on the validation series."""
    model, seen = fit(tiny_model, waves, n_epochs=20, optimizer_kwargs={"lr": 1.0})
    assert len(seen.losses) == 3  # the start is no epoch, and callbacks of the user see none
    assert not model.model.network.projection.weight.any()


@pytest.mark.parametrize("options", [{}, {"lookback_skip": False}])
def test_what_a_later_training_begins_with_competes_too(tiny_model, waves, options):
    """A second `fit` at a rate that ruins the weights gives back what it was given."""
    model, _ = fit(tiny_model, waves, n_epochs=2, optimizer_kwargs={"lr": 1e-3}, **options)
    before = {k: v.clone() for k, v in model.model.state_dict().items()}
    model.model.optimizer_kwargs["lr"] = 10.0
    model.fit(waves(), val_series=waves(seed=1), epochs=3)
    assert all(value.equal(before[name]) for name, value in model.model.state_dict().items())


@pytest.mark.parametrize(
    ("gains", "is_kept"),
    [
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], True),
        ([9, 9, -8, -8, 9, 9, -8, -8, 9, 9], False),  # better on average, by chance
        ([9, -8, 9, -8, 9], False),
        ([9, -8, 9, -8], True),  # too few to tell
    ],
)
def test_trained_weights_have_to_beat_the_start_beyond_chance(tiny_model, waves, gains, is_kept):
    """A lower loss on one stretch of the validation part is no promise for the next."""
    model = tiny_model().fit(waves())
    keeper = KeepBestWeights(2)
    before = {k: v.clone() for k, v in model.model.state_dict().items()}
    after = {k: v + 1 for k, v in before.items()}
    keeper.start = Validated(before, torch.zeros(len(gains)))
    keeper.best = Validated(after, -torch.tensor(gains, dtype=torch.float64))
    keeper.num_validations = 1
    trainer = SimpleNamespace(val_dataloaders=[1], strategy=SingleDeviceStrategy())
    keeper.on_train_end(trainer, model.model)
    kept = after if is_kept else before
    assert all(value.equal(kept[name]) for name, value in model.model.state_dict().items())


def test_without_a_validation_series_all_epochs_are_trained(tiny_model, waves):
    assert tiny_model(n_epochs=5).fit(waves()).epochs_trained == 5


def test_a_training_that_was_never_validated_keeps_its_last_weights(tiny_model, waves):
    """Nothing but the start was compared: its weights must not undo the whole training."""
    options = {"n_epochs": 3, "nr_epochs_val_period": 10, "optimizer_kwargs": {"lr": 0.05}}
    with pytest.warns(UserWarning, match="no epoch of this training was validated"):
        model, seen = fit(tiny_model, waves, **options)
    assert not seen.losses
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


def test_an_early_stopping_of_the_user_takes_the_place(tiny_model, waves):
    own = EarlyStopping("val_loss", patience=1, min_delta=1e9)
    model, seen = fit(tiny_model, waves, callbacks=[own], n_epochs=8)
    assert len(seen.losses) == 2  # the first is better than infinity
    stoppers = [c for c in model.trainer.callbacks if isinstance(c, EarlyStopping)]
    assert stoppers == [own]


def as_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def test_early_stopping_goes_on_from_its_state():
    """A resumed training must not forget its best weights."""
    first, second = KeepBestWeights(2), KeepBestWeights(2)
    first.start = Validated({"a": torch.zeros(1)}, torch.tensor([0.7]))
    first.best = Validated({"a": torch.ones(1)}, torch.tensor([0.5]))
    first.best_score = torch.tensor(0.5)
    state = torch.load(io.BytesIO(as_file(first.state_dict())), weights_only=True)
    second.load_state_dict(state)
    assert (second.start, second.best) == (first.start, first.best)
    assert float(second.best_score) == 0.5
    third = KeepBestWeights(2)
    third.load_state_dict(KeepBestWeights(2).state_dict())
    assert third.start is third.best is None


def test_losses_on_other_validation_data_are_forgotten(tiny_model, waves, tmp_path):
    """A loss of before on easier data would undo all that the newer training learns."""
    place = {"model_name": "old", "work_dir": str(tmp_path)}
    model = tiny_model(save_checkpoints=True, n_epochs=2, optimizer_kwargs={"lr": 1e-2}, **place)
    model.fit(waves(), val_series=waves(seed=1))
    for new, epochs, is_forgotten in ((waves(seed=1), 3, False), (waves(seed=1) * 10.0, 6, True)):
        loaded = InformerModel.load_from_checkpoint(**place, best=False)
        loaded.fit(waves(), val_series=new, epochs=epochs)
        (keeper,) = (c for c in loaded.trainer.callbacks if isinstance(c, KeepBestWeights))
        assert (keeper.start is None) == is_forgotten
        assert (float(keeper.best_score) > 1.0) == is_forgotten
    assert not all(
        map(torch.equal, loaded.model.state_dict().values(), model.model.state_dict().values())
    )


@pytest.mark.parametrize("epochs", [1, 20])
def test_the_rate_warms_up_and_decays_over_the_steps_there_are(tiny_model, waves, epochs):
    """A training of few steps, as an update is, must not spend the first on next to nothing."""
    _, seen = fit(tiny_model, waves, n_epochs=epochs, optimizer_kwargs={"lr": 0.1})
    assert len(seen.rates) <= 2 * epochs
    expected = [0.1 * rate_factor(step, 2 * epochs) for step in range(len(seen.rates))]
    assert seen.rates == pytest.approx(expected)


def test_the_gradient_is_clipped_unless_the_trainer_says_otherwise(tiny_model, waves):
    """Waves of deviation 1000: the loss is in their units, and so are its gradients."""
    large = lambda **k: waves(**k) * 1000.0  # noqa: E731
    _, clipped = fit(tiny_model, large)
    assert max(clipped.norms) <= 1.0 + 1e-6
    _, own = fit(tiny_model, large, trainer={"gradient_clip_val": 2.0})
    assert max(own.norms) == pytest.approx(2.0, rel=1e-5)
    _, free = fit(tiny_model, large, trainer={"gradient_clip_val": 0.0})
    assert max(free.norms) > 100.0
