"""Explain a forecast: what the oil temperature of a transformer, a day ahead, rests on.

The target of ETTh1 (Zhou et al., 2021) is forecast from the week before, from the six loads up to
the forecast origin, and from the calendar. Darts downloads the data, or give a directory that holds
``ETTh1.csv``:

    python docs/examples/explaining.py --data path/to/ett --output docs/figures
"""

import argparse
import logging
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.datasets import ETTh1Dataset
from sklearn.preprocessing import StandardScaler

from informer_forecaster import InformerModel
from informer_forecaster.explain import InformerExplainer

LOOKBACK, HORIZON = 168, 24
TRAIN, TEST = 8640, 2880  # hours: 12 months to train on, the last 4 to explain


def load_series(directory: Path | None) -> TimeSeries:
    """Hourly loads and oil temperature, scaled by the training part."""
    dataset = ETTh1Dataset()
    if directory is not None:
        dataset._root_path = directory
    series = dataset.load().astype(np.float32)
    return Scaler(StandardScaler()).fit(series[:TRAIN]).transform(series)


def main() -> None:
    """Train, explain one forecast, and draw three pictures of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory that holds ETTh1.csv")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training part")
    parser.add_argument("--output", type=Path, default=Path(), help="directory for the charts")
    arguments = parser.parse_args()
    # Lightning recommends another product, and warns about its own calls of torch.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")

    series = load_series(arguments.data)
    target, loads = series["OT"], series.drop_columns("OT")
    model = InformerModel(
        LOOKBACK,
        HORIZON,
        d_model=32,
        dim_feedforward=64,
        sampling_factor=3,
        n_epochs=arguments.epochs,
        random_state=0,
        pl_trainer_kwargs={"accelerator": "cpu", "logger": False, "enable_model_summary": False},
    )
    model.fit(target[:TRAIN], past_covariates=loads[:TRAIN])

    # The background is the series that the model was fitted on; a window of later months follows.
    explainer = InformerExplainer(model)
    window = target[: TRAIN + TEST]
    result = explainer.explain(window, loads[: TRAIN + TEST], horizons=[1, 6, 12, 18, 24])
    print(result.get_completeness())
    print(result.get_shares(horizon=24).to_string())
    figures = {
        "importance": result.plot_importance(horizon=24),
        "sparsity": result.plot_sparsity(layer=0),
        "attention": result.plot_attention(layer=1, head=0),
    }
    for name, figure in figures.items():
        path = arguments.output / f"explaining_{name}.png"
        figure.savefig(path, dpi=110)
        plt.close(figure)
        print(f"chart: {path}")


if __name__ == "__main__":
    main()
