"""Quantiles: in order, with the median as the point forecast, in sktime's columns."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sktime.datatypes import convert_to
from sktime_tables import FH, make, noise, panel


@pytest.mark.filterwarnings("ignore:step . of `fh`")
@pytest.mark.parametrize("fh", [FH, [2, 8]], ids=["one pass", "roll-out"])
def test_quantiles_do_not_cross_and_the_median_is_the_point(fh):
    y = panel()
    forecaster = make(output_chunk_length=3, n_epochs=2).fit(y)
    alpha = [0.001, 0.05, 0.07, 0.5, 0.8, 0.95, 0.999]
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=alpha)
    assert (np.diff(quantiles.to_numpy(), axis=1) >= 0).all()
    np.testing.assert_array_equal(
        quantiles[("a", 0.5)].to_numpy(), forecaster.predict(fh=fh)["a"].to_numpy()
    )


def test_an_array_of_several_series_and_columns_is_forecast():
    """Its columns have no names, but for those of the table that sktime makes of it."""
    values = np.random.default_rng(0).normal(size=(3, 2, 40))
    table = convert_to(values, "pd-multiindex", as_scitype="Panel")
    by_array, by_table = make().fit(values, fh=FH), make().fit(table, fh=FH)
    expected = by_table.predict()
    assert by_array.predict().shape == (3, 2, 3)
    np.testing.assert_array_equal(
        by_array.predict(), convert_to(expected, "numpy3D", as_scitype="Panel")
    )
    some = by_array.predict_quantiles(alpha=[0.1, 0.9])
    np.testing.assert_array_equal(some, by_table.predict_quantiles(alpha=[0.1, 0.9]))
    by_table.update(values[:, :, :4], update_params=False)
    assert by_table.predict().shape == (3, 2, 3)


def test_alphas_keep_their_order():
    forecaster = make().fit(noise(columns=("a", "b")), fh=FH)
    some = forecaster.predict_quantiles(alpha=[0.9, 0.1])
    assert list(some.columns) == [("a", 0.9), ("a", 0.1), ("b", 0.9), ("b", 0.1)]
    all_of_them = forecaster.predict_quantiles(alpha=[0.1, 0.9])
    pd.testing.assert_frame_equal(some, all_of_them[some.columns], check_exact=True)


def test_quantiles_between_the_trained_ones_lie_on_a_normal_curve():
    """Linear in the quantiles of a normal distribution, also beyond the outer ones."""
    trained, alpha = (0.05, 0.25, 0.5, 0.75, 0.95), (0.01, 0.1, 0.5, 0.6, 0.99)
    forecaster = make(quantiles=trained).fit(noise(), fh=[1])
    known = forecaster.predict_quantiles(alpha=list(trained)).to_numpy()[0]
    found = forecaster.predict_quantiles(alpha=list(alpha)).to_numpy()[0]
    at, wanted = norm.ppf(trained), norm.ppf(alpha)
    np.testing.assert_allclose(found[1:4], np.interp(wanted[1:4], at, known), rtol=1e-6)
    for outer, edge, inner, beyond in ((0, 0, 1, 0), (-1, -1, -2, -1)):
        slope = (known[edge] - known[inner]) / (at[edge] - at[inner])
        expected = known[edge] + slope * (wanted[beyond] - at[edge])
        np.testing.assert_allclose(found[outer], expected, rtol=1e-6)


def test_without_quantiles_there_are_no_intervals():
    forecaster = make(quantiles=None).fit(noise(), fh=FH)
    assert not forecaster.get_tag("capability:pred_int")
    methods = ("predict_interval", "predict_quantiles", "predict_var", "predict_proba")
    for method in methods:
        with pytest.raises(NotImplementedError):
            getattr(forecaster, method)()


def test_variance_and_distribution_come_with_the_quantiles():
    forecaster = make().fit(noise(), fh=FH)
    assert (forecaster.predict_var() > 0).all(axis=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sktime's word on a package that it could use
        distribution = forecaster.predict_proba()
    np.testing.assert_allclose(distribution.mean(), forecaster.predict())
