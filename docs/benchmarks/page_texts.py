"""What docs/benchmarks.md says about each of its tables."""

from __future__ import annotations

INTRODUCTION = """\
# Benchmarks

- **An attention call** grows with `L ln L`: at 720 steps it takes a quarter of the time of torch's
  fused full attention, in the paper's form a tenth.
- **A training step** gains up to 18 % by that at the paper's sizes: matrix products take most of
  its time.
- **NeuralForecast's Informer** takes twice the time for a step of `fit`, and 2.5 to 4 times for a
  backtest.
- **TiDE** trains an epoch in 35 to 40 % of the time on small inputs, and takes 14 % longer on large
  ones with covariates.

A ratio is the other's time over ours: above 1, ours is faster. An empty cell was not measured.
Times are wall-clock medians, by torch's own benchmark timer, over rounds in which the methods take
turns, in float32. `docs/benchmarks/pages.py` writes this page and its figures from the CSV files in
[docs/benchmarks](benchmarks).
"""

ATTENTION = """\
## One attention call

Forward and backward, 8 heads of 64 and 4 of 16, `sampling_factor=5`, 5000 queries in all (queries =
keys), each head's columns side by side in memory as the network has them.

- *Full* is torch's fused `scaled_dot_product_attention`.
- *Textbook* is ProbSparse attention as the paper writes it, each query with its own sample of the
  keys ([textbook.py](benchmarks/textbook.py)).
- *Sampled* is `sparsity="sampled"`, the paper's form; *moment* is the default, to
  second order: [its own page](attention.md) says how, and what it is worth. Where exact attention
  costs less, it computes that.
- *Memory* is the peak of a call beyond its inputs and the gradient it is given, as a multiple of
  the bytes of queries, keys and values together.

Script: [attention_speed.py](benchmarks/attention_speed.py).

![Time of a call against the length](figures/attention_time.png)

![Memory of a call against the length](figures/attention_memory.png)
"""

STEP = """\
## A training step at the paper's size

Forward, backward and Adam: `d_model` 512, feed-forward 2048, 8 heads, 2 + 1 layers, 7 channels,
batch 32, dropout 0.05. *Textbook* is the whole network spelled out: separate products for queries,
keys and values, unfused attention, torch's dropout, and start tokens that are computed to the end.
Script: [training_step.py](benchmarks/training_step.py).
"""

GROWTH = """\
## Growth with the length

A longer input costs little more for each token. Where the horizon grows with it, the attention from
the decoder to the encoder shows, which is full by default, as in the paper: its cost is the product
of both lengths. With `cross_attention="prob"`, the last rows, a token costs nearly the same at each
length.

The table has training steps of a small network (`d_model` 64). An input of growing length stands
before 720 steps to be forecast, or input and output have the same length. A batch has as many
windows as make the longer input.
"""

PROFILE = """\
## Where the time of a step goes

Products, as which convolutions are computed too, are arithmetic of the textbook network as well. At
the paper's sizes full attention is a small part beside them, so no attention can make such a step
much faster.

Percent of the time on the processor, by torch's profiler, for the steps and the single attention
calls above. In an attention call *products* are those of the active queries, and *all else* is
choosing, gathering and averaging rows.
"""

DARTS = """\
## Through Darts

`fit` adds 7 % to the time of the bare network, and `historical_forecasts` nothing: `d_model` 128,
(96, 24), 7 channels; batch 32 in training, 1024 windows in a backtest.
"""

PEER = """\
## Against NeuralForecast's Informer

Both through Darts, with the same widths (`d_model` 128, feed-forward 512, 8 heads), layers,
covariates and batch 32. Ours has point tokens, mixed components and no look-back map, as the peer
has; and the instance norm, which the peer lacks. Script: [peer_speed.py](benchmarks/peer_speed.py).
"""


SELECTION = """\
## Which queries attend, and what the others get

Ranking the queries better does not pay by itself. `sampled` finds fewer of the most active queries
than `moment`, but those that it takes instead are nearly as active: the output is as far from full
attention, and the test errors are the same.

What the other rows get matters more. The first-order term of attention in the scores brings the
output much nearer to full attention than the mean of the values does, at about three times the time
of the mean. These networks do not forecast better for it; the paper's architecture does
([ETT](accuracy/ett.md#the-papers-architecture)). When this was measured, `moment` ranked only.
Today it also fills the rows by that term: [the formulas](attention.md), and what each costs by
the same weights.

- *Found*: the share of the most active queries, by the exact sparsity measurement, that a ranking
  chooses too.
- *Distance*: of the output to that of full attention, relative to the latter
  ([attention_lazy.py](benchmarks/attention_lazy.py)). The other rows hold the mean of the values,
  or the first-order term too.
- *Test error*: the mean squared error over some 1000 windows, of networks that were trained and
  forecast with each, one seed.
- The last table is the time of a call, forward and backward, without a mask.

Networks have the paper's form with the instance norm (`d_model` 64, point tokens, 96 to 96) and 500
steps of training on each data set. Found and distance are of 64 windows of the test part. Script:
[selection.py](benchmarks/selection.py).
"""

EPOCH = """\
## An epoch beside TiDE's

On small inputs TiDE is faster: a step of ours calls torch 660 times at 96/24, one of TiDE 370
times. On vic_elec ours is.

Seconds of the processor for a thousand training windows, both at their defaults, in turns in one
process. A ratio is ours over TiDE's: below 1, ours is faster.

Covariates of vic_elec are the working day, the holiday and the temperature, for both. Ours adds the
calendar, and holds back the last eighth of the windows to validate. Other programs ran beside this,
and made both slower. Script: [epoch_speed.py](benchmarks/epoch_speed.py).
"""
