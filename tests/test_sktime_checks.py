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


@parametrize_with_checks(InformerForecaster)
def test_sktime_asks_nothing_that_is_not_given(obj, test_name):
    results = check_estimator(obj, tests_to_run=test_name, raise_exceptions=True, verbose=False)
    assert results
    assert set(results.values()) == {"PASSED"}


def test_no_check_is_skipped_by_tag():
    tags = InformerForecaster.get_class_tags()
    skips = [tag for tag, value in tags.items() if tag.startswith("tests:skip") and value]
    assert skips == []
