"""Every bad argument of the constructor is refused at once, by name."""

from __future__ import annotations

import ast
import inspect
import re

import numpy as np
import pytest
import torch
from darts.utils.data import SequentialTorchTrainingDataset

from informer_forecaster import InformerModel

BAD_ARGUMENTS = [
    ("input_chunk_length", 0), ("input_chunk_length", 8.0), ("input_chunk_length", "8"),
    ("output_chunk_length", 0), ("output_chunk_length", True), ("output_chunk_length", None),
    ("output_chunk_shift", -1), ("output_chunk_shift", 1.5),
    ("d_model", 0), ("d_model", 7), ("nhead", 3), ("nhead", 0), ("num_encoder_layers", 0),
    ("num_decoder_layers", 0), ("dim_feedforward", 8.0), ("dropout", 1.0), ("dropout", -0.1),
    ("dropout", "high"), ("token_dropout", 1.0), ("activation", "tanh"), ("attention", "sparse"),
    ("sampling_factor", 0),
    ("sampling_factor", 1.5), ("distil", 1), ("num_encoder_stacks", 3), ("num_encoder_stacks", 0),
    ("start_token_length", 9), ("start_token_length", -1), ("patch_length", 0),
    ("channel_independent", "no"), ("lookback_skip", None), ("covariate_effects", 1),
    ("decoder_causal", 0), ("padding_mode", "zeros"), ("time_features", "yes"),
    ("time_features", 1), ("use_static_covariates", None), ("compile_network", "yes"),
    ("early_stopping_patience", 0), ("early_stopping_patience", "yes"),
    ("use_reversible_instance_norm", 1), ("sparsity", "random"), ("cross_attention", "moment"),
    ("use_reversible_instance_norm", {"afine": True}), ("use_reversible_instance_norm", "yes"),
    ("use_reversible_instance_norm", {"eps": "a"}), ("use_reversible_instance_norm", {"eps": -1}),
    ("use_reversible_instance_norm", {"affine": "no"}), ("random_state", "0"),
    ("random_state", -1), ("random_state", 1.5), ("random_state", 2**40), ("random_state", True),
    ("likelihood", "gaussian"), ("loss_fn", "mse"), ("loss_fn", torch.nn.MSELoss),
    ("optimizer_kwargs", "adam"), ("pl_trainer_kwargs", ["gpu"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_ARGUMENTS)
def test_a_bad_argument_is_refused_by_the_constructor(name, value):
    """The message names the argument and shows the value: the traceback is rarely read."""
    arguments = {"input_chunk_length": 8, "output_chunk_length": 4, "d_model": 8, "nhead": 2}
    shown = f"`{name}` must|`d_model` must be divisible by `nhead`"
    with pytest.raises(ValueError, match=shown) as raised:
        InformerModel(**{**arguments, name: value})
    assert repr(value) in str(raised.value)


def test_every_argument_of_the_constructor_is_tried():
    """An argument that is added later must be added above."""
    own = set(inspect.signature(InformerModel.__init__).parameters) - {"self", "kwargs"}
    assert own <= {name for name, _ in BAD_ARGUMENTS}


def test_the_defaults_in_the_text_are_those_of_the_signature():
    """Darts' users look for them in the text, where a change could be forgotten."""
    text = inspect.getdoc(InformerModel.__init__)
    for name, parameter in inspect.signature(InformerModel.__init__).parameters.items():
        if parameter.default is not parameter.empty:
            described = re.search(rf"^{name}\n((?:    .*\n)+)", text, re.MULTILINE)[1]
            told = re.search(r"Default:\s+``(.+)``\.\n", described)[1]
            assert ast.literal_eval(told) == parameter.default, name


@pytest.mark.parametrize("name", ["use_static_covariates", "compile_network", "distil"])
def test_switches_of_numpy_are_switches(tiny_model, waves, name):
    plain = tiny_model(**{name: False}).fit(waves()).predict(4)
    assert tiny_model(**{name: np.False_}).fit(waves()).predict(4) == plain


@pytest.mark.parametrize("typo", ["d_modell", "n_heads", "seq_len", "num_targets"])
def test_an_unknown_argument_is_named(tiny_model, typo):
    """`**kwargs` must not swallow it; the network's data sizes are no arguments either."""
    with pytest.raises(ValueError, match=typo):
        tiny_model(**{typo: 8})


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("d_modell", "d_model"), ("n_epoch", "n_epochs"), ("optimiser_kwargs", "optimizer_kwargs")],
)
def test_the_argument_that_was_meant_is_named(tiny_model, typo, meant):
    with pytest.raises(ValueError, match=f"`{typo}` is no argument .*Did you mean `{meant}`"):
        tiny_model(**{typo: 8})


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("quantiles", r"likelihood=QuantileRegression\(quantiles\)"),
        ("learning_rate", "optimizer_kwargs={'lr': ...}"),
        ("verbose", "to `fit` and `predict`"),
    ],
)
def test_an_argument_that_has_another_place_is_sent_there(tiny_model, name, where):
    """Those of `InformerForecaster`, and of other libraries."""
    with pytest.raises(ValueError, match=f"`{name}` is no argument .* Give .*{where}"):
        tiny_model(**{name: 0.1})


def test_an_unknown_argument_of_a_method_is_named(tiny_model, waves):
    series = waves()
    message = "`fit` .* 'future_covariate'. Did you mean `future_covariates`?"
    with pytest.raises(TypeError, match=message):
        tiny_model().fit(series, future_covariate=series)
    with pytest.raises(TypeError, match=r"`predict` .* 'horizon'. Leave it out"):
        tiny_model().predict(4, horizon=4)


def test_arguments_of_a_subclass_and_of_darts_are_known():
    """A subclass may pass its own arguments on, as Darts' models do."""

    class Tuned(InformerModel):
        def __init__(self, *, strength=1.0, **kwargs):
            super().__init__(**kwargs, strength=strength)

    darts = {"log_tensorboard": False, "force_reset": False, "show_warnings": True}
    training = {
        "loss_fn": torch.nn.L1Loss(),
        "optimizer_cls": torch.optim.SGD,
        "torch_metrics": None,
    }
    given = {"input_chunk_length": 8, "output_chunk_length": 4, **darts, **training}
    assert Tuned(**given, strength=2.0).model_params["strength"] == 2.0
    with pytest.raises(ValueError, match="`strenght` is no argument of `Tuned`"):
        Tuned(**given, strenght=2.0)


def test_swapped_arguments_of_predict_are_named_and_no_series_is_shown(tiny_model, waves):
    series = waves()
    model = tiny_model().fit(series)
    for first in (series, [series], series.values(), series.to_dataframe()):
        with pytest.raises(ValueError, match=r"`n` must .*predict\(n, series\)") as raised:
            model.predict(first, 4)
        assert len(str(raised.value)) < 200


def test_an_accelerator_that_is_not_there_is_named(tiny_model, waves, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    series = waves()
    rule = "`pl_trainer_kwargs` asks for accelerator='gpu'.*'cpu'"
    with pytest.raises(ValueError, match=rule):
        tiny_model(trainer={"accelerator": "gpu"}).fit(series)
    model = tiny_model().fit(series)
    model.trainer_params["accelerator"] = "gpu"  # as in a file from another machine
    with pytest.raises(ValueError, match=rf"{rule}.*to_cpu"):
        model.predict(4)
    model.to_cpu()
    assert len(model.predict(4)) == 4


def test_counts_of_numpy_are_counts(tiny_model, waves):
    """Torch and Lightning take Python's integers only, and a grid search gives numpy's."""
    plain = tiny_model(batch_size=4, n_epochs=2).fit(waves()).predict(4)
    assert tiny_model(batch_size=np.int64(4), n_epochs=np.int64(2)).fit(waves()).predict(4) == plain


@pytest.mark.parametrize("epochs", [1.0, "2", -1, True, None])
def test_epochs_of_a_call_are_counted(tiny_model, waves, epochs):
    """As `n_epochs` are: Darts would begin to train, or take one for none."""
    data = SequentialTorchTrainingDataset(waves(), input_chunk_length=8, output_chunk_length=4)
    for train, given in ((tiny_model().fit, waves()), (tiny_model().fit_from_dataset, data)):
        with pytest.raises(ValueError, match=f"`epochs` must .* at least 0; got {epochs!r}"):
            train(given, epochs=epochs)


def test_epochs_of_numpy_are_epochs(tiny_model, waves):
    plain = tiny_model(n_epochs=2).fit(waves()).predict(4)
    assert tiny_model().fit(waves(), epochs=np.int64(2)).predict(4) == plain


@pytest.mark.parametrize("seed", ["0", -1, 1.5, 2**40, True])
def test_a_forecast_names_its_random_state(tiny_model, waves, seed):
    model = tiny_model().fit(waves())
    rule = f"`random_state` must .*; got {re.escape(repr(seed))}"
    with pytest.raises(ValueError, match=rule):
        model.predict(4, random_state=seed)
    with pytest.raises(ValueError, match=rule):
        model.historical_forecasts(waves(), retrain=False, random_state=seed)
