"""The Informer as a Darts forecasting model: ``InformerModel``."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, Self, TypeVar

import pandas as pd
import torch
from darts import TimeSeries
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.models.forecasting.torch_forecasting_model import (
    MixedCovariatesTorchModel,
    TorchForecastingModel,
)
from darts.utils.data.torch_datasets.utils import TorchTrainingSample
from darts.utils.serialization import add_safe_globals

from informer_forecaster._network import InformerConfig
from informer_forecaster._network.config import (
    ARCHITECTURE,
    LARGEST_VALUE,
    LEARNING_RATE,
    LENGTHS,
    check_integer,
)

from ._darts_arguments import check_arguments
from ._darts_files import SavedWholeModel
from ._darts_likelihoods import moves_with_the_series
from ._darts_module import _InformerModule
from ._one_at_a_time import one_at_a_time
from ._sample_paths import numpy_seeded_as_torch
from ._validation import (
    as_list,
    check_inputs,
    check_length,
    check_one_path,
    check_static_covariates,
    check_type,
    check_weights,
    label,
)
from .pretrained import load_model, save_model
from .time_features import FloatArray, TimeFeatures, informative_features

Method = TypeVar("Method", bound=Callable[..., Any])


def _described_by(method: Any) -> Callable[[Method], Method]:
    """Give a method the signature and the documentation of Darts' own."""
    described: Any = wraps(method)
    return described


class InformerModel(SavedWholeModel):
    """The Informer of Zhou et al. (AAAI 2021) as a Darts model; see its constructor."""

    train_sample: Any  # Darts leaves these without a type
    trainer_params: Any

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
        activation: Literal["gelu", "relu"] = InformerConfig.activation,
        attention: str = InformerConfig.attention,
        sampling_factor: int = InformerConfig.sampling_factor,
        sparsity: Literal["sampled", "moment"] = InformerConfig.sparsity,
        distil: bool = InformerConfig.distil,
        num_encoder_stacks: int = InformerConfig.num_encoder_stacks,
        start_token_length: int | None = InformerConfig.start_token_length,
        patch_length: int | None = InformerConfig.patch_length,
        channel_independent: bool = InformerConfig.channel_independent,
        lookback_skip: bool = InformerConfig.lookback_skip,
        decoder_causal: bool = InformerConfig.decoder_causal,
        padding_mode: Literal["replicate", "circular"] = InformerConfig.padding_mode,
        time_features: bool | Literal["all"] = True,
        compile_network: bool = False,
        use_static_covariates: bool = True,
        use_reversible_instance_norm: bool | dict[str, Any] | None = None,
        early_stopping_patience: int | None = 3,
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
            Width of the tokens in encoder and decoder. Default: ``16``.
        nhead
            Number of attention heads; must divide `d_model`. Default: ``4``.
        num_encoder_layers
            Number of attention layers in the encoder. Default: ``2``.
        num_decoder_layers
            Number of layers in the decoder. Default: ``1``.
        dim_feedforward
            Width inside the position-wise feed-forward network. Default: ``64``.
        dropout
            Fraction of values dropped; also active at prediction with `mc_dropout=True`.
            Default: ``0.3``.
        activation
            Activation of the feed-forward network, ``"gelu"`` or ``"relu"``. Default: ``"gelu"``.
        attention
            Self-attention, ``"prob"`` (ProbSparse), ``"full"``, or a name given to
            :func:`~informer_forecaster.register_attention`. Default: ``"prob"``.
        sampling_factor
            How many queries ProbSparse attention keeps: ``sampling_factor * ceil(ln L)``. Larger is
            closer to full attention and slower. Default: ``5``.
        sparsity
            How ProbSparse attention ranks its queries: ``"sampled"`` by a sample of the keys,
            ``"moment"`` in closed form by the second moment of all keys. Default: ``"sampled"``.
        distil
            Whether the encoder halves the sequence between its layers. Default: ``True``.
        num_encoder_stacks
            Replica stacks of the encoder, each seeing the last half of the one before and having
            one layer fewer; ``3`` with three layers is the paper's InformerStack. Default: ``1``.
        start_token_length
            Number of last input steps that the decoder starts from, at most `input_chunk_length`;
            ``None`` for half of the input. Default: ``None``.
        patch_length
            Number of steps in one token, 1 in the paper; long patches make long inputs cheap.
            ``None`` for the longest, up to 24, that leave 16 tokens or more. Default: ``None``.
        channel_independent
            Whether each component of the target is forecast on its own, by shared weights;
            otherwise a token holds all components, as in the paper. Default: ``True``.
        lookback_skip
            Whether to add a linear map from the look-back window to the output. With point
            forecasts, quantiles and the likelihoods that have a location and a scale, the first
            `fit` sets it by ridge regression on the training windows, one map for all components
            or one for each, by cross-validation, and the network learns what it leaves; with
            others it is trained. Default: ``True``.
        decoder_causal
            Whether the decoder's self-attention is masked, as in the paper. Default: ``True``.
        padding_mode
            What the convolutions see beyond the ends of the sequence: ``"replicate"`` for the end
            value, ``"circular"`` for the other end as in the original code.
            Default: ``"replicate"``.
        time_features
            Whether calendar features are added to the future covariates of series with a
            DatetimeIndex; they need no input at prediction. The frequency chooses them, and
            ``True`` leaves those out whose cycle the training series do not cover twice, like the
            day of the year in a year of data; ``"all"`` keeps them, as the paper does. A series
            with an integer index gets none. They are future covariates to Darts: a data set that
            is given to `predict_from_dataset` has to hold them. Default: ``True``.
        compile_network
            Whether ``torch.compile`` runs the network: the first batch of each shape takes a minute
            or more, those after it are faster, mostly on a GPU. Default: ``False``.
        use_static_covariates
            Whether the model should use static covariate information in case the input `series`
            passed to `fit()` contain static covariates. Default: ``True``.
        use_reversible_instance_norm
            Whether each input window is normalised by its own mean and deviation, and the forecast
            scaled back. ``None`` is on for point forecasts, quantiles and the likelihoods that have
            a location and a scale (Gaussian, Laplace, Cauchy, Gumbel), and off for others, whose
            parameters do not move with the level of the series. The loss is in the units of the
            series all the same: scale series whose deviation is far below 1. Default: ``None``.
        early_stopping_patience
            Epochs (validations, where you set another interval for them) without a lower validation
            loss after which `fit` stops and goes back to the best weights, those that it began with
            included, if it is given a `val_series`; ``None`` to train all epochs and keep the last
            weights. An ``EarlyStopping`` among your callbacks takes its place. Default: ``3``.
        **kwargs
            Optional arguments to initialize the Lightning module, the Lightning trainer, and Darts'
            :class:`TorchForecastingModel`: `loss_fn`, `likelihood`, `torch_metrics`,
            `optimizer_cls`, `optimizer_kwargs`, `lr_scheduler_cls`, `lr_scheduler_kwargs`,
            `batch_size`, `n_epochs`, `model_name`, `work_dir`, `log_tensorboard`,
            `nr_epochs_val_period`, `force_reset`, `save_checkpoints`, `add_encoders`,
            `random_state`, `pl_trainer_kwargs`, `show_warnings`, `enable_finetuning`. They are
            described in the documentation of Darts' `TransformerModel`. Unless you choose, the
            optimizer is Adam at a learning rate of ``2e-4`` (another `optimizer_cls` keeps its
            own), which rises over the first 100 steps, or a tenth of all if these are fewer, and
            falls to zero along half a cosine over the epochs (`lr_scheduler_cls` takes its place),
            and the norm of the gradient is clipped at 1 (``gradient_clip_val`` in
            `pl_trainer_kwargs`; 0 for no clipping).

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
        architecture = {k: v for k, v in arguments.items() if k in ARCHITECTURE}
        config = InformerConfig(
            input_chunk_length, output_chunk_length, num_targets=1, **architecture
        )
        check_arguments(arguments)
        # The checked values are Python's own numbers, as a checkpoint needs them.
        arguments.update({name: getattr(config, name) for name in LENGTHS})
        self._architecture = {name: getattr(config, name) for name in ARCHITECTURE}
        # Darts seeds torch's one generator here and puts it back, under another thread's training.
        one_at_a_time(super().__init__)(**self._extract_torch_model_params(**arguments))
        if use_reversible_instance_norm is None:
            use_reversible_instance_norm = moves_with_the_series(arguments.get("likelihood"))
        if use_reversible_instance_norm is True:
            # Darts' own, 1e-5, would hide the windows of a series whose deviation is below 0.01.
            # Without a transform of its own: the linear map then forecasts as regression found it.
            use_reversible_instance_norm = {"eps": 1e-12, "affine": False}
        arguments["use_reversible_instance_norm"] = use_reversible_instance_norm
        optimizer_kwargs = arguments.get("optimizer_kwargs") or {}
        if arguments.get("optimizer_cls", torch.optim.Adam) is torch.optim.Adam:
            optimizer_kwargs = {"lr": LEARNING_RATE, **optimizer_kwargs}
        arguments["optimizer_kwargs"] = optimizer_kwargs
        self.pl_module_params = self._extract_pl_module_params(**arguments)
        self.pl_module_params["early_stopping_patience"] = arguments["early_stopping_patience"]
        self._compile_network = compile_network
        self._time_features = time_features
        self._user_encoders = self.add_encoders
        self._considers_static_covariates = use_static_covariates

    @classmethod
    def paper(cls, input_chunk_length: int, output_chunk_length: int, **kwargs: Any) -> Self:
        """Make the model with the architecture and the training of the original experiments.

        Point tokens of width 512, channels mixed, no instance norm, so scale the series first.
        Adam at 1e-4, halved after every epoch, six epochs of batches of 32. The paper stops early
        after three epochs without a better validation loss: give a validation series to `fit`.

        Parameters
        ----------
        input_chunk_length, output_chunk_length
            Look-back and horizon in steps.
        **kwargs
            Arguments of the constructor that differ from the paper's.

        Examples
        --------
        >>> from informer_forecaster import InformerModel
        >>> InformerModel.paper(96, 24).model_params["d_model"]
        512
        """
        config = InformerConfig.paper(
            input_chunk_length=input_chunk_length,
            output_chunk_length=output_chunk_length,
            num_targets=1,
        )
        architecture = {name: getattr(config, name) for name in ARCHITECTURE}
        training = {
            "use_reversible_instance_norm": False,
            "optimizer_kwargs": {"lr": 1e-4},
            "lr_scheduler_cls": torch.optim.lr_scheduler.ExponentialLR,
            "lr_scheduler_kwargs": {"gamma": 0.5},
            "batch_size": 32,
            "n_epochs": 6,
            "early_stopping_patience": 3,
            "time_features": "all",
        }
        arguments = {**architecture, **training, **kwargs}
        no_clipping = {"gradient_clip_val": 0.0}
        arguments["pl_trainer_kwargs"] = {**no_clipping, **(kwargs.get("pl_trainer_kwargs") or {})}
        return cls(input_chunk_length, output_chunk_length, **arguments)

    @property
    def supports_static_covariates(self) -> bool:
        """Whether static covariates can be used: they can."""
        return True

    def _create_model(self, train_sample: TorchTrainingSample) -> PLForecastingModule:
        widths = train_sample.component_dims()
        return _InformerModule(
            num_targets=widths["past_target"],
            num_past_covariates=widths["past_covariates"] or 0,
            num_future_covariates=widths["future_covariates"] or 0,
            num_static_covariates=self._num_static(train_sample.static_covariates),
            num_parameters=1 if self.likelihood is None else self.likelihood.num_parameters,
            compile_network=self._compile_network,
            **self._architecture,
            **self.pl_module_params,
        )

    def _num_static(self, static: FloatArray | None) -> int:
        """Static numbers of a sample, from ``(C or 1, S)``: all, or those of one component."""
        if static is None:
            return 0
        return static.shape[1] if self._architecture["channel_independent"] else static.size

    # Calendar features

    def _encoders_with(self, features: TimeFeatures | None) -> dict[str, Any] | None:
        """The user's encoders, and ``features`` as a further one."""
        if features is None:
            return self._user_encoders
        encoders = dict(self._user_encoders or {})
        custom = dict(encoders.get("custom") or {})
        custom["future"] = [*custom.get("future", []), features]
        return {**encoders, "custom": custom}

    def _choose_time_features(self, series: list[TimeSeries]) -> TimeFeatures | None:
        """The features that suit all series, or none for an integer index."""
        if not self._time_features:
            return None
        names, *others = (
            informative_features(one.freq) if one.has_datetime_index else () for one in series
        )
        differing = next((i for i, other in enumerate(others, start=1) if other != names), None)
        if differing is not None:
            raise ValueError(
                "`series` must have one kind of time index for `time_features`; got steps of "
                f"{series[0].freq_str} and, in series[{differing}], {series[differing].freq_str}. "
                "Resample them, or choose `time_features=False`."
            )
        if self.model is None:
            if names and self._time_features is True:
                span = max(one.end_time() + one.freq - one.start_time() for one in series)
                names = informative_features(series[0].freq, span)
            return TimeFeatures(names) if names else None
        features = _time_features_in(self.add_encoders)
        # The longest cycles come last: a short first fit left these out.
        if features is not None and features.names != names[: len(features.names)]:
            raise ValueError(
                f"`series` must have the calendar features that the weights were trained with, "
                f"{features}; got steps of {series[0].freq_str}. Train a new model, or, for "
                "weights that suit every step, train them with `time_features=False`."
            )
        return features

    def _load_encoders(self, tfm_save: TorchForecastingModel, load_encoders: bool) -> Any:
        self.add_encoders = self._encoders_with(_time_features_in(tfm_save.add_encoders))
        encoders, add_encoders = super()._load_encoders(tfm_save, load_encoders)
        for encoder in (*encoders.past_encoders, *encoders.future_encoders):
            # The saved model's lengths may differ from this model's.
            encoder.index_generator.input_chunk_length = self.input_chunk_length
            encoder.index_generator.output_chunk_length = self._target_window_lengths[1]
        return encoders, add_encoders

    # Checks before work starts

    def _setup_for_fit_from_dataset(self, series: Any, **kwargs: Any) -> Any:
        check_type("series", series, required=True)
        self._check_precision(kwargs.get("trainer"))
        largest = self._largest_value(as_list(series)[0], kwargs.get("trainer"))
        features = self._choose_time_features(as_list(series))
        for prefix, target in (("", series), ("val_", kwargs.get("val_series"))):
            check_type(f"{prefix}series", target)
            check_inputs(
                self._trained_part(target, kwargs.get("max_samples_per_ts"), kwargs.get("stride")),
                kwargs.get(f"{prefix}past_covariates"),
                kwargs.get(f"{prefix}future_covariates"),
                largest=largest,
                prefix=prefix,
                past_steps_ahead=-self._target_window_lengths[1],
            )
            check_length(
                f"{prefix}series",
                target,
                sum(self._target_window_lengths),
                "input_chunk_length + output_chunk_shift + output_chunk_length",
            )
            future = f"{prefix}future_covariates"
            if features is not None:
                check_one_path(future, kwargs.get(future))
            check_weights(f"{prefix}sample_weight", kwargs.get(f"{prefix}sample_weight"))
            if self.considers_static_covariates:
                check_static_covariates(f"{prefix}series", target)
        self.add_encoders = self._encoders_with(features)
        return super()._setup_for_fit_from_dataset(series=series, **kwargs)

    def _trained_part(self, series: Any, samples: int | None, stride: int | None) -> Any:
        """The end of each series that its last ``samples`` windows, ``stride`` apart, lie in."""
        if samples is None:
            return series
        used = sum(self._target_window_lengths) + (samples - 1) * (stride or 1)
        return [one[-used:] for one in as_list(series)]

    def _check_precision(self, trainer: Any) -> None:
        """Raise where Adam would divide zero by zero: its `eps` of 1e-8 is 0 in half precision."""
        optimizer = self.pl_module_params.get("optimizer_cls", torch.optim.Adam)
        parameter = inspect.signature(optimizer).parameters.get("eps")
        default = None if parameter is None else parameter.default
        eps = self.pl_module_params["optimizer_kwargs"].get("eps", default)
        if self._precision(trainer) == "16-true" and isinstance(eps, float) and eps < 1e-7:
            raise ValueError(
                "`precision` of the trainer must not be '16-true' with an `eps` of the optimizer "
                f"below 1e-7, which is 0 there; got {eps}. Choose '16-mixed' or 'bf16-true', or "
                "give `optimizer_kwargs={'eps': 1e-4}`."
            )

    def _precision(self, trainer: Any) -> Any:
        """The number format that a trainer, by default the model's own, asks for."""
        return self.trainer_params.get("precision") if trainer is None else trainer.precision

    def _largest_value(self, series: TimeSeries, trainer: Any = None) -> float:
        """Largest value for the number format that the network has, or will have by ``series``."""
        given = self._precision(trainer)
        wide = "64" in str(series.dtype if given is None else given)
        if self.model is not None:
            wide = self.model.dtype == torch.float64
        return LARGEST_VALUE[64 if wide else 32]

    def _train(
        self, trainer: Any, model: PLForecastingModule, datamodule: Any, load_best: bool = False
    ) -> None:
        # The best weights will be in, those of the start among them, of which there is no file.
        keeps_best = model.keeps_best_weights(trainer) and len(datamodule.val_dataloader()) > 0
        with numpy_seeded_as_torch():
            super()._train(trainer, model, datamodule, load_best and not keeps_best)
        if load_best and keeps_best:
            model.count_epochs_of_the_best()

    def _predict(self, *args: Any, **kwargs: Any) -> Any:
        with numpy_seeded_as_torch():
            return super()._predict(*args, **kwargs)

    # Darts keeps trainer, covariates and seed on the model: threads would mix up each other's.

    fit = one_at_a_time(MixedCovariatesTorchModel.fit)
    fit_from_dataset = one_at_a_time(MixedCovariatesTorchModel.fit_from_dataset)
    predict_from_dataset = one_at_a_time(MixedCovariatesTorchModel.predict_from_dataset)

    def _setup_for_predict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        # On several devices each process would return the forecasts of its share of the series.
        given = self.trainer_params
        devices = given.get("devices")
        devices = devices[:1] if isinstance(devices, list) else 1
        self.trainer_params = {**given, "devices": devices, "num_nodes": 1, "strategy": "auto"}
        try:
            prepared: dict[str, Any] = super()._setup_for_predict(*args, **kwargs)
        finally:
            self.trainer_params = given
        return prepared

    # Darts looks into the series before it calls a hook.

    @one_at_a_time
    @_described_by(MixedCovariatesTorchModel.predict)
    def predict(self, n: int, series: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments and forecast."""
        check_integer("n", n, minimum=1)
        check_type("series", series, required=series is not None)
        return super().predict(n, series, *args, **kwargs)

    @one_at_a_time
    @_described_by(MixedCovariatesTorchModel.historical_forecasts)
    def historical_forecasts(self, series: Any, *args: Any, **kwargs: Any) -> Any:
        """Check the series and forecast at many origins."""
        check_type("series", series, required=True)
        signature = inspect.signature(MixedCovariatesTorchModel.historical_forecasts)
        given = signature.bind_partial(self, series, *args, **kwargs).arguments
        if given.get("retrain", True) is False:
            self._check_covariates_given(given)
        return super().historical_forecasts(series, *args, **kwargs)

    def _setup_for_predict_from_dataset(
        self, n: int, series: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        target = self.training_series if series is None else series
        check_length("series", target, self.input_chunk_length, "input_chunk_length")
        self._check_covariates_given(kwargs)
        prepared: dict[str, Any] = super()._setup_for_predict_from_dataset(
            n=n, series=series, **kwargs
        )
        return prepared

    def _check_covariates_given(self, given: dict[str, Any]) -> None:
        """Raise unless covariates are those of training; Darts looks after it added encodings."""
        for name in ("past_covariates", "future_covariates"):
            check_type(name, given.get(name))
        if _time_features_in(self.add_encoders) is not None:
            check_one_path("future_covariates", given.get("future_covariates"))
        if self.train_sample is None or self.encoders is None:
            return
        widths = self.train_sample.component_dims()
        past_encoded, future_encoded = self.encoders.encoding_n_components
        for name, encoded, known in (
            ("past_covariates", past_encoded, self.past_covariate_series),
            ("future_covariates", future_encoded, self.future_covariate_series),
        ):
            expected = (widths[name] or 0) - encoded
            for position, one in enumerate(as_list(given.get(name))):
                if one.n_components != expected:
                    remedy = "Give those of the training." if expected else "Leave them out."
                    raise ValueError(
                        f"{label(name, given[name], position)} must have {expected} components, as "
                        f"in training; got {one.n_components}. {remedy}"
                    )
            if expected > 0 and given.get(name) is None and known is None:
                raise ValueError(
                    f"`{name}` must be given, as the model was trained with {expected} of them; "
                    "got None. Pass the series that continue those of the training."
                )

    def _build_inference_dataset(
        self,
        n: int,
        series: Any,
        past_covariates: Any,
        future_covariates: Any,
        stride: int = 0,
        bounds: Any = None,
    ) -> Any:
        # Forecasts start at the end of a series, or in a backtest within its bounds, both included.
        spans = [(len(one), len(one)) for one in series] if bounds is None else bounds
        past_ahead = max(n - self.output_chunk_length, 0)
        future_ahead = max(n, self.output_chunk_length) + self.output_chunk_shift
        check_inputs(
            [
                one[first - self.input_chunk_length : last]
                for one, (first, last) in zip(series, spans, strict=True)
            ],
            past_covariates,
            future_covariates,
            largest=self._largest_value(series[0]),
            past_steps_ahead=past_ahead,
            future_steps_ahead=future_ahead,
            remedy=(
                f"To forecast {n} steps in chunks of {self.output_chunk_length}, past covariates "
                f"are used to {past_ahead} steps after the series' end, future ones to "
                f"{future_ahead}. Give the missing steps, or a smaller `n`."
            ),
        )
        if self.uses_static_covariates:
            check_static_covariates("series", series)
        return super()._build_inference_dataset(
            n, series, past_covariates, future_covariates, stride=stride, bounds=bounds
        )

    # Loading

    @property
    def _ckpt_skipped_params(self) -> list[str]:
        # Nothing in the network depends on these: its weights move between them.
        free = ["input_chunk_length", "output_chunk_length", "start_token_length", "dropout"]
        free += ["compile_network", "early_stopping_patience", "patch_length"]
        return [*super()._ckpt_skipped_params, *free]

    def _check_ckpt_parameters(self, tfm_save: TorchForecastingModel) -> None:
        super()._check_ckpt_parameters(tfm_save)
        # Where none was chosen it follows from the input length, which may be another one there.
        saved = tfm_save._architecture["patch_length"]
        if self.model_params.get("patch_length") is None:
            self._architecture["patch_length"] = saved
            if "patch_length" in self.model_params:
                self.model_params["patch_length"] = saved
        elif self._architecture["patch_length"] != saved:
            raise ValueError(
                f"`patch_length` must be that of the saved weights, {saved}; got "
                f"{self._architecture['patch_length']}. Give that number, or leave it out."
            )

    # Exchange: files that hold data only, and are read without unpickling

    @one_at_a_time
    @_described_by(MixedCovariatesTorchModel.to_onnx)
    def to_onnx(self, path: str | None = None, **kwargs: Any) -> None:
        """Export in single precision, as no runtime has a convolution in another one."""
        module = self.model
        if module is None or module.dtype == torch.float32:
            super().to_onnx(path, **kwargs)
            return
        dtype, weights = module.dtype, copy.deepcopy(module.state_dict())
        try:
            module.float()
            super().to_onnx(path, **kwargs)
        finally:
            module.to(dtype).load_state_dict(weights)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write the network as data: config.json and model.safetensors, nothing pickled.

        What a forecast depends on goes to the files: the weights, the arguments of the network and
        the names of the calendar features. Series, and what only a training needs (loss, optimizer,
        schedule), stay behind: give the loaded model a `series`. A pretrained model that is there
        is replaced once the new one is on the disk.

        Parameters
        ----------
        directory : str or os.PathLike
            A directory; other files in it are left alone.

        Raises
        ------
        ValueError
            If the model is not fitted, has `add_encoders` of yours, or an argument is no data (a
            likelihood of one's own), or if `directory` has a file of one of the two names that this
            package did not write.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from darts.utils.timeseries_generation import sine_timeseries
        >>> from informer_forecaster import InformerModel
        >>> quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        >>> series = sine_timeseries(length=60, freq="h")
        >>> model = InformerModel(24, 12, d_model=8, n_epochs=1, pl_trainer_kwargs=quiet)
        >>> model = model.fit(series)
        >>> with TemporaryDirectory() as directory:
        ...     model.save_pretrained(directory)
        ...     loaded = InformerModel.from_pretrained(directory, pl_trainer_kwargs=quiet)
        >>> loaded.predict(12, series) == model.predict(12, series)
        True
        """
        save_model(self, directory)

    @classmethod
    @one_at_a_time
    def from_pretrained(cls, directory: str | os.PathLike[str], **kwargs: Any) -> Self:
        """Make the model that :meth:`save_pretrained` wrote, without unpickling anything.

        A directory from a stranger can at worst hold a bad forecaster.

        Parameters
        ----------
        directory : str or os.PathLike
            Where the files are.
        **kwargs
            Arguments of the constructor that the weights do not depend on: how it runs
            (`pl_trainer_kwargs`, `work_dir`, ...) and how it is trained further (`n_epochs`,
            `optimizer_kwargs`, `loss_fn`, ...).

        Raises
        ------
        ValueError
            If a file is missing, damaged or of an unknown version, the weights do not fit the
            configuration, or an argument belongs to the trained model.

        Examples
        --------
        See :meth:`save_pretrained`.
        """
        model: Self = load_model(cls, directory, kwargs)
        return model


def _time_features_in(encoders: dict[str, Any] | None) -> TimeFeatures | None:
    """The calendar features among a model's encoders."""
    future = (encoders or {}).get("custom", {}).get("future", [])
    return next((encoder for encoder in future if isinstance(encoder, TimeFeatures)), None)


def calendar_names(model: InformerModel) -> tuple[str, ...]:
    """Names of the calendar features of a fitted model: its last future covariates."""
    features = _time_features_in(model.add_encoders)
    return () if features is None else features.names


# Darts' own loaders, among them those of ensembles and conformal models, refuse strange classes. To
# Darts 0.48.0 the tables of static covariates are strange too.
add_safe_globals([InformerModel, _InformerModule, TimeFeatures, pd.DataFrame, pd.Series])
