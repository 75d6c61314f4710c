"""What watches a training is the user's own object, and can be read afterwards."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pandas as pd
import pytest
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.profilers import SimpleProfiler
from sktime_tables import FH, make, noise, same_weights, weights

Y = noise(60)


class Losses(Callback):
    """Note the training loss of every epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, module):  # noqa: ARG002 - Lightning's arguments
        self.seen.append(float(trainer.callback_metrics["train_loss"]))


class Locked(Losses):
    """Hold what can be neither copied nor pickled, as a connection does."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def watched(**trainer):
    """A tiny forecaster of two epochs whose training is watched."""
    return make(n_epochs=2, pl_trainer_kwargs={"accelerator": "cpu", **trainer})


def callbacks_of(forecaster):
    return forecaster.pl_trainer_kwargs["callbacks"]


@pytest.mark.parametrize("kind", [Losses, Locked])
def test_a_callback_sees_every_training(kind):
    losses = kind()
    forecaster = watched(callbacks=[losses], enable_progress_bar=False)
    forecaster.fit(Y[:40], fh=FH)
    assert len(losses.seen) == 2
    forecaster.predict()
    assert len(losses.seen) == 2
    forecaster.set_params(update_epochs=3).fit(Y[:40], fh=FH).update(Y[40:])
    assert len(losses.seen) == 2 + 2 + 3
    assert callbacks_of(forecaster) == [losses]


def test_a_callback_need_not_be_in_a_list():
    losses = Losses()
    watched(callbacks=losses).set_params(verbose=True).fit(Y, fh=FH)
    assert len(losses.seen) == 2


def test_a_clone_has_callbacks_of_its_own():
    losses = Losses()
    forecaster = watched(callbacks=[losses]).fit(Y, fh=FH)
    clone = forecaster.clone().fit(Y, fh=FH)
    assert len(losses.seen) == 2
    assert callbacks_of(clone)[0].seen == losses.seen * 2


def test_a_callback_holds_no_network():
    """Lightning ties each callback to the network: a file and a clone would hold it twice."""
    bare = watched().fit(Y, fh=FH)
    forecaster = watched(callbacks=[Losses()]).fit(Y, fh=FH)
    assert len(pickle.dumps(forecaster)) < len(pickle.dumps(bare)) + 1000
    assert len(pickle.dumps(forecaster.clone())) < 2000


def test_a_loaded_forecaster_goes_on_with_its_callback():
    forecaster = watched(callbacks=[Losses()]).fit(Y[:40], fh=FH)
    loaded = pickle.loads(pickle.dumps(forecaster)).update(Y[40:])
    seen = callbacks_of(loaded)[0].seen
    assert seen[:2] == callbacks_of(forecaster)[0].seen
    assert len(seen) == 2 + loaded.update_epochs


def test_a_logger_tells_where_it_wrote(tmp_path):
    logger = CSVLogger(tmp_path, name="sales")
    forecaster = watched(logger=logger, log_every_n_steps=1).fit(Y, fh=FH)
    forecaster.predict()
    assert Path(logger.log_dir).name == "version_0"
    assert {one.name for one in (tmp_path / "sales").iterdir()} == {"version_0"}
    curve = pd.read_csv(f"{logger.log_dir}/metrics.csv")
    assert set(curve["epoch"]) == {0, 1}


def test_a_checkpoint_tells_its_best_file(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, monitor="train_loss")
    watched(callbacks=[checkpoint], enable_checkpointing=True).fit(Y, fh=FH).predict()
    assert [str(one) for one in tmp_path.iterdir()] == [checkpoint.best_model_path]


def test_a_profiler_can_be_read_and_copied():
    profiler = SimpleProfiler()
    forecaster = watched(profiler=profiler)
    for _ in range(2):  # the network that was profiled first is gone then
        forecaster.fit(Y, fh=FH).predict()
    assert len(profiler.recorded_durations["run_training_epoch"]) == 4
    pickle.dumps(forecaster.clone())


@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping("train_loss", patience=1, min_delta=1e9),
        StochasticWeightAveraging(1e-2),
        EMAWeightAveraging(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_rule_of_lightnings_is_not_used_up(callback):
    """With its count a second training would end, or average, where the first one ended."""
    state = callback.state_dict()
    forecaster = make(n_epochs=12, lr=5e-2, pl_trainer_kwargs={"callbacks": [callback]})
    first = weights(forecaster.fit(Y, fh=FH))
    ended = forecaster.model_.epochs_trained
    assert same_weights(first, weights(forecaster.fit(Y, fh=FH)))
    assert forecaster.model_.epochs_trained == ended
    assert callback.state_dict() == state
    assert (ended == 12) is not isinstance(callback, EarlyStopping)
