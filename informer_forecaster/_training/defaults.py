"""How both adapters train unless a user says otherwise."""

from __future__ import annotations

from typing import Literal

# Of Adam, for tokens of up to this width; wider ones take as much smaller steps.
LEARNING_RATE = 3e-3
WIDTH_OF_RATE = 32
N_EPOCHS = 10
# Steps of a training that stops by itself, where its epochs have so few batches; and epochs, at
# most. Measured: what is not linear is learnt in 1500 to 3000 steps, and the rate suits as many.
NUM_STEPS = 3000
MOST_EPOCHS = 100
# Epochs without a better validation loss, at least, and as a share of all: a long training is noisy
# at first, as its rate falls late.
PATIENCE = 5
SHARE_OF_PATIENCE = 4

Patience = int | Literal["auto"] | None


def enough_epochs(num_windows: int, batch_size: int) -> int:
    """Epochs that are enough for a network to learn from as many windows.

    Examples
    --------
    >>> from informer_forecaster._training.defaults import enough_epochs
    >>> [enough_epochs(windows, 32) for windows in (100, 3200, 320_000)]
    [100, 30, 10]
    """
    num_batches = -(-num_windows // batch_size)
    return min(MOST_EPOCHS, max(N_EPOCHS, NUM_STEPS // max(1, num_batches)))


def enough_patience(num_epochs: int) -> int:
    """Epochs without a better validation loss after which a training of as many stops.

    Examples
    --------
    >>> from informer_forecaster._training.defaults import enough_patience
    >>> [enough_patience(epochs) for epochs in (10, 100)]
    [5, 25]
    """
    return max(PATIENCE, num_epochs // SHARE_OF_PATIENCE)
