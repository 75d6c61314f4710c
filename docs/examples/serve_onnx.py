"""Serve an exported model over HTTP with FastAPI and onnxruntime: no torch, no Darts, no pandas.

Where the model was trained, ``model.to_onnx("model.onnx")`` writes the only file that is needed:

    pip install numpy onnxruntime fastapi uvicorn
    python docs/examples/serve_onnx.py model.onnx --port 8000

A request holds the last steps of the series, one list for each step, and when they began; those of
the covariates where the model has some, the future ones up to the end of the forecast:

    curl http://127.0.0.1:8000/forecast --json '{"start": "2024-01-01", "values": [[10.2], ...]}'

A body may have a megabyte and a connection ten seconds. Encryption, and who may ask how often, are
the business of a proxy in front.
"""

import argparse
import json
import socket
from asyncio import Transport
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from uvicorn.protocols.http.h11_impl import H11Protocol

LARGEST_BODY, MOST_CONNECTIONS = 2**20, 1000
DAY, WEEK = np.timedelta64(1, "D"), np.timedelta64(7, "D")
HOURLY = ("hour_of_day", "day_of_week", "day_of_month", "day_of_year")


def calendar(times: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Calendar features of time stamps, in [-0.5, 0.5], shape ``(len(times), len(names))``.

    An ``InformerModel`` makes them from the time index and adds them to the future covariates.
    """
    days, months, years = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
    weekday = (days.astype(int) + 3) % 7  # day 0 was a Thursday
    # A week belongs to the year that its Thursday lies in.
    thursday = days + (3 - weekday)
    features = {
        "second_of_minute": ((times - times.astype("datetime64[m]")) // np.timedelta64(1, "s"), 59),
        "minute_of_hour": ((times - times.astype("datetime64[h]")) // np.timedelta64(1, "m"), 59),
        "hour_of_day": ((times - days) // np.timedelta64(1, "h"), 23),
        "day_of_week": (weekday, 6),
        "day_of_month": ((days - months) // DAY, 30),
        "day_of_year": ((days - years) // DAY, 365),
        "week_of_year": ((thursday - thursday.astype("datetime64[Y]")) // WEEK, 52),
        "month_of_year": ((months - years.astype("datetime64[M]")).astype(int), 11),
    }
    columns = [features[name][0] / features[name][1] - 0.5 for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((len(times), 0))


Rows = list[list[FiniteFloat]]


class Series(BaseModel):
    """What a request must hold: rows of the steps up to the forecast origin."""

    model_config = ConfigDict(extra="forbid")

    start: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d(T[\d:]+)?$")]
    step_in_seconds: Annotated[int, Field(ge=1, le=366 * 86_400)] = 3600
    values: Rows
    past_covariates: Rows = []
    future_covariates: Rows | None = None
    static_covariates: Rows = []


class Service:
    """Forecasts by an exported model.

    Parameters
    ----------
    path : str
        The file that ``to_onnx`` wrote.
    features : sequence of str
        Calendar features of the model, which the config.json of ``save_pretrained`` names; none
        with ``time_features=False``.
    """

    def __init__(self, path: str, features: Sequence[str]) -> None:
        self.session = onnxruntime.InferenceSession(path)
        properties = self.session.get_modelmeta().custom_metadata_map
        self.lengths = json.loads(properties["darts.onnx_spec"])
        self.features = features
        self.inputs = {one.name: one for one in self.session.get_inputs()}

    def forecast(self, series: Series) -> dict[str, Any]:
        """Forecast the output chunk, ``(H, C, P)``, that follows a series.

        Raises
        ------
        ValueError
            If a shape is not that of the model, or a number too large for it.
        """
        past = self.lengths["input_chunk_length"]
        ahead = self.lengths["output_chunk_shift"] + self.lengths["output_chunk_length"]
        given = len(series.values)
        step = np.timedelta64(series.step_in_seconds, "s")
        times = np.datetime64(series.start, "s") + step * np.arange(given + ahead)
        future = calendar(times, self.features)
        if series.future_covariates is not None:
            own = np.asarray(series.future_covariates, dtype=float)[: given + ahead]
            future = np.concatenate([own, future], axis=1)
        last = slice(max(given - past, 0), given)
        horizon = slice(-self.lengths["output_chunk_length"], None)
        candidates = {
            "past_target": np.asarray(series.values, dtype=float)[last],
            "past_covariates": np.asarray(series.past_covariates, dtype=float)[last],
            "historic_future_covariates": future[last],
            "future_covariates": future[horizon],
            "static_covariates": np.asarray(series.static_covariates, dtype=float),
        }
        inputs = {name: self._check(name, candidates[name]) for name in self.inputs}
        (forecast,) = self.session.run(["prediction"], inputs)
        if not np.isfinite(forecast).all():
            raise ValueError("the numbers must be of the size of those that the model learnt from.")
        return {
            "times": np.datetime_as_string(times[horizon]).tolist(),
            "parameters": self.lengths["likelihood_parameter_names"],
            "forecast": forecast[0].tolist(),
        }

    def _check(self, name: str, values: np.ndarray) -> np.ndarray:
        """Give an input its type and the dimension of the batch; refuse one that does not fit."""
        wanted = tuple(self.inputs[name].shape[1:])
        with np.errstate(over="ignore"):
            is_double = self.inputs[name].type == "tensor(double)"
            numbers = values.astype(np.float64 if is_double else np.float32)
        if numbers.shape != wanted or not np.isfinite(numbers).all():
            raise ValueError(
                f"{name} must be finite and, cut to the window, of the shape {wanted}; got "
                f"{values.shape}."
            )
        return numbers[np.newaxis]


def make_app(service: Service) -> FastAPI:
    """Make the application, which answers a POST to ``/forecast``."""
    app = FastAPI(title="Informer forecasts", max_body_size=LARGEST_BODY)

    @app.post("/forecast")
    def forecast(series: Series) -> dict[str, Any]:
        try:
            return service.forecast(series)
        except (IndexError, ValueError) as error:
            raise HTTPException(422, str(error)) from error

    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        """Say what is wrong without the input, which may be large and not even JSON."""
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return JSONResponse({"detail": f"{where}: {first['msg']}"}, 422)

    return app


def with_deadline(seconds: float) -> type[H11Protocol]:
    """Make connections that end after so many seconds, whatever is sent over them or not."""

    class Connection(H11Protocol):
        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.deadline = self.loop.call_later(seconds, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self.deadline.cancel()
            super().connection_lost(exc)

    return Connection


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="the file that `to_onnx` wrote")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=10, help="longest time of a connection")
    parser.add_argument("--features", nargs="*", default=HOURLY, help="calendar features")
    arguments = parser.parse_args()
    config = uvicorn.Config(
        make_app(Service(arguments.model, arguments.features)),
        http=with_deadline(arguments.seconds),
        limit_concurrency=MOST_CONNECTIONS,
        headers=[("Connection", "close")],
        log_level="warning",
        ws="none",
    )
    with socket.create_server(("127.0.0.1", arguments.port)) as listening:
        print("http://{}:{}".format(*listening.getsockname()), flush=True)
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
