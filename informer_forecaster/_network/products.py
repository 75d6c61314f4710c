"""Matrix products of heads that lie side by side in memory, in a precision that can hold them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

# Measured: the numbers of a sample from which on its own call takes less time than a copy.
OWN_CALL_FROM = 2**13


def multiply_heads(a: Tensor, b: Tensor) -> Tensor:
    """Multiply ``(B, H, M, N)`` by ``(B, H, N, P)``: ``(B, H, M, P)``.

    On a CPU, torch first copies an operand whose samples and heads are not one dimension in memory,
    and for large samples the copy takes longer than a product of few rows. Where no gradient is
    recorded, one call a sample needs none; many small samples are faster in one product.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.products import multiply_heads
    >>> multiply_heads(torch.ones(2, 8, 5, 64), torch.ones(2, 8, 64, 96)).shape
    torch.Size([2, 8, 5, 96])
    """
    is_recorded = torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)
    is_large = max(a.shape[1:].numel(), b.shape[1:].numel()) >= OWN_CALL_FROM
    if not is_large or is_recorded or not runs_step_by_step(a):
        return a @ b
    product = a.new_empty(*a.shape[:3], b.shape[3])
    for left, right, out in zip(a, b, product, strict=True):
        torch.bmm(left, right, out=out)
    return product


def runs_step_by_step(x: Tensor) -> bool:
    """Whether a loop over ``x`` costs little: on a CPU, and in no graph of a compiler."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def widen_for_products(x: Tensor) -> Tensor:
    """Give float16 as float32: unlike bfloat16 it overflows in a product of a few hundreds."""
    return x.float() if x.dtype == torch.float16 else x


def widen_for_sums(x: Tensor) -> Tensor:
    """At least float32: a sum of hundreds of values in half precision stops growing."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Keep the dtypes that were chosen: autocast would take a product back to half precision."""
    kind = x.device.type
    # Entered only where it matters, as exporters would write it into the graph.
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
