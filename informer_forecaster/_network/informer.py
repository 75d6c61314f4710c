"""The network as a whole: figure 2 of the paper."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import InformerConfig
from .decoder import Decoder
from .dropout import Dropout, DropoutFactory, drawing_together
from .embedding import TokenEmbedding, fold_patches
from .encoder import Encoder
from .inputs import Inputs
from .lookback_skip import LookbackSkip
from .products import without_autocast
from .steps import HEAD_WIDTH, StepEmbedding, StepHead


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
        self.encoder_embedding = TokenEmbedding(config, num_inputs, dropout(config.token_dropout))
        self.decoder_embedding = TokenEmbedding(config, num_outputs, dropout(config.token_dropout))
        self.encoder = Encoder(config, dropout)
        self.decoder = Decoder(config, dropout)
        num_targets = 1 if config.channel_independent else config.num_targets
        numbers = num_targets * config.num_parameters
        self.step_embedding = StepEmbedding(config) if config.acts_by_step else None
        self.step_head = StepHead(config, dropout) if config.acts_by_step else None
        if config.acts_by_step:
            self.projection = nn.Linear(HEAD_WIDTH, numbers)
        else:
            self.projection = nn.Linear(config.d_model, config.num_patch_steps * numbers)
        self.lookback_skip = LookbackSkip(config) if config.lookback_skip else None

    def forward(
        self,
        past_target: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
        *,
        add_linear_map: bool = True,
    ) -> Tensor:
        """Forecast ``H`` steps after ``past_target``, the first of them after `output_chunk_shift`.

        Parameters
        ----------
        past_target : torch.Tensor
            ``(B, L, C)``.
        past_covariates : torch.Tensor, optional
            ``(B, L, X)``.
        future_covariates : torch.Tensor, optional
            ``(B, L + H, F)``, time stamps included: of the look-back, and of the steps forecast.
        static_covariates : torch.Tensor, optional
            ``(B, Z)``; with `channel_independent` also ``(B, C, Z)``, each component's own.
        add_linear_map : bool
            Whether the forecast of `lookback_skip` is added to that of the network.

        Returns
        -------
        torch.Tensor
            ``(B, H, C, P)``.

        Raises
        ------
        ValueError
            If anything is no tensor, or of another shape than the configuration says.
        """
        config = self.config
        given = Inputs(past_target, past_covariates, future_covariates, static_covariates)
        given.check(config)
        # No compiler needs it, nor knows it.
        with nullcontext() if torch.compiler.is_compiling() else drawing_together():
            forecast = self._forecast_all(given)
            if self.lookback_skip is None or not add_linear_map:
                return forecast
            return forecast + self.lookback_skip(given.target)

    def _forecast_all(self, given: Inputs) -> Tensor:
        """Forecast all components, together or each as a sample of its own."""
        if not self.config.channel_independent:
            return self._forecast(given)
        forecast = self._forecast(given.split_channels())
        return forecast.squeeze(2).unflatten(0, (-1, self.config.num_targets)).transpose(1, 2)

    def _forecast(self, given: Inputs) -> Tensor:
        """Run encoder and decoder; ``(B, H, C, P)``."""
        config = self.config
        values = given.target if given.past is None else torch.cat([given.target, given.past], 2)
        values = fold_patches(values, config.num_patch_steps, pad_left=True)  # (B, N, .)
        input_stamps, output_stamps = self._fold_time_stamps(given.future)
        memory = self.encoder(self.encoder_embedding(values, input_stamps, given.static))
        start = values[:, values.shape[1] - self.num_start_tokens :]
        placeholders = F.pad(start, (0, 0, 0, self.num_placeholders))
        tokens = self.decoder_embedding(placeholders, output_stamps, given.static)
        decoded = self.decoder(tokens, memory, self.num_placeholders)
        return self._project(decoded, given.future)

    def _project(self, tokens: Tensor, future: Tensor | None) -> Tensor:
        """Map the tokens of the horizon ``(B, N, M)`` to ``(B, H, C, P)``."""
        config = self.config
        if self.step_head is not None and future is not None:
            # Its covariates may exceed the largest number of 16 bits.
            with without_autocast(tokens):
                wide = tokens.to(self.projection.weight.dtype)
                steps = self.projection(self.step_head(wide, future))
            return steps.unflatten(2, (-1, config.num_parameters))
        output = self.projection(tokens)
        steps = output.unflatten(2, (config.num_patch_steps, -1, config.num_parameters)).flatten(
            1, 2
        )
        return steps[:, : config.output_chunk_length]

    def _fold_time_stamps(self, future: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Time stamps of the encoder's and of the decoder's tokens, from ``(B, L + H, F)``."""
        if future is None:
            return None, None
        config = self.config
        if self.step_embedding is not None:
            with without_autocast(future):  # as the embedding that it goes to
                future = self.step_embedding(future)
        past, ahead = future.split([config.input_chunk_length, config.output_chunk_length], dim=1)
        past = fold_patches(past, config.num_patch_steps, pad_left=True)
        ahead = fold_patches(ahead, config.num_patch_steps, pad_left=False)
        return past, torch.cat([past[:, past.shape[1] - self.num_start_tokens :], ahead], dim=1)
