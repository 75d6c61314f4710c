"""Use the installed wheel the way a stranger would; run outside the checkout, by .ci/run."""

from __future__ import annotations

import sys
from importlib.metadata import files, version
from pathlib import Path


def check_contents() -> None:
    """The wheel holds this package and nothing that belongs to another project."""
    paths = [path for path in files("informer-forecaster") or [] if path.suffix != ".pyc"]
    tops = {path.parts[0] for path in paths if not path.parts[0].endswith(".dist-info")}
    assert tops == {"informer_forecaster"}, f"top-level entries of the wheel: {sorted(tops)}"
    names = {path.as_posix() for path in paths}
    for name in ("py.typed", "_network/__init__.py", "adapters/darts.py"):
        assert f"informer_forecaster/{name}" in names, f"the wheel lacks {name}"


def check_light_import() -> None:
    """The package itself needs no forecasting framework."""
    import informer_forecaster

    assert Path(sys.prefix) in Path(informer_forecaster.__file__).parents, "not the installed wheel"
    assert informer_forecaster.__version__ == version("informer-forecaster")
    heavy = {"darts", "sktime", "pandas", "pytorch_lightning"} & sys.modules.keys()
    assert not heavy, f"import informer_forecaster imported {sorted(heavy)}"


def check_forecast() -> None:
    """A small series is learnt and forecast."""
    import numpy as np
    from darts.utils.timeseries_generation import sine_timeseries

    from informer_forecaster import InformerModel

    series = sine_timeseries(value_frequency=1 / 12, length=240, start="2000-01", freq="MS")
    train, test = series.split_after(227)
    model = InformerModel(
        input_chunk_length=24,
        output_chunk_length=12,
        d_model=16,
        nhead=2,
        dim_feedforward=32,
        dropout=0.0,
        n_epochs=20,
        batch_size=16,
        optimizer_kwargs={"lr": 3e-3},
        random_state=0,
        pl_trainer_kwargs={
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": False,
        },
    )
    forecast = model.fit(train).predict(12)
    assert forecast.time_index.equals(test.time_index)
    error = float(np.abs(forecast.values() - test.values()).mean())
    constant = float(np.abs(test.values() - train.values().mean()).mean())
    assert error < constant / 2, f"MAE {error:.3f}; the mean of the series has {constant:.3f}"
    print(f"wheel {version('informer-forecaster')}: MAE {error:.3f} on a sine; mean {constant:.3f}")


if __name__ == "__main__":
    check_contents()
    check_light_import()
    check_forecast()
