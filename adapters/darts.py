"""The Informer as a Darts forecasting model: ``InformerModel``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Literal, Self, TypeAlias

from darts import TimeSeries
from darts.dataprocessing.encoders import SequentialEncoder
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.models.forecasting.torch_forecasting_model import (
    TorchForecastingModel,
)
from darts.typing import TimeSeriesLike
from darts.utils.data import TorchInferenceDataset, TorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchTrainingSample
from darts.utils.serialization import add_safe_globals

from informer_forecaster._checks import (
    Arguments,
    arguments_of,
    check_integer,
    check_unknown,
    received_by_name,
)
from informer_forecaster._network import InformerConfig
from informer_forecaster._network.config import ARCHITECTURE, LENGTHS
from informer_forecaster._threads import one_at_a_time
from informer_forecaster._training.defaults import N_EPOCHS, Patience, enough_epochs
from informer_forecaster._training.recipe import PAPER, stoppers_of_the_user
from informer_forecaster.time_features import FloatArray, TimeFeatures

from ._darts_arguments import check_arguments
from ._darts_checks import (
    check_forecast,
    check_training,
    check_training_data,
    check_windows,
    warn_of_equal_paths,
)
from ._darts_files import SavedWholeModel
from ._darts_likelihoods import moves_with_the_series
from ._darts_module import _InformerModule
from ._darts_private import LoadsWeights
from ._darts_series import (
    INPUTS,
    Columns,
    add_calendar,
    as_list,
    columns_of,
    fit_lengths,
    hold_back,
    suitable_features,
)
from ._darts_values import check_type

Backtest: TypeAlias = TimeSeries | list[TimeSeries] | list[list[TimeSeries]]


@one_at_a_time(
    *("fit", "fit_from_dataset", "lr_find", "to_onnx"),
    *("predict", "predict_from_dataset", "historical_forecasts"),
)
class InformerModel(LoadsWeights, SavedWholeModel):
    """The Informer of Zhou et al. (AAAI 2021) as a Darts model; see its constructor."""

    train_sample: Any  # Darts leaves these without a type
    trainer_params: Any

    @received_by_name
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
        token_dropout: float = InformerConfig.token_dropout,
        activation: Literal["gelu", "relu"] = InformerConfig.activation,
        attention: str = InformerConfig.attention,
        sampling_factor: int = InformerConfig.sampling_factor,
        sparsity: Literal["sampled", "moment"] = InformerConfig.sparsity,
        cross_attention: Literal["full", "prob"] = InformerConfig.cross_attention,
        distil: bool = InformerConfig.distil,
        num_encoder_stacks: int = InformerConfig.num_encoder_stacks,
        start_token_length: int | None = InformerConfig.start_token_length,
        patch_length: int | None = InformerConfig.patch_length,
        channel_independent: bool = InformerConfig.channel_independent,
        covariate_effects: bool = InformerConfig.covariate_effects,
        lookback_skip: bool = InformerConfig.lookback_skip,
        decoder_causal: bool = InformerConfig.decoder_causal,
        padding_mode: Literal["replicate", "circular"] = InformerConfig.padding_mode,
        time_features: bool | Literal["all"] = True,
        compile_network: bool = False,
        use_static_covariates: bool = True,
        use_reversible_instance_norm: bool | dict[str, Any] | None = None,
        early_stopping_patience: Patience = "auto",
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
            model cannot roll out, and is shown no covariates of the steps between. Default: ``0``.
        d_model
            Width of the tokens in encoder and decoder. Default: ``32``.
        nhead
            Number of attention heads; must divide `d_model`. Default: ``4``.
        num_encoder_layers
            Number of attention layers in the encoder. Default: ``2``.
        num_decoder_layers
            Number of layers in the decoder. Default: ``1``.
        dim_feedforward
            Width inside the position-wise feed-forward network. Default: ``128``.
        dropout
            Fraction of values dropped in hidden layers; also active at prediction with
            `mc_dropout=True`. Default: ``0.05``.
        token_dropout
            Fraction dropped of the numbers of tokens: after the embedding, of what a layer adds to
            them, and of attention weights, as in the paper. It gained nothing in our measurements,
            and takes time. Default: ``0.0``.
        activation
            Activation of hidden layers, ``"gelu"`` as in the original code or ``"relu"``, which is
            faster. Default: ``"relu"``.
        attention
            Self-attention, ``"prob"`` (ProbSparse), ``"full"``, or a name given to
            :func:`~informer_forecaster.register_attention`. Default: ``"prob"``.
        sampling_factor
            How many queries ProbSparse attention keeps: ``sampling_factor * ceil(ln L)``. Larger is
            closer to full attention and slower. Default: ``5``.
        sparsity
            How ProbSparse attention ranks its queries: ``"sampled"`` by a sample of the keys,
            ``"moment"`` in closed form by the second moment of all keys, which gives the others a
            first-order attention in the place of a mean. Default: ``"moment"``.
        cross_attention
            Attention of the decoder to the encoder: ``"full"``, as in the paper, or ``"prob"``,
            ProbSparse as by ``sparsity="moment"``, whose cost grows linearly where look-back and
            horizon grow. Default: ``"full"``.
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
            otherwise a token holds all components, as in the paper. Where one follows another, give
            the target as `past_covariates` too. Default: ``True``.
        covariate_effects
            Whether the first `fit` finds, by regression, what covariates add to each step by
            themselves: future covariates by their value, by averages of the values before it and by
            the calendar, and past ones by their last steps. These effects are taken off the
            look-back before the linear map reads it, and put on its forecast. They are in the unit
            of the training series. For models with `lookback_skip` that it sets. Default: ``True``.
        lookback_skip
            Whether to add a linear map from the look-back window to the output. With point
            forecasts, quantiles and the likelihoods that have a location and a scale, the first
            `fit` sets it by ridge regression on the training windows, one map for all components
            or their own, by cross-validation. The network learns the series by itself, and the
            forecast is a mean of both, by the share with which the windows that validate are
            forecast best. With other likelihoods the map is trained. Of more than 1024 steps, fewer
            of many components, the older ones are pooled. Default: ``True``.
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
            loss of the network after which `fit` stops and goes back to its best weights; then it
            is weighed against the linear forecast. Without a `val_series` the last eighth of the
            windows of each series validates, if enough others are left: the network does not learn
            from them, the linear forecast and the effects do.
            ``None`` to train all epochs on all windows and keep the last weights. ``"auto"`` is 5,
            or a quarter of the epochs where this is more. An ``EarlyStopping`` among your callbacks
            ends the training in its place. Default: ``"auto"``.
        **kwargs
            Optional arguments to initialize the Lightning module, the Lightning trainer, and Darts'
            :class:`TorchForecastingModel`: `loss_fn`, `likelihood`, `torch_metrics`,
            `optimizer_cls`, `optimizer_kwargs`, `lr_scheduler_cls`, `lr_scheduler_kwargs`,
            `batch_size`, `n_epochs`, `model_name`, `work_dir`, `log_tensorboard`,
            `nr_epochs_val_period`, `force_reset`, `save_checkpoints`, `add_encoders`,
            `random_state`, `pl_trainer_kwargs`, `show_warnings`, `enable_finetuning`. They are
            described in the documentation of Darts' `TransformerModel`. Unless you choose, the
            optimizer is Adam at a learning rate of ``3e-3``, less in proportion where `d_model` is
            above 32 (another `optimizer_cls` keeps its own), for 10 epochs. Where windows validate
            and 10 epochs are fewer than 3000 steps, as many epochs as make 3000 steps are trained,
            100 at most. A training of more than 3000 steps has half of the rate. The rate rises
            over the first 100 steps, or a tenth of all if these are fewer, and falls to zero along
            half a cosine over the epochs (`lr_scheduler_cls` takes its place). The norm of the
            gradient is clipped at 1 (``gradient_clip_val`` in `pl_trainer_kwargs`; 0 for no
            clipping).

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
        >>> model = InformerModel(48, 24, d_model=16, n_epochs=1)
        >>> model.fit(series, verbose=False).predict(24, verbose=False).shape
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
        check_unknown(type(self), kwargs, PLForecastingModule)
        arguments: Arguments = self.__dict__.pop("_received")
        self._chooses_epochs = arguments.get("n_epochs") is None
        if self._chooses_epochs:
            arguments["n_epochs"] = N_EPOCHS
        architecture = {k: v for k, v in arguments.items() if k in ARCHITECTURE}
        config = InformerConfig(
            input_chunk_length,
            output_chunk_length,
            num_targets=1,
            output_chunk_shift=output_chunk_shift,
            **architecture,
        )
        check_arguments(arguments)
        # The checked values are Python's own numbers, as a checkpoint needs them.
        arguments.update({name: getattr(config, name) for name in LENGTHS})
        self._architecture = {name: getattr(config, name) for name in ARCHITECTURE}
        super().__init__(**self._extract_torch_model_params(**arguments))
        if use_reversible_instance_norm is None:
            use_reversible_instance_norm = moves_with_the_series(arguments.get("likelihood"))
        if use_reversible_instance_norm is True:
            # Darts' own, 1e-5, would hide the windows of a series whose deviation is below 0.01.
            # Without a transform of its own: the linear map then forecasts as regression found it.
            use_reversible_instance_norm = {"eps": 1e-12, "affine": False}
        arguments["use_reversible_instance_norm"] = use_reversible_instance_norm
        arguments["optimizer_kwargs"] = arguments.get("optimizer_kwargs") or {}
        self.pl_module_params = self._extract_pl_module_params(**arguments)
        self.pl_module_params["early_stopping_patience"] = arguments["early_stopping_patience"]
        self._compile_network = compile_network
        self._time_features = time_features
        self._calendar: TimeFeatures | None = None
        self._columns: Columns = {}
        self._own_calendar = 0  # columns of one's own that are the calendar's, as in sktime
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
            **{name: value for name, value in kwargs.items() if name in ARCHITECTURE},
        )
        architecture = {name: getattr(config, name) for name in ARCHITECTURE}
        arguments = {**PAPER, **kwargs, **architecture}
        trainer = {**PAPER["pl_trainer_kwargs"], **(kwargs.get("pl_trainer_kwargs") or {})}
        arguments["pl_trainer_kwargs"] = trainer
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
            num_calendar_features=num_calendar_features(self),
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

    # Calendar features are encoders of ours, which `add_encoders` does not show.

    @property
    def window_lengths(self) -> tuple[int, int]:
        """Steps before and after the forecast origin that a window of the training holds."""
        return self.input_chunk_length, self.output_chunk_shift + self.output_chunk_length

    def initialize_encoders(self, default: bool = False) -> SequentialEncoder:
        """Make the encoders of `add_encoders` and those of the calendar, once it is chosen."""
        if default or self._calendar is None:
            return super().initialize_encoders(default)
        return add_calendar(self.add_encoders, self._calendar, self.window_lengths)

    # Public doors: checks, before Darts begins to work

    def fit(self, series: TimeSeriesLike, *args: object, **kwargs: object) -> Self:
        """Check what is given and train."""
        given = arguments_of(super().fit, series, *args, **kwargs)
        self._learn_from(given)
        super().fit(**given)
        return self

    def lr_find(self, series: TimeSeriesLike, *args: object, **kwargs: object) -> object:
        """Check what is given and try learning rates."""
        given = arguments_of(super().lr_find, series, *args, **kwargs)
        self._learn_from(given)
        return super().lr_find(**given)

    def fit_from_dataset(
        self, train_dataset: TorchTrainingDataset, *args: object, **kwargs: object
    ) -> Self:
        """Check what is given and train."""
        given = arguments_of(super().fit_from_dataset, train_dataset, *args, **kwargs)
        if self.model is None and not self._columns:
            every = {name: getattr(train_dataset, name, None) for name in INPUTS}
            self._columns = columns_of(every, {})
        check_training_data(self, given)
        callbacks = self.trainer_params.get("callbacks") or []
        if given.get("trainer") is not None:
            callbacks = given["trainer"].callbacks
        keeps_best = self.pl_module_params["early_stopping_patience"] is not None
        own = stoppers_of_the_user(callbacks)
        needs_windows = keeps_best and all(each.monitor == "val_loss" for each in own)
        if needs_windows and given.get("val_dataset") is None:
            given |= hold_back(train_dataset, given.get("dataloader_kwargs"))
        keeps_best &= given.get("val_dataset") is not None
        if self._chooses_epochs and keeps_best and not given.get("epochs"):
            given["epochs"] = enough_epochs(len(given["train_dataset"]), self.batch_size)
        takes_best = given.get("load_best") and keeps_best
        if takes_best:
            # The recipe puts the best weights back: Darts need not read them from their file.
            given["load_best"] = False
        super().fit_from_dataset(**given)
        if takes_best:
            self.model.count_epochs_of_the_best()
        return self

    def predict(
        self, n: int, series: TimeSeriesLike | None = None, *args: object, **kwargs: object
    ) -> TimeSeriesLike:
        """Check what is given and forecast."""
        if not isinstance(n, Integral | float | str | None):
            raise ValueError(
                f"`n` must be an integer of at least 1; got {type(n).__name__}. Call "
                "`predict(n, series)`, with the number of steps first."
            )
        given = arguments_of(super().predict, n, series, *args, **kwargs)
        given["n"] = check_integer("n", n, minimum=1)
        check_forecast(self, given)
        warn_of_equal_paths(self, given)
        return super().predict(**given)

    def historical_forecasts(
        self, series: TimeSeriesLike, *args: object, **kwargs: object
    ) -> Backtest:
        """Check what is given and forecast at many origins."""
        given = arguments_of(super().historical_forecasts, series, *args, **kwargs)
        check_type("series", series, required=True)
        if given.get("retrain", True) is False and not given.get("data_transformers"):
            check_forecast(self, given)
        return super().historical_forecasts(**given)

    def predict_from_dataset(
        self, n: int, dataset: TorchInferenceDataset, *args: object, **kwargs: object
    ) -> list[TimeSeries] | tuple[FloatArray, list[object], list[object]]:
        """Check what is given and forecast."""
        given = arguments_of(super().predict_from_dataset, n, dataset, *args, **kwargs)
        check_windows(self, given)
        with self._on_one_device():
            return super().predict_from_dataset(**given)

    def _learn_from(self, given: Arguments) -> None:
        """Check the arguments of a training, and note what it learns from."""
        for name in INPUTS:
            check_type(name, given.get(name), required=name == "series")
            check_type(f"val_{name}", given.get(f"val_{name}"))
        calendar, known = self._calendar, self._columns
        if self.model is None:
            calendar, known = suitable_features(as_list(given["series"]), self._time_features), {}
        columns = columns_of(given, known)
        check_training(self, given, calendar, columns)
        self._calendar, self._columns = calendar, columns

    @contextmanager
    def _on_one_device(self) -> Iterator[None]:
        """On several devices each process would return the forecasts of its share of the series."""
        given = self.trainer_params
        devices = given.get("devices")
        devices = devices[:1] if isinstance(devices, list) else 1
        self.trainer_params = {**given, "devices": devices, "num_nodes": 1, "strategy": "auto"}
        try:
            yield
        finally:
            self.trainer_params = given

    # Loading

    @property
    def _ckpt_skipped_params(self) -> list[str]:
        # Nothing in the network depends on these: its weights move between them.
        free = ["input_chunk_length", "output_chunk_length", "start_token_length", "dropout"]
        free += ["token_dropout", "compile_network", "early_stopping_patience", "patch_length"]
        return [*super()._ckpt_skipped_params, *free]

    def take_over(self, saved: TorchForecastingModel) -> None:
        """Take over the calendar and the columns of a saved model, and the length of its patches.

        Raises
        ------
        ValueError
            If this model was given patches of another length.
        """
        if not isinstance(saved, InformerModel):
            return  # Darts names the arguments that differ
        length = saved._architecture["patch_length"]
        # Where none was chosen it follows from the input length, which may be another one there.
        if self.model_params.get("patch_length") not in (None, length):
            raise ValueError(
                f"`patch_length` must be that of the saved weights, {length}; got "
                f"{self.model_params['patch_length']}. Give that number, or leave it out."
            )
        self._architecture["patch_length"] = length
        if "patch_length" in self.model_params:
            self.model_params["patch_length"] = length
        self._calendar, self._columns = saved._calendar, saved._columns
        # The saved model's lengths may be others.
        fit_lengths(saved.encoders, self.window_lengths)


def calendar_names(model: InformerModel) -> tuple[str, ...]:
    """Names of the calendar features of a fitted model: its last future covariates."""
    return () if model._calendar is None else model._calendar.names


def num_calendar_features(model: InformerModel) -> int:
    """Calendar features among the future covariates, the last ones: the model's or sktime's."""
    return model._own_calendar or len(calendar_names(model))


# Darts' own loaders, among them those of ensembles and conformal models, refuse strange classes.
add_safe_globals([InformerModel, _InformerModule, TimeFeatures])
