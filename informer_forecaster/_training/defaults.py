"""How both adapters train unless a user says otherwise."""

from __future__ import annotations

# Of Adam, for tokens of up to this width; wider ones take as much smaller steps.
LEARNING_RATE = 3e-3
WIDTH_OF_RATE = 32
N_EPOCHS = 10
PATIENCE = 5
