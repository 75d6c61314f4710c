"""Private: checks of what is to be explained, before any work starts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from informer_forecaster._checks import Arguments, check_integer
from informer_forecaster.adapters._darts_checks import check_forecast
from informer_forecaster.adapters._darts_series import label
from informer_forecaster.adapters._darts_values import (
    check_inputs,
    check_length,
    check_static_covariates,
)
from informer_forecaster.adapters.darts import InformerModel, num_calendar_features

from .windows import Given


def check_horizons(horizons: int | Iterable[int] | None, longest: int) -> list[int]:
    """Return the steps ahead, all of them for None; raise unless they are within 1..longest."""
    if horizons is None:
        return list(range(1, longest + 1))
    wanted = list(horizons) if isinstance(horizons, Iterable) else [horizons]
    wanted = [check_integer("horizons", one, minimum=1) for one in wanted]
    if not wanted or max(wanted) > longest:
        raise ValueError(
            f"`horizons` must hold steps from 1 to `output_chunk_length`, {longest}; got "
            f"{horizons!r}. Leave it out for all steps."
        )
    return wanted


def check_components(components: str | Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the components to explain, all for None; raise unless they are among ``known``."""
    if components is None:
        return list(known)
    given: Any = components
    is_list = isinstance(given, Iterable) and not isinstance(given, str)
    wanted = list(given) if is_list else [given]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise ValueError(
            f"`target_components` must name components of the forecast, {list(known)}; got "
            f"{unknown or wanted}. Leave it out for all of them."
        )
    return wanted


def check_names(name: str, given: Any, like: Any) -> None:
    """Raise unless every series has the components of the first of ``like``, in their order."""
    for position, one in enumerate(given or ()):
        names = list(like[0].components)
        if list(one.components) != names:
            raise ValueError(
                f"{label(name, given, position)} must have the components of the background, "
                f"{names}; got {list(one.components)}. Rename or reorder them."
            )


def check_background(model: Any, given: Given, largest: float) -> None:
    """Raise unless the background has the series and the covariates that the model needs."""
    inputs = _check_given("background", model, given)
    if not given.series and model.training_series is None:
        raise ValueError(
            "`background_series` must be given, as a model fitted on several series keeps none; "
            "got None. Give some of these, or all."
        )
    check_inputs(inputs, (0, 0, 0), largest)


def check_foreground(model: Any, given: Given, background: Given, largest: float) -> None:
    """Raise unless the foreground can be forecast, in the components of the background."""
    inputs = _check_given("foreground", model, given)
    if not given.series:
        return
    for name, series in given._asdict().items():
        check_names(f"foreground_{name}", series, getattr(background, name) or series)
    lookback = model.input_chunk_length
    check_length("foreground_series", given.series, lookback, "input_chunk_length")
    if model.uses_static_covariates:
        check_static_covariates("foreground_series", given.series, largest)
    inputs["foreground_series"] = [one[-lookback:] for one in given.series]
    check_inputs(inputs, (0, 0, model.output_chunk_shift + model.output_chunk_length), largest)


def _check_given(part: str, model: Any, given: Given) -> Arguments:
    """Name series by their arguments; raise unless the model could forecast from them."""
    inputs = {f"{part}_{name}": series for name, series in given._asdict().items()}
    series: Any = given.series  # none where all is left out
    if series is None and (given.past_covariates or given.future_covariates):
        remedy = "the series of the fit" if part == "background" else "the background"
        raise ValueError(
            f"`{part}_series` must be given with its covariates; got covariates alone. Give the "
            f"series too, or nothing for {remedy}."
        )
    if series is not None:
        check_forecast(model, inputs, f"{part}_")
    return inputs


def warn_of_idle_covariates(model: InformerModel, names: dict[str, list[str]]) -> None:
    """Warn where covariates were given, and none of them changes a forecast."""
    future = names["futcov"][: len(names["futcov"]) - num_calendar_features(model)]
    idle = [*names["pastcov"], *future]
    if not idle or model.model.reads_covariates:
        return
    warnings.warn(
        f"the covariates {idle} change no forecast of this model: on the windows that validated, "
        "neither their own effects nor the network were better than the linear map of the "
        "look-back. Look whether they stand at the times at which they act, train on more "
        "windows, or keep all that is learnt with `early_stopping_patience=None`.",
        UserWarning,
        stacklevel=3,
    )
