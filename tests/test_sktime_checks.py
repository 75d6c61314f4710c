"""sktime's own checks of a forecaster: every one of them, for every parameter set, none skipped."""

from __future__ import annotations

import pytest

# The modules, not their names: pytest would collect the checks of all of sktime's forecasters.
from sktime.forecasting.tests import test_all_forecasters as forecaster_checks
from sktime.tests import test_all_estimators as estimator_checks

from informer_forecaster import InformerForecaster

# The checks roll out on purpose; the others are of sktime itself. Ours are asserted elsewhere.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in ("step . of `fh` is beyond", "Forecasters' predict_proba", "Sorting by default")
]


class OnlyInformer:
    """Narrows a suite of sktime to one class."""

    def _all_objects(self):
        return [InformerForecaster]


class TestForecaster(OnlyInformer, forecaster_checks.TestAllForecasters):
    """What sktime asks of a forecaster."""


class TestEstimator(OnlyInformer, estimator_checks.TestAllEstimators):
    """What sktime asks of an estimator."""


class TestObject(OnlyInformer, estimator_checks.TestAllObjects):
    """What sktime asks of an object."""


def test_no_check_is_skipped_by_tag():
    tags = InformerForecaster.get_class_tags()
    skips = [tag for tag, value in tags.items() if tag.startswith("tests:skip") and value]
    assert skips == []
