"""Parameters that are set after the constructor, and combinations that a search tries."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sktime.exceptions import FitFailedWarning
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.split import SingleWindowSplitter

from informer_forecaster import InformerForecaster

TINY = InformerForecaster.get_test_params()[0]
FH = [1, 2, 3]


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


def test_what_makes_another_network_warns_that_the_pretrained_one_is_forgotten():
    forecaster = pretrained()
    with pytest.warns(UserWarning, match="pretrained network is forgotten.*another `d_model`"):
        forecaster.set_params(d_model=16, update_epochs=2)
    scratch = InformerForecaster(**{**TINY, "d_model": 16, "update_epochs": 2})
    assert forecaster.fit(noise(), fh=FH).predict().equals(scratch.fit(noise(), fh=FH).predict())


@pytest.mark.parametrize("bad", [{"update_epochs": -1}, {"d_model": 0}])
def test_a_parameter_that_is_refused_changes_nothing(bad):
    forecaster = pretrained()
    with pytest.raises(ValueError, match=next(iter(bad))):
        forecaster.set_params(**bad)
    assert forecaster.get_params() == pretrained().get_params()
    kept = pretrained().fit(noise(), fh=FH).predict()
    assert forecaster.fit(noise(), fh=FH).predict().equals(kept)


def test_a_search_over_the_use_of_a_pretrained_network_tells_its_uses_apart():
    cv = SingleWindowSplitter(fh=FH, window_length=50)
    grid = {"fit_after_pretrain": ["zero-shot", "finetune"]}
    search = ForecastingGridSearchCV(pretrained(update_epochs=3), cv, grid, backend=None)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*is forgotten")
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
