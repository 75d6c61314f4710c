"""Serve an exported model over HTTP with numpy and onnxruntime: no torch, no Darts, no pandas.

Where the model was trained, ``model.to_onnx("model.onnx")`` writes the only file that is needed:

    python docs/examples/serve_onnx.py model.onnx --port 8000

A request holds the last steps of the series, one list for each step, and when they began; those of
the covariates where the model has some, the future ones up to the end of the forecast:

    curl http://127.0.0.1:8000 --data '{"start": "2024-01-01T00", "values": [[10.2], [10.9], ...]}'
"""

import argparse
import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import onnxruntime

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


class Service:
    """Forecasts by an exported model.

    Parameters
    ----------
    path : str
        The file that ``to_onnx`` wrote.
    features : sequence of str
        Calendar features of the model, which its ``add_encoders`` shows; none with
        ``time_features=False``.
    """

    def __init__(self, path: str, features: Sequence[str]) -> None:
        self.session = onnxruntime.InferenceSession(path)
        properties = self.session.get_modelmeta().custom_metadata_map
        self.lengths = json.loads(properties["darts.onnx_spec"])
        self.features = features
        self.inputs = {one.name: one for one in self.session.get_inputs()}

    def forecast(self, request: dict[str, Any]) -> dict[str, Any]:
        """Forecast the output chunk, ``(H, C, P)``, that follows the series of a request."""
        past = self.lengths["input_chunk_length"]
        ahead = self.lengths["output_chunk_shift"] + self.lengths["output_chunk_length"]
        values = np.asarray(request["values"], dtype=float)
        given = len(values)
        step = np.timedelta64(int(request.get("step_in_seconds", 3600)), "s")
        times = np.datetime64(request["start"], "s") + step * np.arange(given + ahead)
        future = calendar(times, self.features)
        if "future_covariates" in request:
            own = np.asarray(request["future_covariates"], dtype=float)[: given + ahead]
            future = np.concatenate([own, future], axis=1)
        last, horizon = (
            slice(given - past, given),
            slice(-self.lengths["output_chunk_length"], None),
        )
        candidates = {
            "past_target": values[last],
            "past_covariates": np.asarray(request.get("past_covariates", []), dtype=float)[last],
            "historic_future_covariates": future[last],
            "future_covariates": future[horizon],
            "static_covariates": np.asarray(request.get("static_covariates", []), dtype=float),
        }
        inputs = {name: self._check(name, candidates[name]) for name in self.inputs}
        (forecast,) = self.session.run(["prediction"], inputs)
        return {
            "times": np.datetime_as_string(times[horizon]).tolist(),
            "parameters": self.lengths["likelihood_parameter_names"],
            "forecast": forecast[0].tolist(),
        }

    def _check(self, name: str, values: np.ndarray) -> np.ndarray:
        """Give an input its type and the dimension of the batch; refuse one that does not fit."""
        wanted = tuple(self.inputs[name].shape[1:])
        if values.shape != wanted or not np.isfinite(values).all():
            raise ValueError(
                f"{name} must be finite and, cut to the window, of the shape {wanted}; got "
                f"{values.shape}."
            )
        is_double = self.inputs[name].type == "tensor(double)"
        return values[np.newaxis].astype(np.float64 if is_double else np.float32)


def make_server(service: Service, port: int) -> ThreadingHTTPServer:
    """Make a server that answers a POST by a forecast."""

    class Handler(BaseHTTPRequestHandler):
        """The method's name is http.server's."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, answer = 200, service.forecast(json.loads(body))
            except (IndexError, KeyError, TypeError, ValueError) as error:
                status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="the file that `to_onnx` wrote")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--features", nargs="*", default=HOURLY, help="calendar features")
    arguments = parser.parse_args()
    with make_server(Service(arguments.model, arguments.features), arguments.port) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
