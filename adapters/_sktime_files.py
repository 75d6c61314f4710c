"""Private: the archive of a forecaster, written whole, and opened only if it is intact and safe."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile
from zoneinfo import ZoneInfo

from ._sealed_files import check_seal, seal

_OWN = "informer_forecaster.adapters"
# What a fitted forecaster is made of and Darts' list of safe classes lacks. Written out, as a
# prefix would let a dotted name reach whatever a module has imported.
_CLASSES = {
    *(f"{_OWN}._global_model.GlobalModel", f"{_OWN}._model_holder.ModelHolder"),
    *(f"{_OWN}._sktime_data.Instance", f"{_OWN}._sktime_layout.Layout"),
    *(f"{_OWN}.darts.InformerModel", f"{_OWN}.sktime.InformerForecaster"),
    *("sktime.forecasting.base._fh.ForecastingHorizon", "sktime.datatypes._dtypekind.DtypeKind"),
    *("pandas.api.typing.FrozenList", "pandas.core.indexes.frozen.FrozenList"),
    *("numpy._core.numeric._frombuffer", "numpy.core.numeric._frombuffer"),
    *("pandas.core.frame.DataFrame", "pandas.core.series.Series"),
    *("datetime.timezone", "zoneinfo.ZoneInfo", "pytz._UTC", "pytz._p"),
    *("datetime.time", "dateutil.relativedelta.relativedelta"),  # of pandas' offsets
    *("pandas.Period", "pandas._libs.tslibs.period.Period", "uuid.UUID"),  # labels of series
}


def save_archive(
    save: Callable[..., Any], path: str | Path, serialization_format: str, cls: type
) -> tuple[ZipFile, str]:
    """Let sktime's ``save`` write its archive beside ``path`` + ``.zip``, and give it that name.

    Returns the archive, and why :func:`load_archive` will refuse it, or nothing.
    """
    final = Path(f"{path}.zip")
    with TemporaryDirectory(dir=final.parent, prefix=".", suffix=".new") as folder:
        save(Path(folder, "forecaster"), serialization_format)
        archive = Path(folder, "forecaster.zip")
        seal(archive, "forecaster")
        try:
            load_archive(cls, archive)
            refused = ""
        except ValueError as error:
            refused = str(error)
        archive.replace(final)
    return ZipFile(final), refused


def load_archive(cls: type, path: str | Path) -> Any:
    """Load a forecaster of class ``cls`` from an intact archive, and run no code that it holds.

    Raises
    ------
    ValueError
        If the archive is damaged, is not of this package or holds strange classes.
    """
    check_seal(path, "forecaster")
    with ZipFile(path) as archive:
        content = archive.read("_obj")
    return _Unpickler(io.BytesIO(content), f"{cls.__module__}.{cls.__qualname__}").load()


class _Unpickler(pickle.Unpickler):
    """Refuses every class that neither this package nor Darts nor its user vouches for."""

    def __init__(self, file: io.BytesIO, forecaster: str) -> None:
        super().__init__(file)
        self._classes = {*_CLASSES, forecaster}

    def find_class(self, module: str, name: str) -> Any:
        """Import a class that is safe."""
        qualname = f"{module}.{name}"
        if qualname in _REPLACED:
            return _REPLACED[qualname]
        if qualname in self._classes or _is_safe_in_darts(qualname):
            return super().find_class(module, name)
        raise ValueError(
            f"the archive must hold only classes that are known to be safe; got {qualname}. Name "
            "it to `darts.utils.serialization.add_safe_globals`, or load the file with "
            "`InformerForecaster.load_from_path(path, trusted=True)`, if you trust its writer."
        )


def _is_safe_in_darts(qualname: str) -> bool:
    # Here, as Darts is slow to import.
    from darts.utils.serialization.base import UnpicklingError, is_allowed_global
    from darts.utils.serialization.registry import _get_user_safe_globals

    try:
        return bool(is_allowed_global(qualname, _get_user_safe_globals()))
    except UnpicklingError:
        return False


def _load_tensor(content: bytes) -> Any:
    """Load a tensor's storage; torch's own function for this would run code."""
    import torch

    return torch.load(io.BytesIO(content), weights_only=True)


def _zone_attribute(owner: object, name: str) -> Any:
    """Stand for `getattr`, by which a time zone names the function that restores it."""
    if owner is ZoneInfo and name == "_unpickle":
        return ZoneInfo._unpickle  # type: ignore[attr-defined]
    raise ValueError(f"the archive must not ask for attributes; got {name!r} of {owner!r}.")


_REPLACED = {"torch.storage._load_from_bytes": _load_tensor, "builtins.getattr": _zone_attribute}
