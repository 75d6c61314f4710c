"""The state dict of the original code: its sizes, and its weights under our names."""

from __future__ import annotations

import os
import pickle
from typing import Any

import torch
from torch import Tensor

from .config import InformerConfig

# our name -> the original's, below the prefix of a layer
_ENCODER_LAYER = {
    "attention_norm": "norm1",
    "feed_forward.expand": "conv1",
    "feed_forward.contract": "conv2",
    "feed_forward_norm": "norm2",
}
_DECODER_LAYER = {
    "self_attention_norm": "norm1",
    "cross_attention_norm": "norm2",
    "feed_forward.expand": "conv1",
    "feed_forward.contract": "conv2",
    "feed_forward_norm": "norm3",
}
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class OriginalCheckpoint:
    """The original's state dict; weights that are taken leave it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
            raise ValueError(
                f"{path} holds more than tensors, or is damaged: {error}. Save the state dict "
                "alone: `torch.save(model.state_dict(), path)`."
            ) from error
        if not isinstance(loaded, dict) or not all(
            isinstance(name, str) and isinstance(one, Tensor) for name, one in loaded.items()
        ):
            raise ValueError(
                f"{path} must hold a state dict, names and tensors; got {type(loaded).__name__}. "
                "Save it with `torch.save(model.state_dict(), path)`."
            )
        # Trained on several GPUs, the original's names start with "module.".
        self.left: dict[str, Tensor] = {
            name.removeprefix("module."): one for name, one in loaded.items()
        }
        self.stacks = [f"encoder.encoders.{n}" for n in range(self._count("encoder.encoders"))]
        self.stacks = self.stacks or ["encoder"]

    def sizes(self) -> dict[str, Any]:
        """The fields of the configuration that the shapes tell."""
        num_targets, d_model = self._see("projection.weight", rank=2).shape
        num_channels = self._see("enc_embedding.value_embedding.tokenConv.weight", rank=3).shape[1]
        stamps = self._see("enc_embedding.temporal_embedding.embed.weight", rank=2)
        if num_targets > num_channels:
            raise ValueError(
                f"{self.path} must forecast columns that it reads, {num_channels}; got "
                f"{num_targets} rows of 'projection.weight'. It is no weight of an Informer."
            )
        layers = [self._count(f"{stack}.attn_layers") for stack in self.stacks]
        distillings = [self._count(f"{stack}.conv_layers") for stack in self.stacks]
        distil = any(distillings)
        if layers != [layers[0] - n for n in range(len(layers))] or distillings != [
            one - 1 if distil else 0 for one in layers
        ]:
            raise ValueError(
                f"the stacks of the encoder in {self.path} must each have one layer fewer than the "
                "one before, and distil between all of them or none; got "
                f"{layers} layers and {distillings} distillings."
            )
        return {
            "num_targets": num_targets,
            "num_past_covariates": num_channels - num_targets,
            "num_future_covariates": stamps.shape[1],
            "d_model": d_model,
            "dim_feedforward": self._see(f"{self.stacks[0]}.attn_layers.0.conv1.weight").shape[0],
            "num_encoder_layers": layers[0],
            "num_encoder_stacks": len(layers),
            "num_decoder_layers": self._count("decoder.layers"),
            "distil": distil,
        }

    def translate(self, config: InformerConfig) -> dict[str, Tensor]:
        """Take all weights, under our names."""
        divisor = 2 ** (config.num_encoder_stacks - 1)
        if config.input_chunk_length % divisor:
            raise ValueError(
                f"`input_chunk_length` must be divisible by {divisor} for the "
                f"{config.num_encoder_stacks} stacks in {self.path}, as the original rounds their "
                f"inputs down and this network up; got {config.input_chunk_length}."
            )
        ours = self._linear("projection", "projection") | self._norm("decoder.norm", "decoder.norm")
        ours |= self._embedding("encoder_embedding", "enc_embedding", config.num_targets)
        ours |= self._embedding("decoder_embedding", "dec_embedding", config.num_targets)
        for n, theirs in enumerate(self.stacks):
            ours |= self._stack(f"encoder.stacks.{n}", theirs)
        for n in range(config.num_decoder_layers):
            layer = f"decoder.layers.{n}"
            for attention in ("self_attention", "cross_attention"):
                ours |= self._attention(f"{layer}.{attention}", f"{layer}.{attention}")
            ours |= self._layer(layer, layer, _DECODER_LAYER)
        return ours

    def take(self, name: str) -> Tensor:
        """Take a tensor out; raise if there is none."""
        tensor = self._see(name)
        del self.left[name]
        return tensor

    def check_empty(self) -> None:
        """Raise if weights are left that nothing here stands for."""
        if self.left:
            raise ValueError(
                f"{self.path} holds {min(self.left)!r}, which is no weight of the original "
                "Informer, and would be lost."
            )

    def _see(self, name: str, rank: int | None = None) -> Tensor:
        if name not in self.left or rank not in (None, self.left[name].dim()):
            kind = name if rank is None else f"{name} of {rank} dimensions"
            raise ValueError(
                f"{self.path} has no {kind!r}: it must be the state dict of an Informer or "
                "InformerStack of the original code, with the timeF embedding."
            )
        return self.left[name]

    def _count(self, prefix: str) -> int:
        """How many modules are listed below ``prefix``."""
        rests = [n.removeprefix(f"{prefix}.") for n in self.left if n.startswith(f"{prefix}.")]
        return len({rest.split(".")[0] for rest in rests})

    def _stack(self, ours: str, theirs: str) -> dict[str, Tensor]:
        weights = self._norm(f"{ours}.norm", f"{theirs}.norm")
        for n in range(self._count(f"{theirs}.attn_layers")):
            layer = f"{theirs}.attn_layers.{n}"
            weights |= self._attention(f"{ours}.layers.{n}.self_attention", f"{layer}.attention")
            weights |= self._layer(f"{ours}.layers.{n}", layer, _ENCODER_LAYER)
        for n in range(self._count(f"{theirs}.conv_layers")):
            our, their = f"{ours}.distilling.{n}", f"{theirs}.conv_layers.{n}"
            weights |= self._norm(f"{our}.convolution", f"{their}.downConv")
            for kind in _BATCH_NORM:
                weights[f"{our}.norm.{kind}"] = self.take(f"{their}.norm.{kind}")
        return weights

    def _layer(self, ours: str, theirs: str, names: dict[str, str]) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = {}
        for our, their in names.items():
            convert = self._linear if their.startswith("conv") else self._norm
            weights |= convert(f"{ours}.{our}", f"{theirs}.{their}")
        return weights

    def _attention(self, ours: str, theirs: str) -> dict[str, Tensor]:
        """Queries, keys and values are projected by three layers there, by one here."""
        weights = self._linear(f"{ours}.output", f"{theirs}.out_projection")
        for kind in ("weight", "bias"):
            parts = [
                self.take(f"{theirs}.{part}_projection.{kind}")
                for part in ("query", "key", "value")
            ]
            weights[f"{ours}.query_key_value.{kind}"] = torch.cat(parts)
        return weights

    def _embedding(self, ours: str, theirs: str, num_targets: int) -> dict[str, Tensor]:
        """The targets come first here and last there; one bias here may be two or none there."""
        value = self.take(f"{theirs}.value_embedding.tokenConv.weight")
        stamps = self.take(f"{theirs}.temporal_embedding.embed.weight")
        biases = ("value_embedding.tokenConv.bias", "temporal_embedding.embed.bias")
        bias = value.new_zeros(value.shape[0])
        for name in biases:
            bias = bias + self.left.pop(f"{theirs}.{name}", 0.0)
        return {
            f"{ours}.value.weight": value.roll(num_targets, dims=1),
            f"{ours}.value.bias": bias,
            f"{ours}.time_stamp.weight": stamps,
        }

    def _linear(self, ours: str, theirs: str) -> dict[str, Tensor]:
        """A linear layer, which may be a convolution of width one there."""
        weight = self.take(f"{theirs}.weight")
        return {f"{ours}.weight": weight.flatten(1), f"{ours}.bias": self.take(f"{theirs}.bias")}

    def _norm(self, ours: str, theirs: str) -> dict[str, Tensor]:
        return {f"{ours}.{kind}": self.take(f"{theirs}.{kind}") for kind in ("weight", "bias")}
