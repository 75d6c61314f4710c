"""Files open in a new process, by our loaders and by Darts' own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from darts.models import ConformalNaiveModel, NaiveEnsembleModel, RegressionEnsembleModel

import informer_forecaster
from informer_forecaster import InformerModel

PLACE = {"model_name": "kept", "work_dir": "."}

# What a user writes in a new process; each leaves a fitted `model`.
WAYS = {
    "load": "model = InformerModel.load('model.pt')",
    "load a clean file": "model = InformerModel.load('clean.pt')",
    "load_from_checkpoint": "model = InformerModel.load_from_checkpoint(**PLACE)",
    "load_weights": "model = empty(); model.load_weights('model.pt')",
    "load_weights_from_checkpoint": "model = empty(); model.load_weights_from_checkpoint(**PLACE)",
    "by the class of Darts": "model = TorchForecastingModel.load('model.pt')",
    "naive ensemble": "model = NaiveEnsembleModel.load('naive.pt')",
    "regression ensemble": "model = RegressionEnsembleModel.load('regression.pt')",
    "conformal": "model = ConformalNaiveModel.load('conformal.pt')",
}

SCRIPT = """
import json, sys
from informer_forecaster import InformerModel
from darts import TimeSeries
from darts.models import ConformalNaiveModel, NaiveEnsembleModel, RegressionEnsembleModel
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

ways, PLACE, arguments = json.load(open("ways.json"))
series = TimeSeries.from_csv("series.csv", time_col="time")

def empty():
    return InformerModel(**arguments)

forecasts = {}
for name, way in ways.items():
    try:
        scope = {}
        exec(way, globals(), scope)
        forecasts[name] = scope["model"].predict(3, series=series).values().ravel().tolist()
    except Exception as error:
        forecasts[name] = repr(error)
json.dump(forecasts, open("forecasts.json", "w"))
"""


@pytest.fixture(scope="module")
def files(tiny_model, waves, tmp_path_factory):
    """Write every kind of file that holds a model, and note what each one forecasts."""
    folder = tmp_path_factory.mktemp("files")
    series = waves(60)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        series.to_csv("series.csv", index_label="time")
        model = tiny_model().fit(series)
        model.predict(1)
        model.save("model.pt")
        model.save("clean.pt", clean=True)
        kept = tiny_model(save_checkpoints=True, **PLACE).fit(series, val_series=series)
        best = InformerModel.load_from_checkpoint(**PLACE)
        naive = NaiveEnsembleModel([tiny_model(), tiny_model(12, 6)]).fit(series)
        naive.save("naive.pt")
        members = [tiny_model(), tiny_model(12, 6)]
        regression = RegressionEnsembleModel(members, regression_train_n_points=12).fit(series)
        regression.save("regression.pt")
        conformal = ConformalNaiveModel(model, quantiles=[0.1, 0.5, 0.9], cal_length=4)
        conformal.save("conformal.pt")
        models = {
            **dict.fromkeys(WAYS, model),
            "load_from_checkpoint": best,
            "load_weights_from_checkpoint": best,
            "naive ensemble": naive,
            "regression ensemble": regression,
            "conformal": conformal,
        }
        expected = {
            name: one.predict(3, series=series).values().ravel().tolist()
            for name, one in models.items()
        }
        arguments = {
            k: v for k, v in kept.model_params.items() if k not in ("save_checkpoints", *PLACE)
        }
        Path("ways.json").write_text(json.dumps([WAYS, PLACE, arguments]))
        yield folder, expected


@pytest.fixture(scope="module")
def forecasts_of_a_new_process(files):
    """Open every file in one process that imported this package and Darts only."""
    folder, _ = files
    package = str(Path(informer_forecaster.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "forecasts.json").read_text())


@pytest.mark.parametrize("way", WAYS)
def test_a_new_process_opens_the_file(files, forecasts_of_a_new_process, way):
    """Ensembles and conformal models load their parts by Darts' own loaders, not by ours."""
    _, expected = files
    assert forecasts_of_a_new_process[way] == pytest.approx(expected[way], rel=1e-9)


class Stranger:
    """A class that nobody vouched for."""


def test_a_file_with_a_strange_class_is_refused(tiny_model, tmp_path):
    """Darts' own check stays on: only what this package defines is made known to it."""
    model = tiny_model()
    model.stranger = Stranger()
    model.save(str(tmp_path / "strange.pt"))
    with pytest.raises(ValueError, match="Stranger"):
        InformerModel.load(str(tmp_path / "strange.pt"))
