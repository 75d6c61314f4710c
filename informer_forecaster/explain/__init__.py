"""What a forecast of the Informer rests on: steps, covariates, and the queries that attend.

======================================  ============================================================
:class:`InformerExplainer`              explains forecasts of a fitted Darts model
:class:`InformerExplainabilityResult`   what it returns: one explanation, or one for each series
:class:`Explanation`                    the explanation of a single forecast: data and plots
:class:`AttentionMap`                   one attention: its active queries, sparsity and kept rows
======================================  ============================================================

It needs the Darts extra. The letters of shapes are those of the network package, and ``E`` is 1, or
the number of target components where each is forecast on its own (`channel_independent`).
"""

from .attention_map import AttentionMap
from .explainer import InformerExplainer
from .explanation import Explanation
from .result import InformerExplainabilityResult

__all__ = ["AttentionMap", "Explanation", "InformerExplainabilityResult", "InformerExplainer"]
