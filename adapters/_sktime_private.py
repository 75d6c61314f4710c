"""Private: sktime's base class with errors that name the fault, and state that no error spoils.

Every private name of sktime and scikit-base stands in this file, but for what a subclass is asked
to write: `_fit`, `_predict`, `_predict_quantiles`, `_update` and `_pretrain`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from functools import wraps
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from sktime.datatypes import convert_to
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from ._sktime_frames import check_finite, name_of, split_series
from ._sktime_time import (
    Step,
    business_periods_allowed,
    check_frequency,
    in_zone,
    read_horizon,
    why_not,
    zone_of,
)

if TYPE_CHECKING:
    from ._sktime_network import SharedNetwork

Method = TypeVar("Method", bound=Callable[..., object])
Table = Any  # of one of sktime's containers
Fh: TypeAlias = "ForecastingHorizon | Sequence[int] | pd.Index[Any] | int | None"


class _Lock:
    """One thread at a time; a copy has a lock of its own, and a pickle none."""

    def __init__(self) -> None:
        self.inner = threading.RLock()

    def __reduce__(self) -> tuple[type[_Lock], tuple[()]]:
        return _Lock, ()

    def __eq__(self, other: object) -> bool:
        # For sktime, which compares copies of a forecaster by their attributes.
        return isinstance(other, _Lock)

    __hash__ = None  # type: ignore[assignment]


def one_at_a_time(method: Method) -> Method:
    """Let a method wait for other threads: sktime keeps horizon and container on the forecaster."""

    @wraps(method)
    def waiting(forecaster: GuardedForecaster, *args: object, **kwargs: object) -> object:
        with forecaster._lock.inner:
            return method(forecaster, *args, **kwargs)

    return waiting  # type: ignore[return-value]


class GuardedForecaster(BaseForecaster):
    """A forecaster whose arguments are checked, and that threads may share.

    A subclass has the parameters `output_chunk_length`, `past_covariates` and `quantiles`, and says
    by `known_step` what the step of the known series is.
    """

    def __post_init__(self) -> None:
        """Make what sktime expects of a forecaster that remembers no data."""
        self._y = self._X = None
        self._lock = _Lock()

    @property
    def known_step(self) -> Step | None:
        """The step of the series that were fitted."""
        raise NotImplementedError

    # What the public methods of sktime call

    @business_periods_allowed()
    def _check_X_y(self, X: Table = None, y: Table = None, **kwargs: object) -> tuple[Any, Any]:  # noqa: N802 - sktime's name
        if isinstance(y, pd.DataFrame | pd.Series):
            check_frequency(y.index)
        # sktime compares clocks, not times; a series that is known keeps its zone.
        known = self._cutoff if self.is_fitted else getattr(y, "index", None)
        if known is not None:
            y, X = (_to_zone(table, zone_of(known)) for table in (y, X))
        try:
            return super()._check_X_y(X=X, y=y, **kwargs)
        except ValueError:
            # sktime finds missing values first, and names neither place nor remedy.
            self._locate_missing("y", y)
            self._locate_missing("X", X, is_future=y is None)
            raise

    def _locate_missing(self, argument: str, table: Table, *, is_future: bool = False) -> None:
        """Raise if a table has a value that is not finite."""
        if table is None:
            return
        mtypes = self.get_tag("y_inner_mtype")
        table = convert_to(table, mtypes, as_scitype=["Series", "Panel", "Hierarchical"])
        try:
            for key, rows in split_series(argument, table).items():
                check_finite(rows, argument, name_of(key))
        except ValueError as located:
            if not (is_future and self.past_covariates):
                raise
            hint = "Or leave columns of `past_covariates` out: a forecast needs none ahead."
            raise ValueError(f"{located} {hint}") from None

    @business_periods_allowed()
    def _check_fh(self, fh: Fh, pred_int: bool = False) -> ForecastingHorizon:
        # sktime keeps what it refuses, and says of every other horizon only that it is another.
        known = self._fh  # type: ignore[has-type]
        if fh is not None:
            fh = self.read_horizon(fh)
            is_fixed = self.is_fitted and self.output_chunk_length is None and known
            if is_fixed and not np.array_equal(fh, known):
                raise ValueError(why_not(fh, known, self._cutoff))
        try:
            return super()._check_fh(fh, pred_int=pred_int)
        except Exception:
            self._fh = known
            raise

    # What the subclass asks of sktime

    def read_horizon(self, fh: Fh) -> ForecastingHorizon:
        """Make a horizon of what a user gives."""
        return read_horizon(fh, self._cutoff, self.known_step if self.is_fitted else None)

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

    @contextmanager
    def keeping_network(self) -> Iterator[None]:
        """Put a pretrained network back, which setting a parameter drops."""
        network = self._save_pretrained_state()
        yield
        self._restore_pretrained_state(network)

    @contextmanager
    def unchanged_by_errors(self) -> Iterator[None]:
        """Put back what was known: sktime moves the cutoff before `_update` can refuse the rows."""
        before = dict(self.__dict__)
        before["_converter_store_y"] = dict(self._converter_store_y)  # sktime empties it in place
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _check_intervals(self) -> None:
        """Name the parameter that is needed, where sktime would ask for a new feature."""
        if self.quantiles is None:
            raise NotImplementedError(
                # In sktime's words, which its checks look for.
                f"{type(self).__name__} gives no quantile predictions, prediction intervals or "
                "other probabilistic predictions, as `quantiles` is None. Give for example "
                "`quantiles=(0.05, 0.5, 0.95)`, and fit again."
            )

    # The public methods; sktime describes their parameters

    @one_at_a_time
    def fit(self, y: Table, X: Table = None, fh: Fh = None) -> Self:
        """Train on the series, or take a pretrained network for them."""
        return super().fit(y, X, fh)

    @one_at_a_time
    def pretrain(self, y: Table, X: Table = None, fh: Fh = None) -> Self:
        """Train on a panel; `fit` then forecasts other series with the same network."""
        return super().pretrain(y, X, fh)

    @one_at_a_time
    def predict(self, fh: Fh = None, X: Table = None) -> Table:
        """Forecast the median, or the mean without quantiles."""
        return super().predict(fh, X)

    @one_at_a_time
    def predict_interval(
        self, fh: Fh = None, X: Table = None, coverage: float | Sequence[float] = 0.90
    ) -> pd.DataFrame:
        """Forecast intervals."""
        self._check_intervals()
        return super().predict_interval(fh, X, coverage)

    @one_at_a_time
    def predict_quantiles(
        self, fh: Fh = None, X: Table = None, alpha: float | Sequence[float] | None = None
    ) -> pd.DataFrame:
        """Forecast quantiles."""
        self._check_intervals()
        return super().predict_quantiles(fh, X, alpha)

    @one_at_a_time
    def predict_var(self, fh: Fh = None, X: Table = None, cov: bool = False) -> pd.DataFrame:
        """Forecast the variance that the quantiles imply."""
        self._check_intervals()
        return super().predict_var(fh, X, cov)

    @one_at_a_time
    def predict_proba(self, fh: Fh = None, X: Table = None, marginal: bool = True) -> object:
        """Forecast a normal distribution of the median and that variance."""
        self._check_intervals()
        return super().predict_proba(fh, X, marginal)

    @one_at_a_time
    def fit_predict(self, y: Table, X: Table = None, fh: Fh = None, X_pred: Table = None) -> Table:
        """Fit, and forecast; also from a pretrained network, which sktime's own would drop."""
        return self.fit(y, X=X, fh=fh).predict(X=X if X_pred is None else X_pred)

    @one_at_a_time
    def update(self, y: Table, X: Table = None, update_params: bool = True) -> Self:
        """Add rows to what is known, and fine-tune the network; after an error nothing changed."""
        with self.unchanged_by_errors():
            return super().update(y, X, update_params)

    @one_at_a_time
    def update_predict_single(
        self, y: Table = None, fh: Fh = None, X: Table = None, update_params: bool = True
    ) -> Table:
        """Add rows to what is known, and forecast; after an error nothing changed."""
        with self.unchanged_by_errors():
            return self.update(y, X, update_params).predict(fh=fh, X=X)


def _to_zone(table: Table, zone: tzinfo | None) -> Table:
    """A table, or each one of a list, at the same times in a time zone; others as they are."""
    if isinstance(table, list):
        return [_to_zone(each, zone) for each in table]
    if not isinstance(table, pd.DataFrame | pd.Series):
        return table
    moved = in_zone(table.index, zone)
    return table if moved is table.index else table.set_axis(moved)
