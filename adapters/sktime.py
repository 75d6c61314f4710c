"""The Informer as a sktime forecaster: ``InformerForecaster``."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon
from sktime.utils.warnings import warn

from informer_forecaster._network import InformerConfig
from informer_forecaster._threads import one_at_a_time
from informer_forecaster._training.defaults import Patience

from ._sktime_columns import Columns, make_columns
from ._sktime_files import SavedForecaster
from ._sktime_frames import (
    Float64Array,
    Instance,
    Key,
    as_known,
    join_known,
    label_rows,
    make_instances,
    select_columns,
)
from ._sktime_parameters import (
    AFTER_TRAINING,
    architecture,
    check_parameters,
    complete_quantiles,
    given_rate,
    interpolate_quantiles,
)
from ._sktime_private import Fh, Table
from ._sktime_time import (
    Positions,
    Times,
    check_kind,
    labels_at,
    listed,
    read_horizon,
    steps_ahead,
)

if TYPE_CHECKING:
    from informer_forecaster.explain import Explanation

    from ._sktime_network import SharedNetwork


# Whose frames stand between a user's call and a warning.
_NOT_THE_CALLER = ("informer_forecaster.", "sktime.", "contextlib")


@one_at_a_time(
    *("fit", "pretrain", "update", "explain", "fit_predict", "update_predict_single"),
    *("predict", "predict_quantiles", "predict_interval", "predict_var", "predict_proba"),
)
@dataclass(eq=False, repr=False)
class InformerForecaster(SavedForecaster):
    """The Informer [1]_ as a forecaster: one network for a series, a panel or a hierarchy.

    It forecasts the whole horizon in one pass, points and quantiles together, and takes exogenous
    columns that are known ahead or not. All series of a panel train one network, each scaled by
    its own mean and deviation. sktime describes `fit`, `predict` and the other methods.

    Parameters
    ----------
    input_chunk_length : int
        Steps of the look-back window.
    output_chunk_length : int or None
        Steps forecast in one pass. With ``None`` the largest step of the `fh` given to `fit`, as
        far as the data are long enough. A longer horizon is rolled out: medians are fed back, and
        the intervals do not widen for it.
    d_model : int
        Width of the tokens.
    nhead : int
        Attention heads; divides `d_model`.
    num_encoder_layers : int
        Attention layers of the encoder.
    num_decoder_layers : int
        Layers of the decoder.
    dim_feedforward : int
        Width inside the position-wise feed-forward network.
    dropout : float
        Fraction of values dropped in hidden layers in training.
    token_dropout : float
        Fraction dropped of the numbers of tokens, as in the paper.
    activation : {"gelu", "relu"}
        Activation of hidden layers.
    attention : str
        Self-attention: ``"prob"`` (ProbSparse), ``"full"``, or one given to `register_attention`.
    sampling_factor : int
        How many queries ProbSparse attention keeps: ``sampling_factor * ceil(ln L)``.
    sparsity : {"sampled", "moment"}
        How ProbSparse attention ranks the queries: by sampled keys as in the paper, or by the
        second moment of all, which gives the others a first-order attention, not a mean.
    cross_attention : {"full", "prob"}
        Attention of the decoder to the encoder: of all queries, or ProbSparse by the moment.
    distil : bool
        Whether the encoder halves the sequence between its layers.
    num_encoder_stacks : int
        Replica stacks of the encoder.
    start_token_length : int or None
        Last steps of the input that the decoder starts from; ``None`` for half of the input.
    patch_length : int or None
        Steps in one token; ``None`` stands for the most, up to 24, that leave 16 tokens of the
        input or more.
    channel_independent : bool
        Whether each column of `y` is forecast on its own, by shared weights.
    covariate_effects : bool
        Whether what columns of `X` add to each step by themselves is found by regression first,
        taken off the look-back before the network sees it, and put on the forecast.
    lookback_skip : bool
        Whether to add a linear map from the look-back window to the output.
    decoder_causal : bool
        Whether the decoder's self-attention is masked, as in the paper.
    padding_mode : {"replicate", "circular"}
        What the convolutions see beyond the ends of the sequence.
    use_reversible_instance_norm : bool
        Whether each window is normalised by its own mean and deviation, and the forecast scaled
        back.
    n_epochs : int or None
        Epochs of training, at most that many with early stopping; with 0 the forecast is the linear
        one that training begins at. ``None`` for 10; where some windows validate, for as many as
        make 3000 steps, 100 at most.
    batch_size : int
        Windows in a batch.
    lr : float or None
        Learning rate of Adam; ``None`` for 3e-3, less in proportion where `d_model` is above 32,
        and half of it in a training of more than 3000 steps.
    early_stopping_patience : int, "auto" or None
        Epochs without a better validation loss after which training stops, and goes back to the
        best weights; ``"auto"`` for 5, or a quarter of all where this is more. The last eighth of
        the windows of each series validates: the network does not learn from them, the linear
        forecast does. With ``None``, or where too few windows would be left, all train the network,
        for `n_epochs`.
    quantiles : tuple of float or None
        Quantiles to train, completed to be symmetric around the median, which is the point
        forecast; others are interpolated. With ``None`` the mean is forecast, without intervals.
    scaler : {"standard", None}
        Scaling of `y`, per series, and of `X`: by mean and deviation, or none.
    time_features : bool or "all"
        Whether calendar features that suit the frequency are added; those whose cycle the series do
        not cover twice are left out, unless ``"all"`` asks for them.
    past_covariates : tuple or None
        Columns of `X` that are known up to the cutoff only; all others must be known ahead.
    update_epochs : int
        Epochs of fine-tuning in `update`, and in `fit` after `pretrain`.
    fit_after_pretrain : {"zero-shot", "finetune"}
        Whether `fit` after `pretrain` takes the network as it is, or fine-tunes it.
    random_state : int or None
        Seed of the weights and of the training.
    pl_trainer_kwargs : dict or None
        Arguments of Lightning's trainer, such as ``{"accelerator": "gpu"}``. Callbacks, loggers and
        a profiler are not copied, but for callbacks of Lightning that one training uses up.
    verbose : bool
        Whether a training of more than a few seconds shows a progress bar; nothing else is shown.

    Attributes
    ----------
    model_ : SharedNetwork
        The network of all series with the columns that it takes; ``model_.model`` is its
        :class:`~informer_forecaster.InformerModel`.

    Raises
    ------
    ValueError
        If a parameter is outside its range, or the data lack rows, columns or finite values.

    References
    ----------
    .. [1] H. Zhou et al. "Informer: Beyond Efficient Transformer for Long Sequence Time-Series
       Forecasting", AAAI 2021, https://arxiv.org/abs/2012.07436

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from informer_forecaster import InformerForecaster
    >>> y = load_airline()
    >>> forecaster = InformerForecaster(24, n_epochs=1, d_model=16, random_state=0)
    >>> y_pred = forecaster.fit(y, fh=range(1, 13)).predict()
    >>> y_pred.index[[0, -1]]
    PeriodIndex(['1961-01', '1961-12'], dtype='period[M]', name='Period')
    >>> forecaster.predict_interval(coverage=0.9).shape
    (12, 2)
    """

    _tags = {  # noqa: RUF012 - sktime reads a plain dict
        "authors": ["the informer-forecaster contributors"],
        "maintainers": ["the informer-forecaster contributors"],
        # A nested list means "one of" only beside at least one other entry.
        "python_dependencies": [
            "torch>=2.6",
            "pytorch-lightning",
            ["darts>=0.48.1", "u8darts>=0.48.1"],
        ],
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:pred_int": True,
        "capability:update": True,
        "capability:pretrain": True,
        "capability:random_state": True,
        "capability:insample": False,
        "capability:pred_int:insample": False,
        "capability:categorical_in_X": False,
        "capability:non_contiguous_X": False,
        "property:randomness": "derandomized",
        "pretrain:fitted_params": ["pretrained_model_"],
    }
    # The rows that a forecast needs are kept here, in `_context`; sktime 1.3 keeps none itself.
    _config = {"remember_data": False}  # noqa: RUF012 - sktime reads a plain dict

    input_chunk_length: int = 96
    output_chunk_length: int | None = None
    d_model: int = InformerConfig.d_model
    nhead: int = InformerConfig.nhead
    num_encoder_layers: int = InformerConfig.num_encoder_layers
    num_decoder_layers: int = InformerConfig.num_decoder_layers
    dim_feedforward: int = InformerConfig.dim_feedforward
    dropout: float = InformerConfig.dropout
    token_dropout: float = InformerConfig.token_dropout
    activation: str = InformerConfig.activation
    attention: str = InformerConfig.attention
    sampling_factor: int = InformerConfig.sampling_factor
    sparsity: str = InformerConfig.sparsity
    cross_attention: str = InformerConfig.cross_attention
    distil: bool = InformerConfig.distil
    num_encoder_stacks: int = InformerConfig.num_encoder_stacks
    start_token_length: int | None = InformerConfig.start_token_length
    patch_length: int | None = InformerConfig.patch_length
    channel_independent: bool = InformerConfig.channel_independent
    covariate_effects: bool = InformerConfig.covariate_effects
    lookback_skip: bool = InformerConfig.lookback_skip
    decoder_causal: bool = InformerConfig.decoder_causal
    padding_mode: str = InformerConfig.padding_mode
    use_reversible_instance_norm: bool = True
    n_epochs: int | None = None
    batch_size: int = 32
    lr: float | None = None
    early_stopping_patience: Patience = "auto"
    quantiles: tuple[float, ...] | None = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    scaler: str | None = "standard"
    time_features: bool | Literal["all"] = True
    past_covariates: tuple[Any, ...] | None = None
    update_epochs: int = 5
    fit_after_pretrain: str = "zero-shot"
    random_state: int | None = None
    pl_trainer_kwargs: dict[str, Any] | None = None
    verbose: bool = True

    def __dynamic_tags__(self) -> None:
        """Set the tags that depend on parameters."""
        self.set_tags(
            **{
                "requires-fh-in-fit": self.output_chunk_length is None,
                "capability:pred_int": self.quantiles is not None,
            }
        )

    def check_parameters(self) -> None:
        """Raise unless each parameter is in its range."""
        check_parameters(self.get_params(deep=False))

    def set_params(self, **params: Any) -> InformerForecaster:
        """Set parameters; a pretrained network stays where only its use changes.

        Parameters
        ----------
        **params
            Of those of the constructor. `fit_after_pretrain`, `update_epochs`, `verbose` and
            `pl_trainer_kwargs` leave a pretrained network as it is. With all others it is
            forgotten, as sktime does with everything that was learnt.

        Returns
        -------
        InformerForecaster
            Itself, no longer fitted.
        """
        network = getattr(self, "pretrained_model_", None)
        super().set_params(**params)  # forgets it
        if network is not None and params.keys() <= AFTER_TRAINING:
            self.take_pretrained(network)
        return self

    def explain(self, fh: Fh = None, X: Table = None) -> Explanation | dict[Any, Explanation]:
        """Explain the point forecasts: which rows and columns they rest on, and the attention.

        What a value adds is measured against the mean of its column over the look-back window.

        Parameters
        ----------
        fh : int, list, index or ForecastingHorizon, optional
            Steps to explain, within the output chunk; by default those given to `fit`.
        X : sktime time series, optional
            Exogenous rows, as for `predict`.

        Returns
        -------
        Explanation or dict of Explanation
            One :class:`~informer_forecaster.explain.Explanation` with data and plots, in units of
            `y`; for a panel or a hierarchy a dictionary, by the labels of the series.

        Raises
        ------
        ValueError
            If a step lies beyond the output chunk, a series does not fill the look-back window, or
            exogenous rows are missing.
        """
        self.check_is_fitted()
        # sktime's own check would refuse a part of the horizon that `fit` was given.
        fh = self.fh if fh is None else self.read_horizon(fh)
        instances, steps = self._with_horizon(fh, self.read_exogenous(X))
        columns = self.model_.columns.y
        names = self.column_names() if len(columns) == 1 else columns
        found = {key: self.model_.explain(one, steps[key], names) for key, one in instances.items()}
        by_label = {key[0] if len(key) == 1 else key: one for key, one in found.items()}
        return by_label.get((), by_label)

    # What sktime calls; it has checked the containers

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: Fh) -> Self:
        if self.state == "pretrained":
            self.model_ = self.pretrained_model_.renamed(list(y.columns))
            instances = self._read(y, X, self.model_.columns)
            if self.model_.columns is self.pretrained_model_.columns:
                instances = as_known(instances, self.model_.scales)
            if self.fit_after_pretrain == "finetune" and self.update_epochs:
                self._finetune(instances)
            else:
                self._warn_of_short(instances)
        else:
            instances = self._read(y, X)
            self.model_ = self._learn(instances, fh)
        self._remember(instances)
        return self

    def _pretrain(self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Fh = None) -> Self:
        self.pretrained_model_ = self._learn(self._read(y, X), fh)
        return self

    def _pretrain_update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Fh = None
    ) -> Self:
        if not hasattr(self, "pretrained_model_"):
            return self._pretrain(y, X, fh)
        model = self.pretrained_model_.renamed(list(y.columns))
        self._train(model, self._read(y, X, model.columns).values(), self.n_epochs)
        return self

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> Self:
        known, instances = self._extend(y, X)
        are_enough = any(len(one.y) >= self.model_.rows_needed for one in instances.values())
        if update_params and self.update_epochs and are_enough:
            self._finetune(instances)
        else:
            self._warn_of_short(instances)
        self._remember({**known, **instances})
        return self

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None) -> pd.DataFrame:
        index, values = self._forecast(fh, X)
        middle = values[..., self.model_.middle]
        columns = pd.Index(self.column_names(), name=self._columns_name)
        return pd.DataFrame(middle, index=index, columns=columns)

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        index, values = self._forecast(fh, X)
        wanted = interpolate_quantiles(values, self.model_.quantiles or (), alpha)
        columns = self.quantile_columns(alpha)
        return pd.DataFrame(wanted.reshape(len(index), -1), index=index, columns=columns)

    # Between sktime's tables and the network

    def _read(
        self, y: pd.DataFrame, X: pd.DataFrame | None, columns: Columns | None = None
    ) -> dict[Key, Instance]:
        """Check the tables and take them apart, in the ``columns`` of a network if there is one."""
        if columns is not None:
            X = pd.DataFrame() if X is None and columns.exogenous else X
            y, X = self._select(y, X, columns)
        else:
            given = [] if X is None else list(X.columns)
            if missing := [c for c in self.past_covariates or () if c not in given]:
                raise ValueError(
                    f"`past_covariates` must name columns of `X`; got {missing}, not among "
                    f"{given}. Rename them, or give these columns."
                )
        self._index_names, self._columns_name = y.index.names, y.columns.name
        instances = make_instances(y, X, scaled=self.scaler is not None)
        if columns is not None:
            columns.check_step(next(iter(instances.values())))
        return instances

    def _select(
        self, y: pd.DataFrame, X: pd.DataFrame | None, columns: Columns
    ) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Bring the columns of both tables into the order of the training."""
        y = select_columns("y", y, columns.y)
        return y, None if X is None else select_columns("X", X, columns.exogenous)

    def _extend(
        self, y: pd.DataFrame, X: pd.DataFrame | None
    ) -> tuple[dict[Key, Instance], dict[Key, Instance]]:
        """Give the known series with new rows of `X`, and those that have new rows of `y`."""
        known, rows = self._context, self.input_chunk_length
        key, first = next(iter(known.items()))
        if y.index.nlevels - 1 != len(key):
            raise ValueError(
                f"`y` must have as many levels of series as in `fit`, {len(key)}; got "
                f"{y.index.nlevels - 1}. Keep the labels of the series: `y.loc[[label]]`."
            )
        y, X = self._select(y, X, self.model_.columns)
        self._index_names, self._columns_name = y.index.names, y.columns.name
        check_kind(y.index.get_level_values(-1), first.y.index, "y", "it")
        extended = make_instances(y, X, scaled=self.scaler is not None, step=first.step)
        joined = join_known(known, X)
        for key in [key for key in extended if key in known]:
            one = joined[key].extend(extended[key], rows)
            # The scale of few rows is no better than the forecast from them.
            is_rough = self.scaler is not None and len(known[key].y) < rows
            extended[key] = one.rescaled() if is_rough else one
        for one in extended.values():
            # Refuses rows of `X` that are neither given nor known.
            self.model_.columns.arrays(one.between(-rows, ahead=True))
        return joined, extended

    def _learn(
        self, instances: dict[Key, Instance], fh: ForecastingHorizon | None
    ) -> SharedNetwork:
        """Make a network that suits the data and the horizon, and train it."""
        # Here, as Darts and Lightning are slow to import.
        from darts.utils.likelihood_models.torch import QuantileRegression

        from ._sktime_network import SharedNetwork
        from .darts import InformerModel

        columns = make_columns(
            list(instances.values()),
            self.past_covariates or (),
            time_features=self.time_features,
            scaled=self.scaler is not None,
        )
        quantiles = complete_quantiles(self.quantiles)
        model = InformerModel(
            int(self.input_chunk_length),
            self._choose_output_length(instances, fh),
            likelihood=None if quantiles is None else QuantileRegression(list(quantiles)),
            time_features=False,
            use_static_covariates=False,
            use_reversible_instance_norm=self.use_reversible_instance_norm,
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            optimizer_kwargs=given_rate(self.lr),
            early_stopping_patience=self.early_stopping_patience,
            random_state=self.random_state,
            **architecture(self.get_params(deep=False)),
        )
        network = SharedNetwork(columns, quantiles, model)
        self._train(network, instances.values(), self.n_epochs)
        return network

    def _choose_output_length(
        self, instances: dict[Key, Instance], fh: ForecastingHorizon | None
    ) -> int:
        if self.output_chunk_length is not None:
            return int(self.output_chunk_length)
        if fh is None:
            raise ValueError(
                "`fh` must be given to `pretrain` if `output_chunk_length` is None; got neither. "
                "Give one of them."
            )
        steps = [steps_ahead(fh, one.y.index, one.step, one.name) for one in instances.values()]
        furthest = max(int(ahead.max()) for ahead in steps)
        longest = max(len(one.y) for one in instances.values())
        return int(max(1, min(furthest, longest - self.input_chunk_length)))

    def _finetune(self, instances: dict[Key, Instance]) -> None:
        """Train a copy of the network: the pretrained one, and one that an error spoils, stay."""
        network = copy.deepcopy(self.model_)
        self._train(network, instances.values(), self.update_epochs)
        self.model_ = network

    def _train(
        self, network: SharedNetwork, instances: Iterable[Instance], epochs: int | None
    ) -> None:
        short = network.train(
            list(instances),
            epochs=epochs,
            trainer=self.pl_trainer_kwargs or {},
            # A user who says something about Lightning's bars gets these.
            progress=self.verbose and "enable_progress_bar" not in (self.pl_trainer_kwargs or {}),
        )
        if short:
            self._warn(
                f"{len(short)} series of fewer than {network.rows_needed} rows, the input and "
                f"output chunk, were not trained on; they are forecast: {listed(short)}."
            )

    def _warn_of_short(self, instances: dict[Key, Instance]) -> None:
        """Warn of series that no training will warn of."""
        rows = self.input_chunk_length
        short = [one.name for one in instances.values() if len(one.y) < rows]
        if short:
            self._warn(
                f"{listed(short)} has fewer rows than the look-back window, {rows}: the window is "
                "filled up with its first row, and forecasts are rough until there are as many. "
                "After going back in time, give that many rows."
            )

    def _warn(self, message: str) -> None:
        """Warn where the user called."""
        frame, level = sys._getframe(1), 3
        while frame.f_globals.get("__name__", "").startswith(_NOT_THE_CALLER):
            frame, level = frame.f_back or frame, level + 1
        warn(message, obj=self, stacklevel=level)

    def _remember(self, instances: dict[Key, Instance]) -> None:
        """Keep the rows that a forecast and a step of fine-tuning need."""
        rows = self.model_.rows_needed
        self._context = {key: one.between(-rows, ahead=True) for key, one in instances.items()}

    def _forecast(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None
    ) -> tuple[Times, Float64Array]:
        """Forecast all series at ``fh``: the row labels, and the values ``(rows, C, P)``."""
        columns, length = self.model_.columns, self.model_.output_chunk_length
        instances, steps = self._with_horizon(fh, X)
        furthest = max(int(ahead.max()) for ahead in steps.values())
        columns.check_reach(furthest, length)
        if furthest > length:
            self._warn(
                f"step {furthest} of `fh` is beyond the {length} steps that are forecast in one "
                "pass: medians are fed back, and intervals do not widen for it. Give `fit` the "
                "`fh`, more rows, or a larger `output_chunk_length`."
            )
        values = self.model_.forecast(instances, steps, trainer=self.pl_trainer_kwargs or {})
        labels = {
            key: labels_at(one.y.index, one.step, steps[key]) for key, one in instances.items()
        }
        table = np.concatenate(list(values.values()))
        # sktime labels the columns in the order of the last table that it saw; an array has no
        # names.
        names = self.column_names()
        if set(names) == set(columns.y):
            table = table[:, [columns.y.index(name) for name in names]]
        return label_rows(labels, self._index_names), table

    def read_horizon(self, fh: Fh) -> ForecastingHorizon:
        """Make a horizon of what a user gives."""
        step = next(iter(self._context.values())).step if self.is_fitted else None
        return read_horizon(fh, self.cutoff, step)

    def _with_horizon(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None
    ) -> tuple[dict[Key, Instance], dict[Key, Positions]]:
        """The series with the rows of `X`, and the steps ahead that `fh` names."""
        columns = self.model_.columns
        if X is not None:
            X = select_columns("X", X, columns.exogenous, optional=columns.past)
        instances = join_known(self._context, X)
        steps = {
            key: steps_ahead(fh, one.y.index, one.step, one.name) for key, one in instances.items()
        }
        return instances, steps

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks: tiny networks, one epoch."""
        del parameter_set
        tiny = {
            "input_chunk_length": 4,
            "d_model": 8,
            "nhead": 2,
            "num_encoder_layers": 1,
            "dim_feedforward": 8,
            "n_epochs": 1,
            "update_epochs": 1,
            "random_state": 0,
            "pl_trainer_kwargs": {"accelerator": "cpu"},
        }
        return [
            tiny,
            {**tiny, "output_chunk_length": 3, "quantiles": (0.1, 0.5, 0.9)},
            {**tiny, "output_chunk_length": 5, "quantiles": None, "scaler": None},
        ]
