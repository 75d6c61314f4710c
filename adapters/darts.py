"""The Informer as a Darts forecasting model: ``InformerModel``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from darts import TimeSeries
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule, io_processor
from darts.models.forecasting.torch_forecasting_model import (
    MixedCovariatesTorchModel,
    TorchForecastingModel,
)
from darts.utils.data.torch_datasets.utils import (
    PLModuleInput,
    PLModuleOutput,
    TorchInferenceBatch,
    TorchTrainingBatch,
    TorchTrainingSample,
)
from darts.utils.serialization import add_safe_globals, safe_globals
from darts.utils.torch import MonteCarloDropout

from informer_forecaster._network import Informer, InformerConfig

from ._validation import as_list, check_inputs, check_length
from .time_features import TimeFeatures, informative_features

_DATA_FIELDS = {
    "num_targets",
    "num_past_covariates",
    "num_future_covariates",
    "num_static_covariates",
    "num_parameters",
}
_LENGTHS = {"input_chunk_length", "output_chunk_length"}
_NETWORK_FIELDS = {field.name for field in fields(InformerConfig)} - _LENGTHS
_ARCHITECTURE = _NETWORK_FIELDS - _DATA_FIELDS


Batch = TypeVar("Batch", TorchTrainingBatch, TorchInferenceBatch)


class _InformerModule(PLForecastingModule):
    """The network in Darts' Lightning module: tensors in and out, nothing else.

    Parameters
    ----------
    **kwargs
        Fields of :class:`InformerConfig` and parameters of ``PLForecastingModule``; all are
        primitive, as they become hyper-parameters of the checkpoint.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{k: v for k, v in kwargs.items() if k not in _NETWORK_FIELDS})
        config = {k: v for k, v in kwargs.items() if k in _NETWORK_FIELDS | _LENGTHS}
        self.network = Informer(InformerConfig(**config), dropout=MonteCarloDropout)

    @io_processor
    def forward(self, x_in: PLModuleInput) -> PLModuleOutput:
        """Forecast ``(B, H, C, P)`` from the tensors of a batch."""
        future = static = None
        if x_in.future_covariates is not None:
            future = x_in.concatenate_future_along_time()
        if x_in.static_covariates is not None:
            static = x_in.static_covariates.flatten(1)
        forecast = self.network(x_in.past_target, x_in.past_covariates, future, static)
        # Mixed precision ends here: losses and inverse transforms run in the model's own dtype.
        return PLModuleOutput(prediction=forecast.to(x_in.past_target.dtype))

    # Series are float64 by default, whatever precision the trainer was asked for. The steps cast,
    # as Lightning warns of a module that has its own hook for this.

    def training_step(self, train_batch: TorchTrainingBatch, batch_idx: int) -> torch.Tensor:
        """Compute the training loss of a batch."""
        loss: torch.Tensor = super().training_step(self._cast(train_batch), batch_idx)
        return loss

    def validation_step(self, val_batch: TorchTrainingBatch, batch_idx: int) -> torch.Tensor:
        """Compute the validation loss of a batch."""
        loss: torch.Tensor = super().validation_step(self._cast(val_batch), batch_idx)
        return loss

    def predict_step(
        self, batch: TorchInferenceBatch, batch_idx: int, dataloader_idx: int | None = None
    ) -> Any:
        """Forecast a batch."""
        return super().predict_step(self._cast(batch), batch_idx, dataloader_idx)

    def _cast(self, batch: Batch) -> Batch:
        """Cast the tensors of a batch to the dtype of the weights."""
        tensors = {
            name: value.to(self.dtype)
            for name in batch.__slots__
            if isinstance(value := getattr(batch, name), torch.Tensor)
        }
        return batch.replace(**tensors)


class InformerModel(MixedCovariatesTorchModel):
    """The Informer of Zhou et al. (AAAI 2021) as a Darts model; see its constructor."""

    train_sample: Any  # Darts leaves it without a type

    def __init__(
        self,
        input_chunk_length: int,
        output_chunk_length: int,
        output_chunk_shift: int = 0,
        d_model: int = InformerConfig.d_model,
        nhead: int = InformerConfig.nhead,
        num_encoder_layers: int = InformerConfig.num_encoder_layers,
        num_decoder_layers: int = InformerConfig.num_decoder_layers,
        dim_feedforward: int = InformerConfig.dim_feedforward,
        dropout: float = InformerConfig.dropout,
        activation: str = InformerConfig.activation,
        attention: str = InformerConfig.attention,
        sampling_factor: int = InformerConfig.sampling_factor,
        distil: bool = InformerConfig.distil,
        num_encoder_stacks: int = InformerConfig.num_encoder_stacks,
        start_token_length: int | None = InformerConfig.start_token_length,
        patch_length: int = InformerConfig.patch_length,
        channel_independent: bool = InformerConfig.channel_independent,
        lookback_skip: bool = InformerConfig.lookback_skip,
        decoder_causal: bool = InformerConfig.decoder_causal,
        padding_mode: str = InformerConfig.padding_mode,
        time_features: bool = True,
        use_static_covariates: bool = True,
        use_reversible_instance_norm: bool | dict[str, Any] = True,
        **kwargs: Any,
    ) -> None:
        """An implementation of the Informer model, as presented in [1]_.

        The Informer forecasts long horizons in one pass. Its ProbSparse self-attention costs
        O(L ln L), its encoder halves the sequence between layers ("distilling"), and its decoder
        emits all steps of the output chunk at once, so no error accumulates.

        This model supports past covariates (known for `input_chunk_length` points before prediction
        time), future covariates (known for `output_chunk_length` points after prediction time),
        static covariates, as well as probabilistic forecasting.

        Parameters
        ----------
        input_chunk_length
            Number of time steps in the past to take as a model input (per chunk). Applies to the
            target series, and past and/or future covariates.
        output_chunk_length
            Number of time steps predicted at once (per chunk) by the internal model. It is not the
            same as the forecast horizon `n` used in `predict()`: a longer one is rolled out.
        output_chunk_shift
            Number of steps to shift the start of the output chunk into the future. With a shift the
            model cannot roll out. Default: ``0``.
        d_model
            Width of the tokens in encoder and decoder. Default: ``64``.
        nhead
            Number of attention heads; must divide `d_model`. Default: ``4``.
        num_encoder_layers
            Number of attention layers in the encoder. Default: ``2``.
        num_decoder_layers
            Number of layers in the decoder. Default: ``1``.
        dim_feedforward
            Width inside the position-wise feed-forward network. Default: ``256``.
        dropout
            Fraction of values dropped; also active at prediction with `mc_dropout=True`.
            Default: ``0.1``.
        activation
            Activation of the feed-forward network, ``"gelu"`` or ``"relu"``. Default: ``"gelu"``.
        attention
            Self-attention, ``"prob"`` (ProbSparse) or ``"full"``. Default: ``"prob"``.
        sampling_factor
            How many queries ProbSparse attention keeps: ``sampling_factor * ceil(ln L)``. Larger is
            closer to full attention and slower. Default: ``5``.
        distil
            Whether the encoder halves the sequence between its layers. Default: ``True``.
        num_encoder_stacks
            Replica stacks of the encoder, each seeing the last half of the one before and having
            one layer fewer; ``3`` with three layers is the paper's InformerStack. Default: ``1``.
        start_token_length
            Number of last input steps that the decoder starts from, at most `input_chunk_length`;
            ``None`` for half of the input. Default: ``None``.
        patch_length
            Number of steps in one token; longer patches make long inputs cheap. Default: ``1``.
        channel_independent
            Whether each component of the target is forecast on its own, by shared weights.
            Default: ``False``.
        lookback_skip
            Whether to add a linear map from the look-back window to the output. Default: ``False``.
        decoder_causal
            Whether the decoder's self-attention is masked, as in the paper. Default: ``True``.
        padding_mode
            What the convolutions see beyond the ends of the sequence: ``"replicate"`` for the end
            value, ``"circular"`` for the other end as in the original code.
            Default: ``"replicate"``.
        time_features
            Whether calendar features are added to the future covariates of series with a
            DatetimeIndex; the frequency chooses them, and they need no input at prediction. A
            series with an integer index gets none. Default: ``True``.
        use_static_covariates
            Whether the model should use static covariate information in case the input `series`
            passed to `fit()` contain static covariates. Default: ``True``.
        use_reversible_instance_norm
            Whether each input window is normalised by its own mean and deviation, and the forecast
            scaled back. Default: ``True``.
        **kwargs
            Optional arguments to initialize the Lightning module, the Lightning trainer, and Darts'
            :class:`TorchForecastingModel`: `loss_fn`, `likelihood`, `torch_metrics`,
            `optimizer_cls`, `optimizer_kwargs`, `lr_scheduler_cls`, `lr_scheduler_kwargs`,
            `batch_size`, `n_epochs`, `model_name`, `work_dir`, `log_tensorboard`,
            `nr_epochs_val_period`, `force_reset`, `save_checkpoints`, `add_encoders`,
            `random_state`, `pl_trainer_kwargs`, `show_warnings`, `enable_finetuning`. They are
            described in the documentation of Darts' `TransformerModel`.

        Raises
        ------
        ValueError
            If an argument is outside its range.

        References
        ----------
        .. [1] H. Zhou et al. "Informer: Beyond Efficient Transformer for Long Sequence Time-Series
                Forecasting", AAAI 2021, https://arxiv.org/abs/2012.07436

        Examples
        --------
        >>> from darts.utils.timeseries_generation import sine_timeseries
        >>> from informer_forecaster import InformerModel
        >>> series = sine_timeseries(length=200, value_frequency=1 / 24, freq="h")
        >>> quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        >>> model = InformerModel(48, 24, d_model=16, n_epochs=1, pl_trainer_kwargs=quiet)
        >>> model.fit(series).predict(24).shape
        (24, 1, 1)

        With covariates, on a data set that Darts downloads:

        .. code-block:: python

            from darts.datasets import WeatherDataset
            from informer_forecaster import InformerModel

            series = WeatherDataset().load()
            # predicting atmospheric pressure
            target = series["p (mbar)"][:100]
            # optionally, use past observed rainfall (pretending to be unknown beyond index 100)
            past_cov = series["rain (mm)"][:100]
            # optionally, use future temperatures (pretending this component is a forecast)
            future_cov = series["T (degC)"][:106]
            model = InformerModel(input_chunk_length=6, output_chunk_length=6, n_epochs=20)
            model.fit(target, past_covariates=past_cov, future_covariates=future_cov)
            pred = model.predict(6)
        """
        # `self.model_params` would hold a subclass's arguments; these are the ones received here.
        arguments = {k: v for k, v in locals().items() if k not in ("self", "kwargs", "__class__")}
        arguments.update(kwargs)
        self._architecture = {k: v for k, v in arguments.items() if k in _ARCHITECTURE}
        InformerConfig(input_chunk_length, output_chunk_length, num_targets=1, **self._architecture)
        super().__init__(**self._extract_torch_model_params(**arguments))
        self.pl_module_params = self._extract_pl_module_params(**arguments)
        self._time_features = time_features
        self._user_encoders = self.add_encoders
        self._considers_static_covariates = use_static_covariates

    @property
    def supports_static_covariates(self) -> bool:
        """Whether static covariates can be used: they can."""
        return True

    def _create_model(self, train_sample: TorchTrainingSample) -> PLForecastingModule:
        widths = train_sample.component_dims()
        static = train_sample.static_covariates
        return _InformerModule(
            num_targets=widths["past_target"],
            num_past_covariates=widths["past_covariates"] or 0,
            num_future_covariates=widths["future_covariates"] or 0,
            num_static_covariates=0 if static is None else static.size,
            num_parameters=1 if self.likelihood is None else self.likelihood.num_parameters,
            **self._architecture,
            **self.pl_module_params,
        )

    def _init_model(self, trainer: pl.Trainer | None = None) -> PLForecastingModule:
        # Weights that were trained with other lengths bring a sample of those lengths along.
        lengths = {
            "past_target": self.input_chunk_length,
            "past_covariates": self.input_chunk_length,
            "historic_future_covariates": self.input_chunk_length,
            "future_covariates": self.output_chunk_length,
            "future_target": self.output_chunk_length,
        }
        changes = {
            name: np.zeros((length, array.shape[1]), dtype=array.dtype)
            for name, length in lengths.items()
            if (array := getattr(self.train_sample, name)) is not None and len(array) != length
        }
        self.train_sample = self.train_sample.replace(**changes)
        return super()._init_model(trainer)

    # Calendar features

    def _encoders_with(self, features: TimeFeatures | None) -> dict[str, Any] | None:
        """The user's encoders, and ``features`` as a further one."""
        if features is None:
            return self._user_encoders
        encoders = dict(self._user_encoders or {})
        custom = dict(encoders.get("custom", {}))
        custom["future"] = [*custom.get("future", []), features]
        return {**encoders, "custom": custom}

    def _choose_time_features(self, series: TimeSeries) -> TimeFeatures | None:
        """The features that suit the frequency of ``series``, or none for an integer index."""
        if not (self._time_features and series.has_datetime_index):
            return None
        names = informative_features(series.freq)
        return TimeFeatures(names) if names else None

    def _load_encoders(self, tfm_save: TorchForecastingModel, load_encoders: bool) -> Any:
        saved = (tfm_save.add_encoders or {}).get("custom", {}).get("future", [])
        features = [encoder for encoder in saved if isinstance(encoder, TimeFeatures)]
        self.add_encoders = self._encoders_with(features[0] if features else None)
        encoders, add_encoders = super()._load_encoders(tfm_save, load_encoders)
        for encoder in (*encoders.past_encoders, *encoders.future_encoders):
            # The saved model's lengths may differ from this model's.
            encoder.index_generator.input_chunk_length = self.input_chunk_length
            encoder.index_generator.output_chunk_length = self._target_window_lengths[1]
        return encoders, add_encoders

    # Checks before work starts

    def _setup_for_fit_from_dataset(self, series: Any, **kwargs: Any) -> Any:
        for prefix, target in (("", series), ("val_", kwargs.get("val_series"))):
            check_inputs(
                target,
                kwargs.get(f"{prefix}past_covariates"),
                kwargs.get(f"{prefix}future_covariates"),
                prefix=prefix,
            )
            check_length(
                f"{prefix}series",
                target,
                sum(self._target_window_lengths),
                "input_chunk_length + output_chunk_shift + output_chunk_length",
            )
        self.add_encoders = self._encoders_with(self._choose_time_features(as_list(series)[0]))
        return super()._setup_for_fit_from_dataset(series=series, **kwargs)

    def _setup_for_predict_from_dataset(
        self, n: int, series: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        target = self.training_series if series is None else series
        self._check_forecast_inputs(n, target, kwargs, steps_back=self.input_chunk_length)
        check_length("series", target, self.input_chunk_length, "input_chunk_length")
        prepared: dict[str, Any] = super()._setup_for_predict_from_dataset(
            n=n, series=series, **kwargs
        )
        return prepared

    def _optimized_historical_forecasts(
        self, series: Any, *args: Any, forecast_horizon: int = 1, **kwargs: Any
    ) -> Any:
        self._check_forecast_inputs(forecast_horizon, series, kwargs, steps_back=None)
        return super()._optimized_historical_forecasts(
            series, *args, forecast_horizon=forecast_horizon, **kwargs
        )

    def _check_forecast_inputs(
        self, n: int, series: Any, covariates: dict[str, Any], steps_back: int | None
    ) -> None:
        """Check the steps that a forecast of ``n`` steps uses."""
        check_inputs(
            series,
            covariates.get("past_covariates") or self.past_covariate_series,
            covariates.get("future_covariates") or self.future_covariate_series,
            steps_back=steps_back,
            past_steps_ahead=max(n - self.output_chunk_length, 0),
            future_steps_ahead=max(n, self.output_chunk_length) + self.output_chunk_shift,
        )

    # Loading: Darts refuses classes outside of it unless they are named

    @property
    def _ckpt_skipped_params(self) -> list[str]:
        skipped = [*super()._ckpt_skipped_params, "dropout"]
        if not self._architecture["lookback_skip"]:
            skipped += ["input_chunk_length", "output_chunk_length", "start_token_length"]
        return skipped

    @staticmethod
    def load(*args: Any, **kwargs: Any) -> TorchForecastingModel:
        """Load a model that :meth:`save` wrote; parameters as in Darts."""
        with safe_globals(_SAFE_GLOBALS):
            return TorchForecastingModel.load(*args, **kwargs)

    @staticmethod
    def load_from_checkpoint(*args: Any, **kwargs: Any) -> TorchForecastingModel:
        """Load a model from an automatically saved checkpoint; parameters as in Darts."""
        with safe_globals(_SAFE_GLOBALS):
            return TorchForecastingModel.load_from_checkpoint(*args, **kwargs)

    def load_weights_from_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Load only the weights of a saved model or checkpoint; parameters as in Darts.

        The weights move to another input length, output length, start token or dropout, except
        with `lookback_skip`, whose weights depend on the lengths.
        """
        with safe_globals(_SAFE_GLOBALS):
            super().load_weights_from_checkpoint(*args, **kwargs)


_SAFE_GLOBALS = [InformerModel, _InformerModule, TimeFeatures]
# Ensembles and conformal models load their parts by Darts' own loaders, outside of ours.
add_safe_globals(_SAFE_GLOBALS)
