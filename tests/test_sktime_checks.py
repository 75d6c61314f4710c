"""sktime's own checks of a forecaster: every one of them, for every parameter set, none skipped."""

from __future__ import annotations

import pytest
from sktime.utils.estimator_checks import check_estimator, parametrize_with_checks

from informer_forecaster import InformerForecaster

# The checks roll out on purpose; the others are of sktime itself. Ours are asserted elsewhere.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in ("step . of `fh` is beyond", "Forecasters' predict_proba", "Sorting by default")
]


# Of points, and with a chunk that is rolled out: in all tests, the latter also where it forecasts.
SETS = range(3)
FORECASTING = ("test_predict_quantiles", "test_predict_interval", "test_fit_predict")


def waits(test_name: str, number: int) -> bool:
    return number == 2 or (number == 1 and not test_name.startswith(FORECASTING))


@pytest.mark.parametrize(
    ("obj", "test_name", "number"),
    [
        pytest.param(*case, number, marks=[pytest.mark.slow] * waits(case[1], number))
        for case in parametrize_with_checks(InformerForecaster).args[1]
        for number in SETS
    ],
)
def test_sktime_asks_nothing_that_is_not_given(obj, test_name, number):
    forecaster = obj(**obj.get_test_params()[number])
    results = check_estimator(
        forecaster, tests_to_run=test_name, raise_exceptions=True, verbose=False
    )
    assert results
    assert set(results.values()) == {"PASSED"}


def test_no_parameter_set_is_left_out():
    assert len(InformerForecaster.get_test_params()) == len(SETS)


def test_no_check_is_skipped_by_tag():
    tags = InformerForecaster.get_class_tags()
    skips = [tag for tag, value in tags.items() if tag.startswith("tests:skip") and value]
    assert skips == []
