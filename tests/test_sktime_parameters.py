"""Parameters: their defaults and ranges, set later, and in combinations that a search tries."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from sktime.exceptions import FitFailedWarning
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.split import SingleWindowSplitter
from sktime_tables import FH, TINY, make

from informer_forecaster import InformerConfig, InformerForecaster, InformerModel


def noise(rows=60, seed=0):
    index = pd.period_range("2001-01", periods=rows, freq="M", name="month")
    values = np.random.default_rng(seed).normal(50, 5, size=rows)
    return pd.DataFrame({"a": values}, index=index)


def pretrained(**parameters):
    panel = pd.concat({name: noise(seed=i) for i, name in enumerate("bcd")}, names=["shop"])
    return InformerForecaster(**{**TINY, **parameters}).pretrain(panel, fh=FH)


def test_what_only_uses_a_pretrained_network_leaves_it_as_it_is():
    """It would be trained anew on one series, and nothing would say so."""
    later = pretrained().set_params(fit_after_pretrain="finetune", update_epochs=2)
    before = pretrained(fit_after_pretrain="finetune", update_epochs=2)
    assert later.state == "pretrained"
    assert later.fit(noise(), fh=FH).predict().equals(before.fit(noise(), fh=FH).predict())


def test_what_makes_another_network_forgets_the_pretrained_one():
    forecaster = pretrained().set_params(d_model=16, update_epochs=2)
    assert forecaster.state == "new"
    scratch = InformerForecaster(**{**TINY, "d_model": 16, "update_epochs": 2})
    assert forecaster.fit(noise(), fh=FH).predict().equals(scratch.fit(noise(), fh=FH).predict())


def test_a_search_over_the_use_of_a_pretrained_network_tells_its_uses_apart():
    cv = SingleWindowSplitter(fh=FH, window_length=50)
    grid = {"fit_after_pretrain": ["zero-shot", "finetune"]}
    search = ForecastingGridSearchCV(pretrained(update_epochs=3), cv, grid, backend=None)
    search.fit(noise(), fh=FH)
    scores = search.cv_results_.filter(like="mean_test").to_numpy().ravel()
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]
    assert hasattr(search.best_forecaster_, "pretrained_model_")


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        ({"nhead": 3}, "`d_model` must be divisible by `nhead`"),
        ({"start_token_length": 99}, "`start_token_length` must not exceed"),
        ({"num_encoder_stacks": 9}, "`num_encoder_stacks` must not exceed"),
    ],
)
def test_sizes_that_do_not_go_together_are_one_failure_of_a_search(unfit, message):
    """Each is in its range: refused where they are set, they would end the whole search."""
    cv = SingleWindowSplitter(fh=FH, window_length=50)
    grid = [{name: [1] for name in unfit}, {name: [value] for name, value in unfit.items()}]
    search = ForecastingGridSearchCV(InformerForecaster(**TINY), cv, grid, backend=None)
    with pytest.warns(FitFailedWarning):
        search.fit(noise(), fh=FH)
    scores = search.cv_results_.filter(like="mean_test").to_numpy().ravel()
    assert list(np.isfinite(scores)) == [True, False]
    with pytest.raises(ValueError, match=message):
        InformerForecaster(**{**TINY, **unfit}).fit(noise(), fh=FH)


def test_forecasts_are_read_by_the_quantiles_that_were_trained():
    """Another tuple would take one number for another; it holds from the next `fit` on."""
    forecaster = InformerForecaster(**{**TINY, "quantiles": (0.05, 0.25, 0.75)}).fit(noise(), fh=FH)
    points, interval = forecaster.predict(), forecaster.predict_interval(coverage=0.8)
    forecaster.quantiles = (0.1, 0.5, 0.9)
    assert forecaster.predict().equals(points)
    assert forecaster.predict_interval(coverage=0.8).equals(interval)


def test_every_choice_of_the_network_is_a_parameter_with_its_default():
    data = {f"num_{name}" for name in ("targets", "parameters")}
    data |= {f"num_{kind}_covariates" for kind in ("past", "future", "static")}
    data.add("num_calendar_features")
    lengths = {"input_chunk_length", "output_chunk_length", "output_chunk_shift"}
    parameters = inspect.signature(InformerForecaster).parameters
    for field in fields(InformerConfig):
        if field.name not in data | lengths:
            assert parameters[field.name].default == field.default, field.name


def test_both_adapters_train_alike():
    """A network that is tried in one is the same in the other."""
    ours = inspect.signature(InformerForecaster).parameters
    darts = inspect.signature(InformerModel.__init__).parameters
    for name in ours.keys() & darts.keys() - {"time_features", "self"}:
        same = {"output_chunk_length", "input_chunk_length", "use_reversible_instance_norm"}
        assert name in same or ours[name].default == darts[name].default, name


def test_the_horizon_is_needed_in_fit_only_without_an_output_length():
    assert InformerForecaster().get_tag("requires-fh-in-fit")
    assert not InformerForecaster(output_chunk_length=3).get_tag("requires-fh-in-fit")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"input_chunk_length": 0}, "`input_chunk_length` must be an integer of at least 1; got 0"),
        ({"output_chunk_length": 1.5}, "`output_chunk_length` must be an integer"),
        ({"verbose": None}, "`verbose` must be True or False; got None"),
        ({"use_reversible_instance_norm": "no"}, "`use_reversible_instance_norm` must be True or"),
        ({"n_epochs": -1}, "`n_epochs` must be an integer of at least 0; got -1"),
        ({"batch_size": True}, "`batch_size` must be an integer of at least 1; got True"),
        ({"update_epochs": -1}, "`update_epochs` must be an integer of at least 0; got -1"),
        ({"early_stopping_patience": 0}, "`early_stopping_patience` must be an integer of at"),
        ({"lr": 0.0}, "`lr` must be a positive number, or None; got 0.0"),
        ({"scaler": "robust"}, "`scaler` must be one of 'standard', None; got 'robust'"),
        ({"time_features": "ALL"}, "`time_features` must be one of True, False, 'all'; got 'ALL'"),
        ({"fit_after_pretrain": "no"}, "`fit_after_pretrain` must be one of 'zero-shot'"),
        ({"quantiles": (0.5,)}, "`quantiles` must be a tuple of numbers between 0 and 1"),
        ({"quantiles": (0.1, 1.0)}, r"`quantiles` must .* got \(0.1, 1.0\)"),
        ({"quantiles": 0.1}, "`quantiles` must be a tuple"),
        ({"quantiles": (1e-7, 0.5)}, "`quantiles` must be a tuple of numbers between 0 and 1"),
        ({"pl_trainer_kwargs": {"max_epochs": 3}}, "Use `n_epochs`"),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        InformerForecaster(**parameters)


def test_numbers_of_numpy_are_numbers():
    sizes = {"n_epochs": 3, "update_epochs": 2, "input_chunk_length": 4, "output_chunk_length": 3}
    sizes |= {"d_model": 8, "batch_size": 8, "early_stopping_patience": 2, "random_state": 3}
    rates = {"dropout": 0.125, "lr": 0.0078125}
    plain = make(**sizes, **rates, quantiles=(0.1, 0.9), distil=True)
    numpy = make(
        **{name: np.int64(size) for name, size in sizes.items()},
        **{name: np.float32(rate) for name, rate in rates.items()},
        quantiles=np.array([0.1, 0.9]),
        distil=np.bool_(True),
    )
    y = noise()
    one, other = (f.clone().fit(y[:30]).update(y[30:]).predict(fh=FH) for f in (plain, numpy))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    with pytest.raises(ValueError, match="`n_epochs` must be an integer of at least 0"):
        make(n_epochs=np.int64(-1))
    with pytest.raises(ValueError, match="`lr` must be a positive number"):
        make(lr=np.float32(-1))
