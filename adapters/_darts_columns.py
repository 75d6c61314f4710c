"""Private: the columns of series are told apart by their names, as they were in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from darts import TimeSeries
from darts.typing import TimeSeriesLike

from ._darts_series import INPUTS, as_list, label

# By argument, and for static covariates under their own name: `None` where the series of a list
# have names of their own, and columns can only be told apart by their position.
Columns = Mapping[str, tuple[str, ...] | None]
STATIC = "static_covariates"
# For each series of a call, the places that its columns have in training; `None` if the same.
Orders = list[list[int] | None]


def put_training_in_order(given: dict[str, Any], known: Columns, *, static: bool) -> Columns:
    """Put what a training and its validation are given in one order of columns, and return it.

    Parameters
    ----------
    given : dict
        Arguments of the call by name; the series among them are replaced.
    known : Columns
        Those of an earlier training, whose order stays where the names are the same.
    static : bool
        Whether static covariates are used.
    """
    columns = dict(columns_of(given))
    for name, names in columns.items():
        earlier = known.get(name)
        if names and earlier and sorted(names) == sorted(earlier):
            columns[name] = earlier
    put_in_order(given, columns, static=static)
    put_in_order(given, columns, static=static, prefix="val_")
    return columns


def put_in_order(
    given: dict[str, Any], columns: Columns, *, static: bool, prefix: str = ""
) -> None:
    """Put the series of a call in the order of training; sample weights follow their series."""
    target, weight = given.get(f"{prefix}series"), given.get(f"{prefix}sample_weight")
    if target is not None and weight is not None and not isinstance(weight, str):
        orders = order_of(target, columns.get("series"))
        weights = [_inverted(*each) for each in zip(as_list(weight), orders, strict=False)]
        given[f"{prefix}sample_weight"] = weights if isinstance(weight, Sequence) else weights[0]
    for name in INPUTS:
        argument = f"{prefix}{name}"
        if given.get(argument) is not None:
            given[argument] = in_order(argument, given[argument], columns.get(name))
    if static and target is not None:
        argument = f"{prefix}series"
        given[argument] = in_order(argument, given[argument], columns.get(STATIC), static=True)


def check_columns(name: str, dataset: object, columns: Columns) -> None:
    """Raise if the series of a data set, where it shows them, have columns in another order."""
    for each in INPUTS:
        expected = columns.get(each) or ()
        for one in as_list(getattr(dataset, each, None)) if expected else ():
            found = tuple(map(str, one.columns))[: len(expected)]  # encodings come last
            if found != expected and not (each == "series" and len(expected) == 1):
                raise ValueError(
                    f"the {each} of `{name}` must have the columns of the training in their order, "
                    f"{_shown(expected)}; got {_shown(found)}. Take `series[[name, ...]]`."
                )


def columns_of(given: Mapping[str, Any]) -> Columns:
    """Names of the columns of target and covariates, and of the target's static covariates."""
    columns = {}
    for name in INPUTS:
        every = [tuple(map(str, one.columns)) for one in as_list(given.get(name))]
        if every:
            columns[name] = _common(every)
    tables = [one.static_covariates for one in as_list(given.get("series"))]
    static = [tuple(map(str, table.columns)) for table in tables if table is not None]
    if static:
        columns[STATIC] = _common(static)
    return columns


def in_order(
    name: str, given: TimeSeriesLike, columns: tuple[str, ...] | None, *, static: bool = False
) -> TimeSeriesLike:
    """Put the components, or static covariates, of series in the order of training.

    Parameters
    ----------
    name : str
        The argument, for the message.
    given : darts.TimeSeries or sequence of them
        What the user passed.
    columns : tuple of str or None
        Names in the order of training; ``None`` to keep any order.
    static : bool
        Whether they are those of the static covariates.

    Raises
    ------
    ValueError
        If the names are others. A target of one component may have any name: a network that was
        trained on one series forecasts others.
    """
    if columns is None:
        return given
    ordered = []
    for position, one in enumerate(as_list(given)):
        table = one.static_covariates if static else one
        found = columns if table is None else tuple(map(str, table.columns))
        free = not static and name.endswith("series") and len(found) == len(columns) == 1
        if sorted(found) != sorted(columns) and not free:
            what = "static covariates" if static else "components"
            raise ValueError(
                f"{label(name, given, position)} must have the {what} of the training, "
                f"{_shown(columns)}; got {_shown(found)}. Give those, or rename them."
            )
        if found != columns and not free:
            turned = table[list(columns)]
            one = one.with_static_covariates(turned) if static else turned
        ordered.append(one)
    return ordered if isinstance(given, Sequence) else ordered[0]


def order_of(given: TimeSeriesLike, columns: tuple[str, ...] | None) -> Orders:
    """For each series the positions in ``columns`` of its own columns; ``None`` if in order."""
    orders: Orders = []
    for one in as_list(given):
        found = tuple(map(str, one.columns))
        differs = columns is not None and found != columns and sorted(found) == sorted(columns)
        orders.append([columns.index(name) for name in found] if columns and differs else None)
    return orders


def in_given_order(result: Any, target: Any, orders: Orders | None) -> Any:
    """Give the forecasts of each target series in the order of its own columns."""
    if orders is None or not any(orders):
        return result
    if isinstance(target, TimeSeries):
        return _reordered(result, orders[0])
    return [_reordered(one, order) for one, order in zip(result, orders, strict=True)]


def _reordered(forecast: Any, order: list[int] | None) -> Any:
    """Take components in ``order``; each stands for as many columns as it has parameters."""
    if order is None:
        return forecast
    if not isinstance(forecast, TimeSeries):
        return [_reordered(one, order) for one in forecast]
    count = forecast.n_components // len(order)
    names = [str(forecast.columns[i * count + j]) for i in order for j in range(count)]
    return forecast[names]


def _inverted(weight: TimeSeries, order: list[int] | None) -> TimeSeries:
    """Weights in the order that their series, whose columns have ``order``, is put in."""
    if order is None or weight.n_components != len(order):
        return weight
    return weight[[str(weight.columns[order.index(i)]) for i in range(len(order))]]


def _common(every: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The names that all have, in the order of the first."""
    return every[0] if all(sorted(one) == sorted(every[0]) for one in every) else None


def _shown(columns: Sequence[str], most: int = 8) -> str:
    """Show the names, the first of them where there are many."""
    rest = f", ... ({len(columns)} in all)" if len(columns) > most else ""
    return f"({', '.join(map(repr, columns[:most]))}{rest})"
