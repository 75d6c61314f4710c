"""Forecast the carbon dioxide record of Mauna Loa: fit, backtest, forecast, and a chart.

The data ship inside statsmodels; nothing is downloaded. Run it with ``make demo``, or

    python docs/examples/quickstart.py --output forecast.png
"""

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# Read when torch is imported. Where something else runs, two threads that wait for each other took
# five times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
from darts import TimeSeries, concatenate
from darts.metrics import mae, mase
from darts.models import NaiveSeasonal, TransformerModel
from darts.utils.likelihood_models.torch import QuantileRegression
from darts.utils.missing_values import fill_missing_values
from statsmodels.datasets import co2

from informer_forecaster import InformerModel

YEAR = 52  # weeks
QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]
HELD_OUT = 8 * YEAR


def load_series() -> TimeSeries:
    """Weekly CO2 concentration in parts per million, 1958 to 2001, gaps interpolated."""
    table = co2.load_pandas().data
    series = TimeSeries.from_dataframe(table, fill_missing_dates=True, freq="W-SAT")
    return fill_missing_values(series).astype(np.float32)


def build(model_class: type, epochs: int, **own: object) -> InformerModel | TransformerModel:
    """Make the Informer or, of the same size, Darts' own Transformer."""
    return model_class(
        input_chunk_length=3 * YEAR,
        output_chunk_length=YEAR,
        d_model=32,
        nhead=4,
        num_encoder_layers=2,
        num_decoder_layers=1,
        dim_feedforward=128,
        use_reversible_instance_norm=True,
        likelihood=QuantileRegression(QUANTILES),
        n_epochs=epochs,
        random_state=0,
        pl_trainer_kwargs={
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
        **own,
    )


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """Return the result of ``work`` and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def backtest(model: object, series: TimeSeries, test: TimeSeries) -> TimeSeries:
    """Forecast the held-out years, one year at a time, each from the weeks before it."""
    forecasts = model.historical_forecasts(
        series,
        start=test.start_time(),
        forecast_horizon=YEAR,
        stride=YEAR,
        last_points_only=False,
        # A trained network is used as it is; the naive model is cheap to fit at every origin.
        retrain=isinstance(model, NaiveSeasonal),
        **({} if isinstance(model, NaiveSeasonal) else {"predict_likelihood_parameters": True}),
    )
    return concatenate(forecasts)


def median(forecast: TimeSeries) -> TimeSeries:
    """Keep the median of a forecast of quantiles; a point forecast is its own."""
    name = next((c for c in forecast.components if c.endswith("q0.500")), forecast.components[0])
    return forecast[name]


def evaluate(
    name: str, model: object, series: TimeSeries, train: TimeSeries
) -> tuple[TimeSeries, str]:
    """Fit, backtest and forecast; return the backtest, and a row of scores and seconds."""
    test = series.drop_before(train.end_time())
    _, fit_seconds = timed(lambda: model.fit(train))
    backtested, backtest_seconds = timed(lambda: backtest(model, series, test))
    _, forecast_seconds = timed(
        lambda: model.predict(YEAR) if name == "NaiveSeasonal" else model.predict(YEAR, series)
    )
    actual = test.slice_intersect(backtested)
    point = median(backtested).with_columns_renamed(median(backtested).components, ["co2"])
    row = (
        f"{name:<18}{mae(actual, point):>10.3f}{mase(actual, point, train, m=YEAR):>8.3f}"
        f"{fit_seconds:>9.1f}{backtest_seconds:>12.2f}{forecast_seconds:>12.2f}"
    )
    return backtested, row


def draw(series: TimeSeries, backtested: TimeSeries, forecast: TimeSeries, output: Path) -> None:
    """Draw history, truth, medians and bands of the backtest and of the years ahead."""
    figure, axis = plt.subplots(figsize=(11, 5), layout="constrained")
    shown = series.drop_before(backtested.start_time() - 3 * YEAR * series.freq)
    axis.plot(shown.time_index, shown.values(), color="black", linewidth=1.0, label="measured")
    for part, colour, label in (
        (backtested, "tab:blue", "backtest, each year from the weeks before it"),
        (forecast, "tab:orange", "forecast"),
    ):
        values = part.values()
        for low, high, alpha in ((0, 4, 0.2), (1, 3, 0.35)):
            axis.fill_between(
                part.time_index, values[:, low], values[:, high], color=colour, alpha=alpha, lw=0
            )
        axis.plot(part.time_index, values[:, 2], color=colour, linewidth=1.2, label=label)
    axis.set_title("Weekly CO₂ at Mauna Loa, forecast by the Informer (bands: 50 % and 90 %)")
    axis.set_ylabel("parts per million")
    axis.legend(loc="upper left", frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, dpi=130)


def main() -> None:
    """Compare three models on the held-out years, then forecast the years after the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="passes over the training part")
    parser.add_argument("--output", type=Path, default=Path("quickstart.png"), help="the chart")
    arguments = parser.parse_args()
    # Lightning recommends another product, and warns about its own calls of torch.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")

    series = load_series()
    train = series[:-HELD_OUT]
    print(f"{len(train)} weeks to train on, {HELD_OUT} weeks held out, horizon {YEAR} weeks")
    # A token for each four weeks, where the Transformer has one for each week.
    informer = build(InformerModel, arguments.epochs, patch_length=4)
    models = {
        "NaiveSeasonal": NaiveSeasonal(K=YEAR),
        "TransformerModel": build(TransformerModel, arguments.epochs),
        "InformerModel": informer,
    }
    header = f"{'MAE ppm':>10}{'MASE':>8}{'fit s':>9}{'backtest s':>12}{'forecast s':>12}"
    print(f"\n{'model':<18}{header}")
    for name, model in models.items():
        backtested, row = evaluate(name, model, series, train)
        print(row, flush=True)

    forecast = informer.predict(YEAR, series, predict_likelihood_parameters=True)
    draw(series, backtested, forecast, arguments.output)
    print(f"chart: {arguments.output}")


if __name__ == "__main__":
    main()
