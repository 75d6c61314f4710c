"""What docs/benchmarks.md says about each of its tables."""

from __future__ import annotations

INTRODUCTION = """\
# Benchmarks

Times are wall-clock medians over rounds in which the methods take turns, by torch's own benchmark
timer, in float32. A ratio is the other's time over ours: above 1, ours is faster. An empty cell was
not measured. `docs/benchmarks/pages.py` writes this page and its figures from the CSV files in
[docs/benchmarks](benchmarks).
"""

ATTENTION = """\
## One attention call

Forward and backward, 8 heads of 64, `sampling_factor=5`, 5000 queries in all (queries = keys),
each head's columns side by side in memory as the network has them.

*Full* is torch's fused
`scaled_dot_product_attention`. *Textbook* is ProbSparse attention as the paper writes it, each
query with its own sample of the keys ([textbook.py](benchmarks/textbook.py)). The ratios are to
`sparsity="sampled"`, the paper's form.

Memory is what a call needs at its peak beyond
its inputs and the gradient it is given, as a multiple of the bytes of queries, keys and values
together. *Moment* was measured when it only ranked the queries; what it costs without a mask since
it fills the other rows too is on [its own page](attention.md). Script:
[attention_speed.py](benchmarks/attention_speed.py).

![Time of a call against the length](figures/attention_time.png)

![Memory of a call against the length](figures/attention_memory.png)
"""

STEP = """\
## A training step at the paper's size

Forward, backward and Adam: `d_model` 512, feed-forward 2048, 8 heads, 2 + 1 layers, 7 channels,
batch 32, dropout 0.05. *Textbook* is the whole network spelled out, with separate products for
queries, keys and values, unfused attention, torch's dropout, and start tokens computed to the end.
Script: [training_step.py](benchmarks/training_step.py).
"""

GROWTH = """\
## Growth with the length

A training step of a small network (`d_model` 64): an input of growing length before 720 steps to be
forecast, or input and output of the same length; a batch has as many windows as make the longer
input. Flat columns are linear growth.

Self-attention is ProbSparse, so an input may grow at a constant price; from the decoder to the
encoder attention is full, as in the paper, and where both grow its cost is that of their product:
see its share in the next table. With `cross_attention="prob"` growth is linear in both:
[long inputs](long_inputs.md) have the figures.
"""

PROFILE = """\
## Where the time of a step goes

Percent of the time on the processor by torch's profiler: of steps at the paper's sizes and in the
growing networks, and of one attention call as in the first tables, where products are the active
queries' own and the rest is choosing, gathering and averaging rows. In a step, products and
convolutions are arithmetic that the textbook network does as well, and full attention at these
lengths is a small part beside them: no attention can make such a step much faster.
"""

DARTS = """\
## Through Darts

What `fit` and `historical_forecasts` add to the bare network: `d_model` 128, (96, 24), 7 channels;
batch 32 in training, 1024 windows in a backtest.
"""

PEER = """\
## Against NeuralForecast's Informer

Both through Darts, with the same widths (`d_model` 128, feed-forward 512, 8 heads), layers,
covariates and batch 32; ours with point tokens, components mixed and no look-back map, as the peer
has them, and the instance norm, which it lacks. Script: [peer_speed.py](benchmarks/peer_speed.py).
"""


SELECTION = """\
## Which queries attend, and what the others get

Networks of the paper's form with the instance norm (`d_model` 64, point tokens, 96 -> 96), trained
for 500 steps on each data set; 64 windows of its test part.

*Found*: the share of the queries of
the largest exact sparsity measurement that a ranking chooses too. *Distance*: of the attention's
output to that of full attention, relative to the latter, where the other rows hold the mean of the
values, and where they also hold the first-order term of attention in the scores
([attention_lazy.py](benchmarks/attention_lazy.py)). *Test error*: the mean squared error, over some
1000 windows, of networks that were trained and forecast with each, one seed.

The last table is what
the term costs, forward and backward without a mask. Script:
[selection.py](benchmarks/selection.py).

`sampled` finds fewer of the most active queries, but those that it takes instead are nearly as
active: the output is as far from full attention, and the errors are no others. So ranking alone
would not be worth its price.

The first-order term brings the output much nearer, at about three times the price
of a call, and forecasts no better here. (In the paper's architecture it gains back what the
selection costs: [accuracy](accuracy/ett.md).) When this was measured, `moment` ranked only; today
it fills the rows by that term too, where nothing is masked: [the formulas](attention.md).
"""

EPOCH = """\
## An epoch beside TiDE's

Both at their defaults, TiDE as in Darts, in turns in one process: seconds of the processor for a
thousand training windows. Working day, holiday and temperature of vic_elec are covariates of both;
ours adds the calendar, and validates on the last eighth of the windows, which it holds back. Other
programs ran beside this, and made both slower. A ratio is ours over TiDE's: below 1, ours is
faster. At 96/24 a step of ours calls torch 750 times, one of TiDE 370 times. Script:
[epoch_speed.py](benchmarks/epoch_speed.py).
"""
