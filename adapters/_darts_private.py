"""Private: every private name of Darts that the package uses, each with the reason.

The ordinary contract of a subclass (`_create_model`, `_extract_*`, `_ckpt_skipped_params`,
`_considers_static_covariates`) stands where it is fulfilled. A test asserts that each name is
there with the signature that is used here, and that no other private name is used elsewhere. None
is read when the package is imported: without one of them the rest still works.
"""

from __future__ import annotations

import torch
from darts.dataprocessing.encoders import SequentialEncoder
from darts.models.forecasting import torch_forecasting_model as torch_model
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.models.forecasting.torch_forecasting_model import (
    MixedCovariatesTorchModel,
    TorchForecastingModel,
)
from darts.utils.data.torch_datasets.utils import PLModuleOutput, TorchTrainingBatch
from torch import Tensor

# Of a batch that validates, whose losses are told one by one.
PARTS = 8


class LoadsWeights(MixedCovariatesTorchModel):
    """A model that learns from the file of the weights what they were trained on."""

    def take_over(self, saved: TorchForecastingModel) -> None:
        """Take over from a saved model what its weights depend on, or refuse them."""

    def _load_encoders(
        self, tfm_save: TorchForecastingModel, load_encoders: bool
    ) -> tuple[SequentialEncoder, dict[str, object]]:
        # Only in here is the saved model at hand, before Darts compares its arguments with ours.
        self.take_over(tfm_save)
        encoders, given = super()._load_encoders(tfm_save, load_encoders)
        return encoders, given


class TellsLosses(PLForecastingModule):
    """A module that tells the loss which the user chose of any forecast, part by part."""

    def losses_of(self, forecast: Tensor, batch: TorchTrainingBatch) -> Tensor:
        """Losses ``(P,)`` of a forecast ``(B, H, C, P)`` on parts of a batch that validates."""
        size = -(-len(forecast) // PARTS)
        losses = []
        for first in range(0, len(forecast), size):
            some = slice(first, first + size)
            output = PLModuleOutput(prediction=forecast[some])
            weight = None if batch.sample_weight is None else batch.sample_weight[some]
            target = batch.future_target[some]
            losses.append(self._compute_loss(output, target, self.val_criterion, weight))
        return torch.stack(losses)


def make_network(model: TorchForecastingModel) -> PLForecastingModule:
    """Make the network in the sizes of ``model.train_sample``.

    Public methods of Darts make one only to train it, or to load a file with it.
    """
    return model._init_model()


def declare_fitted(model: TorchForecastingModel, network: PLForecastingModule) -> None:
    """Let a model forecast with a network that came from elsewhere than a training of its own.

    Darts asks these two before it forecasts, and sets them in `fit` and `load` only.
    """
    model.model = network
    model._fit_called = True
    model._update_covariates_use()


def default_path(model: TorchForecastingModel) -> str:
    """Path that `save` writes to where it is given none: both files have to begin with it."""
    return str(model._default_save_path())


def newest_checkpoint(work_dir: str, model_name: str, *, best: bool) -> str:
    """Name of the checkpoint that Darts will load: it is looked at first, whether it is whole."""
    return str(torch_model._get_checkpoint_fname(work_dir, model_name, best=best))
