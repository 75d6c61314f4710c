"""What a test asks of another process, which may find another package named `tests` first."""

from __future__ import annotations

from collections.abc import Sequence

from darts import TimeSeries

from informer_forecaster import InformerModel


def forecast_file(path: str, series: Sequence[TimeSeries]) -> list[TimeSeries]:
    """Load a model and forecast six steps of each series."""
    trainer = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    model = InformerModel.load(path, pl_trainer_kwargs=trainer)
    return [model.predict(6, one) for one in series]
