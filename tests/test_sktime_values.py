"""Values of every size: forecast in their own units, or refused before they overflow."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from pytorch_lightning.callbacks import Callback

from informer_forecaster import InformerForecaster

TINY = InformerForecaster.get_test_params()[0]
FH = [1, 2, 3]


def table(scale=1.0, level=0.0, rows=40, column="a"):
    values = np.random.default_rng(0).normal(size=(rows, 1)) * scale + level
    return pd.DataFrame(values, columns=[column])


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30, 1e70])
def test_every_unit_gives_the_same_forecast(scale):
    """The network sees deviations from the mean: the unit takes no part in the training."""
    plain = InformerForecaster(**TINY).fit(table(), fh=FH).predict()
    other = InformerForecaster(**TINY).fit(table(scale), fh=FH).predict()
    np.testing.assert_allclose(other / scale, plain, rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-30, 7.3, 1e9, 1e30, 1e70])
def test_a_constant_is_forecast_as_it_is(level):
    """Its mean is not exact, and what is left of it must not be taken for a signal."""
    forecast = InformerForecaster(**TINY).fit(table(0.0, level), fh=FH).predict()
    np.testing.assert_allclose(forecast, level, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("scaler", "scale", "remedy"),
    [
        ("standard", 1e80, "choose another unit"),
        ("standard", 1e300, "choose another unit"),
        (None, 1e11, "use `scaler='standard'`"),
        (None, 1e80, "choose another unit"),
    ],
)
def test_numbers_that_would_overflow_are_refused(scaler, scale, remedy):
    """With a remedy that is not in place already."""
    large = table(scale)
    forecaster = InformerForecaster(**{**TINY, "scaler": scaler})
    rule = rf"magnitude .*column '%s' of the series is .* at 0\. Leave .*, or {remedy}"
    with pytest.raises(ValueError, match=f"`y` .* {rule % 'a'}"):
        forecaster.fit(large, fh=FH)
    with pytest.raises(ValueError, match=f"`X` .* {rule % 'x'}"):
        forecaster.fit(table(), X=table(scale, column="x"), fh=FH)


def test_rows_far_from_those_of_the_training_are_refused():
    """The scale is that of the training: without a check the forecast would be NaN."""
    y = table(rows=50)
    forecaster = InformerForecaster(**TINY).fit(y[:40], fh=FH)
    forecast = forecaster.predict()
    outlier = y[40:].copy()
    outlier.loc[43] = 1e30
    with pytest.raises(ValueError, match=r"`y` must .*column 'a' of the series is 1e\+30 at 43"):
        forecaster.update(outlier)
    pd.testing.assert_frame_equal(forecaster.predict(), forecast)


class Poison(Callback):
    """Spoil the weights of a training, once it is switched on."""

    is_on: ClassVar[bool] = False

    def on_train_batch_end(self, trainer, pl_module, *_):  # noqa: ARG002 - Lightning's arguments
        if self.is_on:
            next(pl_module.parameters()).data.fill_(float("nan"))


def test_weights_that_are_not_finite_leave_no_fit_and_no_update(monkeypatch):
    y = table(rows=50)
    trainer = {"accelerator": "cpu", "callbacks": [Poison()]}
    # Where windows validate, the best weights are kept, and they are finite.
    given = {"pl_trainer_kwargs": trainer, "early_stopping_patience": None}
    forecaster = InformerForecaster(**{**TINY, **given}).fit(y[:40], fh=FH)
    forecast = forecaster.predict()
    monkeypatch.setattr(Poison, "is_on", True)
    with pytest.raises(ValueError, match="weights that are not finite"):
        forecaster.update(y[40:])
    pd.testing.assert_frame_equal(forecaster.predict(), forecast)
    with pytest.raises(ValueError, match="weights that are not finite"):
        forecaster.clone().fit(y, fh=FH)
