"""Forecast an electricity transformer: ETTh1, seven series at once, 96 hours from 96 hours.

The data are the standard benchmark of long-sequence forecasting (Zhou et al., 2021). Darts
downloads them, or give a directory that holds ``ETTh1.csv``:

    python docs/examples/ett.py --data path/to/ett
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.datasets import ETTh1Dataset
from darts.models import GlobalNaiveSeasonal
from pytorch_lightning.callbacks import EarlyStopping
from sklearn.preprocessing import StandardScaler

from informer_forecaster import InformerModel

LOOKBACK, HORIZON, DAY = 96, 96, 24
TRAIN, VALIDATION, TEST = 8640, 2880, 2880  # hours: 12, 4 and 4 months


def load_parts(directory: Path | None) -> tuple[TimeSeries, TimeSeries, TimeSeries]:
    """Training, validation and test part, scaled by the training part.

    Each later part begins with the look-back that its first window needs.
    """
    dataset = ETTh1Dataset()
    if directory is not None:
        dataset._root_path = directory
    series = dataset.load().astype(np.float32)[: TRAIN + VALIDATION + TEST]
    scaler = Scaler(StandardScaler()).fit(series[:TRAIN])
    series = scaler.transform(series)
    validation_end = TRAIN + VALIDATION
    return (
        series[:TRAIN],
        series[TRAIN - LOOKBACK : validation_end],
        series[validation_end - LOOKBACK :],
    )


def make_informer(epochs: int) -> InformerModel:
    """Patches of 12 hours, one network for all seven series, and a linear map beside it."""
    trainer = {"accelerator": "cpu", "logger": False, "enable_model_summary": False}
    return InformerModel(
        LOOKBACK,
        HORIZON,
        patch_length=12,
        channel_independent=True,
        lookback_skip=True,
        d_model=32,
        dim_feedforward=64,
        dropout=0.3,
        optimizer_kwargs={"lr": 5e-4},
        n_epochs=epochs,
        random_state=0,
        pl_trainer_kwargs={**trainer, "callbacks": [EarlyStopping("val_loss", patience=2)]},
    )


def score(model: object, part: TimeSeries) -> tuple[float, float, list[TimeSeries]]:
    """MSE and MAE over every window of ``part``, at stride 1, and the forecasts."""
    forecasts = model.historical_forecasts(
        part,
        start=LOOKBACK,
        start_format="position",
        forecast_horizon=HORIZON,
        stride=1,
        retrain=False,
        last_points_only=False,
        predict_kwargs={"batch_size": 1024},
    )
    actual = np.lib.stride_tricks.sliding_window_view(part.values()[LOOKBACK:], HORIZON, axis=0)
    errors = np.stack([forecast.values() for forecast in forecasts]) - actual.swapaxes(1, 2)
    return float(np.square(errors).mean()), float(np.abs(errors).mean()), forecasts


def draw(part: TimeSeries, forecasts: list[TimeSeries], output: Path) -> None:
    """Draw look-back, truth and forecast of every series, for a window in the middle."""
    forecast = forecasts[len(forecasts) // 2]
    shown = part.slice(forecast.start_time() - LOOKBACK * part.freq, forecast.end_time())
    figure, axes = plt.subplots(len(part.components), figsize=(9, 11), sharex=True)
    for axis, name in zip(axes, part.components, strict=True):
        axis.plot(shown.time_index, shown[name].values(), color="black", linewidth=0.9)
        axis.plot(forecast.time_index, forecast[name].values(), color="tab:orange")
        axis.set_ylabel(name)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title("ETTh1, scaled: the last 96 hours, and the forecast of the next 96")
    figure.tight_layout()
    figure.savefig(output, dpi=110)


def main() -> None:
    """Fit on the training part and score every window of the test part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory that holds ETTh1.csv")
    parser.add_argument("--epochs", type=int, default=10, help="most passes over the data")
    parser.add_argument("--output", type=Path, default=Path("ett.png"), help="the chart")
    arguments = parser.parse_args()
    # Lightning recommends another product, and warns about its own calls of torch.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")

    train, validation, test = load_parts(arguments.data)
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    naive = {
        name: GlobalNaiveSeasonal(steps, 1, pl_trainer_kwargs=quiet).fit(train)
        for name, steps in (("repeat last hour", 1), ("repeat last day", DAY))
    }
    informer = make_informer(arguments.epochs)
    start = time.perf_counter()
    informer.fit(train, val_series=validation)
    seconds = time.perf_counter() - start

    scores = {name: score(model, test) for name, model in {**naive, "Informer": informer}.items()}
    print(f"\n{'model':<18}{'MSE':>8}{'MAE':>8}   over {len(scores['Informer'][2])} test windows")
    for name, (mse, mae, _) in scores.items():
        print(f"{name:<18}{mse:>8.3f}{mae:>8.3f}")
    print(f"training took {seconds:.0f} s")
    draw(test, scores["Informer"][2], arguments.output)
    print(f"chart: {arguments.output}")


if __name__ == "__main__":
    main()
