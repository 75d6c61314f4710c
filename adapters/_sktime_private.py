"""Private: sktime's base class with errors that name the fault.

Every private name of sktime and scikit-base stands in this file, but for what a subclass is asked
to write: `_fit`, `_predict`, `_predict_quantiles`, `_update` and `_pretrain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import pandas as pd
from sktime.datatypes import convert_to
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from ._sktime_frames import check_finite, name_of, split_series
from ._sktime_time import check_frequency

if TYPE_CHECKING:
    from ._sktime_network import SharedNetwork

Table = Any  # of one of sktime's containers
Fh: TypeAlias = "ForecastingHorizon | Sequence[int] | pd.Index[Any] | int | None"


class GuardedForecaster(BaseForecaster):
    """A forecaster whose arguments are checked.

    A subclass is a dataclass of its parameters.
    """

    def __post_init__(self) -> None:
        """Construct the forecaster, whose parameters are set."""
        if "_fh" not in vars(self):
            super().__init__()  # calls this method again
            return
        # What sktime expects of a forecaster that remembers no data.
        self._y = self._X = None
        self.check_parameters()

    def check_parameters(self) -> None:
        """Raise unless each parameter is in its range."""

    # What the public methods of sktime call

    def _check_X_y(self, X: Table = None, y: Table = None, **kwargs: object) -> tuple[Any, Any]:  # noqa: N802 - sktime's name
        if isinstance(y, pd.DataFrame | pd.Series):
            check_frequency(y.index)
        try:
            return super()._check_X_y(X=X, y=y, **kwargs)
        except ValueError:
            # sktime finds missing values first, and names neither place nor remedy.
            for argument, table in (("y", y), ("X", X)):
                mtypes = self.get_tag("y_inner_mtype")
                table = convert_to(table, mtypes, as_scitype=["Series", "Panel", "Hierarchical"])
                for key, rows in split_series(argument, table).items():
                    check_finite(rows, argument, name_of(key))
            raise

    def _check_fh(self, fh: Fh, pred_int: bool = False) -> ForecastingHorizon:
        return super()._check_fh(fh if fh is None else self.read_horizon(fh), pred_int=pred_int)

    # What the subclass asks of sktime

    def read_horizon(self, fh: Fh) -> ForecastingHorizon:
        """Make a horizon of what a user gives."""
        raise NotImplementedError

    def read_exogenous(self, X: Table) -> pd.DataFrame | None:
        """Check exogenous rows, and convert them."""
        found: pd.DataFrame | None = self._check_X(X=X)
        return found

    def column_names(self) -> list[Any]:
        """Columns of the last table that sktime saw; an array has no names."""
        return list(self._get_varnames())

    def quantile_columns(self, alpha: Sequence[float]) -> pd.MultiIndex:
        """Columns of quantile forecasts."""
        return self._get_columns(method="predict_quantiles", alpha=alpha)

    def take_pretrained(self, network: SharedNetwork) -> None:
        """Begin with a network that another forecaster trained, as after `pretrain`."""
        self.pretrained_model_ = network
        self._pretrained_attrs = ["pretrained_model_"]
        self._state = "pretrained"

    # The public methods that sktime's own would do otherwise

    def fit_predict(self, y: Table, X: Table = None, fh: Fh = None, X_pred: Table = None) -> Table:
        """Fit, and forecast; also from a pretrained network, which sktime's own would drop."""
        return self.fit(y, X=X, fh=fh).predict(X=X if X_pred is None else X_pred)

    def update(self, y: Table, X: Table = None, update_params: bool = True) -> Self:
        """Add rows to what is known, and fine-tune the network; after an error nothing changed."""
        before = dict(self.__dict__)
        before["_converter_store_y"] = dict(self._converter_store_y)  # sktime empties it in place
        try:
            return super().update(y, X, update_params)
        except BaseException:
            # sktime moves the cutoff before `_update` can refuse the rows.
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def update_predict_single(
        self, y: Table = None, fh: Fh = None, X: Table = None, update_params: bool = True
    ) -> Table:
        """Add rows to what is known, and forecast; in the container that `fit` was given."""
        return self.update(y, X, update_params).predict(fh=fh, X=X)
