"""Forecast a hierarchy of monthly sales with one network: backtest, intervals, and a chart.

The data ship inside sktime; nothing is downloaded.

    python docs/examples/sktime_panel.py --output sales.png
"""

import argparse
import logging
import os
import time
from pathlib import Path

# Read when torch is imported. A network this small is slower on two threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import pandas as pd
from sktime.datasets import load_hierarchical_sales_toydata
from sktime.forecasting.ets import AutoETS
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.hierarchical.aggregate import Aggregator

from informer_forecaster import InformerForecaster

YEAR = 12  # months
TRAINING = 36
STEP = 4


def load_sales() -> pd.DataFrame:
    """Load monthly sales of four product groups, with the totals of their lines and of all."""
    return Aggregator().fit_transform(load_hierarchical_sales_toydata())


def build(epochs: int) -> InformerForecaster:
    """Make the forecaster: a year of look-back; training stops before it learns the noise."""
    return InformerForecaster(YEAR, n_epochs=epochs, early_stopping_patience=10, random_state=0)


def backtest(sales: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """Forecast a year from each fourth month; the statistical forecasters are refit each time."""
    forecasters = {
        "InformerForecaster": (build(epochs), "no-update_params"),
        "AutoETS": (AutoETS(auto=True, sp=YEAR), "refit"),
        "NaiveForecaster (seasonal)": (NaiveForecaster("last", sp=YEAR), "refit"),
    }
    cv = ExpandingWindowSplitter(range(1, YEAR + 1), initial_window=TRAINING, step_length=STEP)
    rows = {}
    for name, (forecaster, strategy) in forecasters.items():
        start = time.perf_counter()
        scores = evaluate(
            forecaster, cv, sales, strategy=strategy, scoring=MeanAbsoluteScaledError(sp=YEAR)
        )
        error = scores["test_MeanAbsoluteScaledError"].mean()
        rows[name] = {"MASE": error, "seconds": time.perf_counter() - start}
    return pd.DataFrame(rows).T.round(2)


def draw(sales: pd.DataFrame, forecast: pd.DataFrame, interval: pd.DataFrame, output: Path) -> None:
    """Draw the last years and the forecast of every series, with its 90 % interval."""
    keys = list(forecast.index.droplevel(-1).unique())
    figure, axes = plt.subplots(len(keys), sharex=True, figsize=(8, 1.6 * len(keys)))
    for axis, key in zip(axes, keys, strict=True):
        seen, ahead, band = sales.loc[key], forecast.loc[key], interval.loc[key]
        months = ahead.index.to_timestamp()
        axis.plot(seen.index.to_timestamp(), seen["Sales"], color="black", linewidth=1)
        axis.plot(months, ahead["Sales"], color="tab:blue")
        lower, upper = band.iloc[:, 0], band.iloc[:, 1]
        axis.fill_between(months, lower, upper, color="tab:blue", alpha=0.25, linewidth=0)
        axis.set_title(" / ".join(dict.fromkeys(key)).replace("__total", "total"), fontsize=8)
    figure.suptitle("Monthly sales: median forecast and 90 % interval of one network")
    figure.tight_layout()
    figure.savefig(output, dpi=120)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("sales.png"))
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    # sktime announces its release 1.3 with every forecaster of its own, whatever the filters say.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)

    sales = load_sales()
    print(backtest(sales, arguments.epochs))

    forecaster = build(arguments.epochs).fit(sales, fh=range(1, YEAR + 1))
    forecast, interval = forecaster.predict(), forecaster.predict_interval(coverage=0.9)
    draw(sales, forecast, interval, arguments.output)
    print(f"chart: {arguments.output}")


if __name__ == "__main__":
    main()
