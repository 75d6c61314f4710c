"""What the explainer returns: Darts' result, of one or several explanations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from darts import TimeSeries

from .explanation import Explanation, Part

Item = TypeVar("Item")


class InformerExplainabilityResult:
    """What :meth:`InformerExplainer.explain` returns.

    Every method returns one item where one series was explained, and else a list, one for each.

    Parameters
    ----------
    explanations : list of Explanation
        One for each series.
    """

    def __init__(self, explanations: list[Explanation]) -> None:
        self.explanations = explanations

    def get_explanation(self, horizon: int | None = None, component: str | None = None) -> Any:
        """What each step of each input adds, as :meth:`Explanation.importance`, in a TimeSeries.

        Returns
        -------
        darts.TimeSeries or list of darts.TimeSeries
            NaN where a component is no input.
        """

        def convert(one: Explanation) -> TimeSeries:
            table = one.importance(horizon, component)
            return TimeSeries.from_times_and_values(
                one.times,
                table.to_numpy(),
                columns=table.columns,
                fill_missing_dates=True,
                freq=one.freq,
            )

        return self._each(convert)

    def get_importance(self, horizon: int | None = None, component: str | None = None) -> Any:
        """Tables of :meth:`Explanation.importance`."""
        return self._each(lambda one: one.importance(horizon, component))

    def get_static_importance(
        self, horizon: int | None = None, component: str | None = None
    ) -> Any:
        """Tables of :meth:`Explanation.static_importance`."""
        return self._each(lambda one: one.static_importance(horizon, component))

    def get_shares(self, horizon: int | None = None, component: str | None = None) -> Any:
        """Shares of the inputs, as :meth:`Explanation.shares`."""
        return self._each(lambda one: one.shares(horizon, component))

    def get_completeness(self) -> Any:
        """Tables of :meth:`Explanation.completeness`."""
        return self._each(lambda one: one.completeness())

    @property
    def encoder_layers(self) -> Any:
        """The attentions of the encoder: a tuple of :class:`AttentionMap`, or a list of tuples."""
        return self._each(lambda one: one.encoder_layers)

    @property
    def decoder_layers(self) -> Any:
        """The attentions of the decoder: a tuple of :class:`AttentionMap`, or a list of tuples."""
        return self._each(lambda one: one.decoder_layers)

    def plot_importance(
        self, horizon: int | None = None, component: str | None = None, num_inputs: int = 5
    ) -> Any:
        """Figures of :meth:`Explanation.plot_importance`."""
        return self._each(lambda one: one.plot_importance(horizon, component, num_inputs))

    def plot_sparsity(
        self, layer: int = 0, part: Part = "encoder", channel: str | None = None
    ) -> Any:
        """Figures of :meth:`Explanation.plot_sparsity`."""
        return self._each(lambda one: one.plot_sparsity(layer, part, channel))

    def plot_attention(
        self,
        layer: int = 0,
        head: int = 0,
        part: Part = "encoder",
        channel: str | None = None,
    ) -> Any:
        """Figures of :meth:`Explanation.plot_attention`."""
        return self._each(lambda one: one.plot_attention(layer, head, part, channel))

    def _each(self, get: Callable[[Explanation], Item]) -> Item | list[Item]:
        found = [get(one) for one in self.explanations]
        return found[0] if len(found) == 1 else found
