"""Random queries, keys and values."""

import torch
from torch import Tensor


def draw(*shape: int, parts: int = 3, seed: int = 0, size: float = 1.0) -> tuple[Tensor, ...]:
    """Draw so many tensors of a shape, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(shape, generator=generator, dtype=torch.float64) * size for _ in range(parts)
    )
