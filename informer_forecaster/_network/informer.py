"""The network as a whole: figure 2 of the paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import InformerConfig
from .decoder import Decoder
from .dropout import Dropout, DropoutFactory
from .embedding import TokenEmbedding, fold_patches
from .encoder import Encoder
from .lookback_skip import LookbackSkip


class Informer(nn.Module):
    """The Informer: maps a look-back window to the whole horizon in one pass.

    Parameters
    ----------
    config : InformerConfig
        Sizes and architecture.
    dropout : callable, optional
        Makes a dropout module from a probability; replace it to keep dropout active at prediction.

    Raises
    ------
    ValueError
        If `config` is no :class:`InformerConfig`.

    References
    ----------
    Zhou et al., "Informer: Beyond Efficient Transformer for Long Sequence Time-Series
    Forecasting", AAAI 2021, arXiv 2012.07436.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster import Informer, InformerConfig
    >>> config = InformerConfig(input_chunk_length=96, output_chunk_length=24, num_targets=7)
    >>> Informer(config)(torch.randn(32, 96, 7)).shape
    torch.Size([32, 24, 7, 1])
    """

    def __init__(self, config: InformerConfig, dropout: DropoutFactory = Dropout) -> None:
        super().__init__()
        given_config: object = config
        if not isinstance(given_config, InformerConfig):
            raise ValueError(
                f"`config` must be an InformerConfig; got {config!r}. Make one by "
                "`InformerConfig(input_chunk_length, output_chunk_length, num_targets)`."
            )
        self.config = config
        num_inputs = config.num_tokens(config.input_chunk_length)
        self.num_start_tokens = config.num_tokens(config.num_start_steps)
        self.num_placeholders = config.num_tokens(config.output_chunk_length)
        num_outputs = self.num_start_tokens + self.num_placeholders
        self.encoder_embedding = TokenEmbedding(config, num_inputs, dropout(config.dropout))
        self.decoder_embedding = TokenEmbedding(config, num_outputs, dropout(config.dropout))
        self.encoder = Encoder(config, dropout)
        self.decoder = Decoder(config, dropout)
        num_targets = 1 if config.channel_independent else config.num_targets
        self.projection = nn.Linear(
            config.d_model, config.num_patch_steps * num_targets * config.num_parameters
        )
        self.lookback_skip = LookbackSkip(config) if config.lookback_skip else None

    def forward(
        self,
        past_target: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Forecast the ``H`` steps that follow ``past_target``.

        Parameters
        ----------
        past_target : torch.Tensor
            ``(B, L, C)``.
        past_covariates : torch.Tensor, optional
            ``(B, L, X)``.
        future_covariates : torch.Tensor, optional
            ``(B, L + H, F)``, time stamps included.
        static_covariates : torch.Tensor, optional
            ``(B, Z)``; with `channel_independent` also ``(B, C, Z)``, each component's own.

        Returns
        -------
        torch.Tensor
            ``(B, H, C, P)``.

        Raises
        ------
        ValueError
            If a shape differs from the configuration.
        """
        config = self.config
        self._check_shapes(past_target, past_covariates, future_covariates, static_covariates)
        inputs = (past_target, past_covariates, future_covariates, static_covariates)
        if config.channel_independent:
            inputs = _split_channels(*inputs)
        forecast = self._forecast(*inputs)
        if config.channel_independent:
            forecast = forecast.squeeze(2).unflatten(0, (-1, config.num_targets)).transpose(1, 2)
        if self.lookback_skip is not None:
            forecast = forecast + self.lookback_skip(past_target)
        return forecast

    def _forecast(
        self, target: Tensor, past: Tensor | None, future: Tensor | None, static: Tensor | None
    ) -> Tensor:
        """Run encoder and decoder; ``(B, H, C, P)``."""
        config = self.config
        values = target if past is None else torch.cat([target, past], dim=2)
        values = fold_patches(values, config.num_patch_steps, pad_left=True)  # (B, N, .)
        input_stamps, output_stamps = self._fold_time_stamps(future)
        memory = self.encoder(self.encoder_embedding(values, input_stamps, static))
        start = values[:, values.shape[1] - self.num_start_tokens :]
        placeholders = F.pad(start, (0, 0, 0, self.num_placeholders))
        tokens = self.decoder_embedding(placeholders, output_stamps, static)
        output = self.projection(self.decoder(tokens, memory, self.num_placeholders))
        steps = output.unflatten(2, (config.num_patch_steps, -1, config.num_parameters)).flatten(
            1, 2
        )
        return steps[:, : config.output_chunk_length]

    def _fold_time_stamps(self, future: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Time stamps of the encoder's and of the decoder's tokens, from ``(B, L + H, F)``."""
        if future is None:
            return None, None
        config = self.config
        past, ahead = future.split([config.input_chunk_length, config.output_chunk_length], dim=1)
        past = fold_patches(past, config.num_patch_steps, pad_left=True)
        ahead = fold_patches(ahead, config.num_patch_steps, pad_left=False)
        return past, torch.cat([past[:, past.shape[1] - self.num_start_tokens :], ahead], dim=1)

    def _check_shapes(
        self,
        past_target: Tensor,
        past_covariates: Tensor | None,
        future_covariates: Tensor | None,
        static_covariates: Tensor | None,
    ) -> None:
        config = self.config
        given: object = past_target
        if not isinstance(given, Tensor) or given.dim() != 3:
            got = f"the shape {tuple(given.shape)}" if isinstance(given, Tensor) else type(given)
            raise ValueError(
                "`past_target` must be a tensor (B, L, C), with a dimension for the batch; got "
                f"{got}."
            )
        batch = past_target.shape[0]
        steps = config.input_chunk_length
        total = steps + config.output_chunk_length
        _check_shape("past_target", past_target, (batch, steps, config.num_targets))
        _check_shape("past_covariates", past_covariates, (batch, steps, config.num_past_covariates))
        _check_shape(
            "future_covariates", future_covariates, (batch, total, config.num_future_covariates)
        )
        shape: tuple[int, ...] = (batch, config.num_static_covariates)
        if config.channel_independent and static_covariates is not None:
            shape = shape if static_covariates.dim() == 2 else (batch, config.num_targets, shape[1])
        _check_shape("static_covariates", static_covariates, shape)


def _check_shape(name: str, tensor: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise unless ``tensor`` has ``shape``, or is absent where the last size is 0."""
    got = None if tensor is None else tuple(tensor.shape)
    wanted = shape if shape[-1] else None
    if got != wanted:
        raise ValueError(
            f"`{name}` must {f'have the shape {wanted}' if wanted else 'be left out'} by this "
            f"configuration; got {'none' if got is None else f'the shape {got}'}."
        )


def _split_channels(
    target: Tensor, past: Tensor | None, future: Tensor | None, static: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Make every target component a sample of its own, ``(B*C, L, 1)``; covariates follow."""
    # NOTE[DIFF] the paper mixes all components in the value embedding; the default does not.
    num_targets = target.shape[2]

    def repeat(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.repeat_interleave(num_targets, dim=0)

    split = target.transpose(1, 2).flatten(0, 1).unsqueeze(2)
    if static is not None:
        static = static.flatten(0, 1) if static.dim() == 3 else repeat(static)
    return split, repeat(past), repeat(future), static
