"""Updates: what is trained and what is only known, and what a refused one leaves."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from sktime_tables import FH, make, noise, panel, same_weights, weights

from informer_forecaster import InformerModel


def test_update_trains_only_if_asked_to():
    y = noise()
    forecaster = make().fit(y[:30], fh=FH)
    before, origin = weights(forecaster), forecaster.predict()
    forecaster.update(y[30:35], update_params=False)
    assert same_weights(before, weights(forecaster))
    assert (forecaster.predict().to_numpy() != origin.to_numpy()).all()
    forecaster.update(y[35:36], update_params=True)
    assert not same_weights(before, weights(forecaster))


def test_no_update_epochs_means_no_training():
    forecaster = make(update_epochs=0).fit(noise()[:30], fh=FH)
    before = weights(forecaster)
    assert same_weights(before, weights(forecaster.update(noise()[30:])))


def test_no_update_epochs_mean_no_training_after_pretrain_either():
    """Darts takes 0 epochs for the number that a model was made with."""
    given = {"update_epochs": 0, "fit_after_pretrain": "finetune"}
    forecaster = make(**given).pretrain(panel(), fh=FH)
    before = {
        k: v.clone() for k, v in forecaster.pretrained_model_.model.model.state_dict().items()
    }
    after = weights(forecaster.fit(noise()[:30], fh=FH))
    assert same_weights(before, after)


@pytest.mark.parametrize(("known", "start", "stop"), [(30, 25, 33), (33, 20, 28)])
def test_rows_of_an_update_replace_those_they_overlap(known, start, stop):
    """Also later ones, which is how a backtest goes back in time."""
    y = noise()
    revised = y[start:stop] + 7.0
    forecaster = make().fit(y[:known], fh=FH)
    at_once = copy.deepcopy(forecaster).update(
        pd.concat([y[start - 7 : start], revised]), update_params=False
    )
    forecaster.update(revised, update_params=False)
    pd.testing.assert_frame_equal(forecaster.predict(), at_once.predict())
    assert forecaster.predict().index[0] == y.index[stop]


def test_a_new_member_is_forecast_without_a_refit():
    y = panel()
    forecaster = make().fit(y.loc[["north", "south"]], fh=FH)
    forecaster.update(y.loc[["east"]], update_params=False)
    assert list(forecaster.predict().index.levels[0]) == ["east", "north", "south"]
    alone = make().pretrain(y.loc[["north", "south"]], fh=FH).fit(y.loc["east"], fh=FH)
    np.testing.assert_allclose(forecaster.predict().loc["east"], alone.predict(), rtol=1e-4)


def test_update_after_a_gap_needs_a_whole_window():
    y = noise()
    forecaster = make().fit(y[:20], fh=FH)
    with pytest.raises(ValueError, match=r"must go on where .* end, 2002-08, .* from 2002-11"):
        forecaster.update(y[22:24], update_params=False)
    forecaster.update(y[22:30], update_params=False)
    assert list(forecaster.predict().index) == list(y.index[30:33])


def test_a_refused_update_changes_nothing():
    y = noise()
    forecaster = make().fit(y[:20], fh=FH)
    expected, cutoff = forecaster.predict(), forecaster.cutoff
    broken = y[20:22].copy()
    broken.iloc[0] = np.nan
    for rows in (y[22:24], broken, y[20:22].assign(b=1.0), y[20:22].replace(y.iloc[20, 0], np.inf)):
        with pytest.raises(ValueError, match="`y` must"):
            forecaster.update(rows)
        pd.testing.assert_index_equal(forecaster.cutoff, cutoff)
        pd.testing.assert_frame_equal(forecaster.predict(), expected, check_exact=True)
    forecaster.update(y[20:22], update_params=False)
    assert forecaster.predict().index[0] == y.index[22]


def test_an_update_that_fails_in_training_changes_nothing(monkeypatch):
    y = noise()["a"]
    forecaster = make().fit(y[:20], fh=FH)
    expected, before, cutoff = forecaster.predict(), weights(forecaster), forecaster.cutoff

    def fail(self, *arguments, **more):  # noqa: ARG001 - the method's own arguments
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(InformerModel, "fit", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            forecaster.update(y[20:22])
    pd.testing.assert_index_equal(forecaster.cutoff, cutoff)
    pd.testing.assert_series_equal(forecaster.predict(), expected, check_exact=True)
    assert same_weights(before, weights(forecaster))


def test_an_update_of_too_few_rows_to_train_is_used_for_the_forecast():
    forecaster = make().pretrain(panel(), fh=FH)
    y = noise()
    forecaster.fit(y[:4], fh=FH)
    before = weights(forecaster)
    forecaster.update(y[4:5])
    assert same_weights(before, weights(forecaster))
    pd.testing.assert_index_equal(forecaster.predict().index, y.index[5:8])
    forecaster.update(y[5:7])
    assert not same_weights(before, weights(forecaster))


def test_column_order_of_later_tables_does_not_matter():
    y, X = noise(columns=("a", "b")), noise(columns=("p", "q"), seed=1)
    forecasts = []
    for order in (1, -1):
        forecaster = make().fit(y[:20], X[:20], fh=FH)
        forecaster.update(y[20:25].iloc[:, ::order], X[20:25].iloc[:, ::order])
        forecasts.append(forecaster.predict(X=X[25:28].iloc[:, ::order]))
    pd.testing.assert_frame_equal(forecasts[0], forecasts[1][["a", "b"]], check_exact=True)
