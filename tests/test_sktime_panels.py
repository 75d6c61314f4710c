"""Panels and pretraining: one network for many series, and what a new one may be."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from sktime_tables import FH, make, noise, panel, same_weights, weights

INDEXES = {
    "integer": pd.Index(np.arange(5, 35)),
    "datetime-hour": pd.date_range("2001-11-27 22:00", periods=30, freq="h"),
    "period-month": pd.period_range("2001-11", periods=30, freq="M"),
    "datetime-business": pd.date_range("2001-11-27", periods=30, freq="B"),
}


def test_a_member_is_forecast_as_it_is_alone():
    y = panel()
    together = make().fit(y, fh=FH).predict()
    model = make().pretrain(y, fh=FH)
    for name in ("north", "south", "east"):
        alone = model.clone().fit(y.loc[name], fh=FH).predict()
        np.testing.assert_allclose(together.loc[name], alone, rtol=1e-5)


def test_short_members_are_named_and_forecast():
    y = panel(lengths=(30, 5, 2))
    with pytest.warns(
        UserWarning, match="2 series of fewer than 7 rows.*series 'south', series 'east'"
    ):
        forecast = make().fit(y, fh=FH).predict()
    assert np.isfinite(forecast).all(axis=None)
    assert len(forecast) == 9


def test_zero_shot_keeps_the_network_and_finetune_trains_a_copy():
    y = panel()
    for choice, kept in (("zero-shot", True), ("finetune", False)):
        forecaster = make(fit_after_pretrain=choice).pretrain(y, fh=FH)
        before = copy.deepcopy(forecaster.pretrained_model_.model.model.state_dict())
        expected = forecaster.fit(y.loc["north"], fh=FH).predict()
        assert same_weights(before, weights(forecaster)) is kept
        # A second fit starts from the pretrained network again, not from the first fit.
        again = forecaster.fit(y.loc["north"], fh=FH).predict()
        pd.testing.assert_frame_equal(again, expected, check_exact=True)


def test_pretraining_goes_on_and_takes_other_names():
    forecaster = make().pretrain(panel(), fh=FH)
    before = copy.deepcopy(forecaster.pretrained_model_.model.model.state_dict())
    forecaster.pretrain(panel(seed=9).rename(columns={"a": "other"}))
    assert not same_weights(before, forecaster.pretrained_model_.model.model.state_dict())
    forecast = forecaster.fit(noise().rename(columns={"a": "third"}), fh=FH).predict()
    assert list(forecast.columns) == ["third"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("integer", r"trained on, 1 days .*; got a step of 1. Train"),
        ("datetime-hour", r"trained on, 1 days .*; got a step of h. Train"),
        ("period-month", r"trained on, 1 days .*; got a step of M. Train"),
    ],
)
def test_a_step_of_other_calendar_features_than_pretraining_is_refused(index, message):
    days = pd.date_range("2001-11-27", periods=30, freq="D")
    y = pd.concat({name: noise(index=days) for name in "ab"}, names=["region", "day"])
    forecaster = make().pretrain(y, fh=FH)
    other = noise(index=INDEXES[index])
    with pytest.raises(ValueError, match=message):
        forecaster.fit(other, fh=FH)
    assert len(make(time_features=False).pretrain(y, fh=FH).fit(other, fh=FH).predict()) == 3
    workdays = noise(index=INDEXES["datetime-business"])
    assert len(forecaster.fit(workdays, fh=FH).predict()) == 3


def test_pretraining_needs_a_horizon():
    with pytest.raises(ValueError, match="`fh` must be given to `pretrain`"):
        make().pretrain(panel())
