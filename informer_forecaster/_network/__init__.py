"""Private: the Informer network in pure PyTorch, after Zhou et al., AAAI 2021 (arXiv 2012.07436).

Import ``Informer`` and ``InformerConfig`` from :mod:`informer_forecaster`. These files import torch
and the standard library only.

Dimensions, one letter each in every shape of this package:

==========  ==============================================================================
``B``       batch
``L``       steps of the input chunk; inside attention the number of queries
``H``       steps of the output chunk; inside attention the number of heads
``C``       target components
``X``       past covariates
``F``       future covariates, time stamps included
``Z``       static covariates
``P``       parameters of the likelihood (1 without one)
``N``       tokens (steps, or patches of steps)
``M``       model width, ``d_model``
``S``       keys
``D``       width of one head, ``M / heads``
``U``       sampled keys that rank the queries
``A``       active queries, which attend to every key
==========  ==============================================================================
"""

from .config import InformerConfig
from .informer import Informer
from .original_weights import load_original_weights
from .registry import register_attention

__all__ = ["Informer", "InformerConfig", "load_original_weights", "register_attention"]
