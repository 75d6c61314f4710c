"""What ours is compared with computes the same, and the benchmark scripts and their page work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.sparsity import num_selected

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


@pytest.fixture
def run(tmp_path):
    """Run a script with tiny options; give back the CSV that it writes."""

    def start(name: str, *options: str) -> pd.DataFrame:
        output = tmp_path / "results.csv"
        few = ["--rounds", "1", "--seconds", "0.001", "--threads", "1", "--output", str(output)]
        command = [sys.executable, FOLDER / f"{name}.py", *few, *options]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        return pd.read_csv(output)

    return start


def random_heads(shape: tuple[int, ...], parts: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(parts))


def textbook_weights(network: Informer) -> dict[str, torch.Tensor]:
    """Name the weights of ours as the textbook network names its own."""
    weights = {}
    for name, value in network.state_dict().items():
        name = name.replace("encoder.stacks.0.", "encoder.")
        if ".query_key_value." in name:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                weights[name.replace("query_key_value", part)] = rows
        else:
            weights[name] = value
    return weights


@pytest.mark.parametrize("causal", [False, True])
def test_selection_compares_with_the_exact_ranking(script, causal):
    """The exact ranking finds all; a further term of the softmax comes closer to full attention."""
    heads = random_heads((2, 2, 60, 8), parts=3)
    rows = list(script("selection").compare(0.3 * heads[0], *heads[1:], causal))
    values = {(row["method"], row["quantity"]): float(row["value"]) for row in rows}
    assert values["exact", "share of the active queries found"] == 1
    for ranking in ("exact", "sampled", "moment"):
        found = values[ranking, "share of the active queries found"]
        mean = values[ranking, "distance to full attention, mean"]
        first_order = values[ranking, "distance to full attention, first order"]
        assert 0.5 < found <= 1
        assert 0 < first_order < 0.5 * mean


def test_selection_trains_each_network_for_an_epoch(script):
    """The number of epochs is the script's own, not that of the method that it changes."""
    selection = script("selection")
    for change in selection.CHANGES.values():
        assert selection.make(change, {}).model_params["n_epochs"] == 1


@pytest.mark.parametrize("causal", [False, True])
def test_textbook_attention_equals_full_when_every_query_is_active(script, causal):
    """Nothing is lazy then, so the two baselines must agree."""
    inputs = random_heads((2, 3, 40, 8), parts=3)
    textbook = script("textbook").TextbookProbSparse(100, causal)
    torch.testing.assert_close(textbook(*inputs), FullAttention(causal)(*inputs))


@pytest.mark.parametrize("causal", [False, True])
def test_textbook_attention_equals_ours_with_the_same_active_queries(script, causal):
    """A baseline that computed less, or something else, would make the ratios worthless."""
    q, k, v, gradient = random_heads((2, 3, 60, 8), parts=4)
    inputs = [x.requires_grad_() for x in (q, k, v)]
    ours = ProbSparseAttention(2, causal).eval()
    active = ours.sparsity_measurement(q, k).topk(num_selected(60, 2), dim=2).indices
    expected = script("textbook").TextbookProbSparse(2, causal).fill(*inputs, active)
    got = ours(*inputs)
    torch.testing.assert_close(got, expected)
    for one, other in zip(
        torch.autograd.grad(got, inputs, gradient),
        torch.autograd.grad(expected, inputs, gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_textbook_measurement_is_exact_for_a_full_sample(script, monkeypatch):
    """Each query's own keys are used, all of them here."""
    q, k = random_heads((2, 3, 12, 4), parts=2)
    every = torch.stack([torch.randperm(12) for _ in range(12)])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: every)
    scores = q @ k.transpose(2, 3) / 2
    expected = scores.amax(3) - scores.mean(3)
    torch.testing.assert_close(script("textbook").TextbookProbSparse(5).measure(q, k), expected)


def test_textbook_network_equals_ours(script):
    """With every query active and no dropout, the same weights give the same forecast."""
    config = InformerConfig.paper(
        input_chunk_length=25,
        output_chunk_length=7,
        start_token_length=10,
        num_targets=3,
        num_future_covariates=4,
        d_model=16,
        nhead=4,
        dim_feedforward=32,
        sampling_factor=25,
    )
    ours = Informer(config).double().eval()
    textbook = script("textbook").TextbookInformer(config).double().eval()
    textbook.load_state_dict(textbook_weights(ours))
    past, stamps = torch.randn(2, 25, 3).double(), torch.rand(2, 32, 4).double()
    # The position code of both is made in single precision.
    torch.testing.assert_close(
        textbook(past, stamps), ours(past, None, stamps).squeeze(3), rtol=1e-4, atol=1e-5
    )


def test_rounds_take_turns(script):
    """Each call runs in every round, whatever its name."""
    seen: list[str] = []
    calls = {name: (lambda name=name: seen.append(name)) for name in ("a", "b")}
    times = script("measuring").time_side_by_side(calls, rounds=2, threads=1, seconds=1e-6)
    turns = [one for one, before in zip(seen, [None, *seen], strict=False) if one != before]
    assert turns == ["a", "b"] * 3
    assert set(times) == {"a", "b"}
    assert min(times.values()) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the kernel's counters")
def test_peak_memory_counts_what_a_call_frees_again(script):
    """A peak, not what is left; and nothing of what was held before."""
    # Above 32 MB the allocator keeps nothing that an earlier test has freed.
    held = torch.ones(2**24)

    def call() -> None:
        (held + 1).sum()

    size = script("measuring").peak_memory(call, "cpu")
    assert 0.9 * held.numel() * 4 < size < 1.5 * held.numel() * 4


def test_results_replace_those_of_the_same_threads(script, tmp_path):
    """GPU rows join those of a CPU; a second run leaves no rows of the first."""
    measuring = script("measuring")
    options = ["--output", str(tmp_path / "results.csv"), "--threads"]
    parser = measuring.make_parser("", tmp_path)
    for threads, value in (("1", 1.0), ("2", 2.0), ("1", 3.0)):
        measuring.write_results([{"value": value}], parser.parse_args([*options, threads]))
    results = pd.read_csv(tmp_path / "results.csv")
    assert dict(zip(results["threads"], results["value"], strict=True)) == {1: 3.0, 2: 2.0}


@pytest.mark.slow
def test_attention_speed_runs(run):
    results = run("attention_speed", "--lengths", "96", "--memory-lengths")
    assert results["heads"].value_counts().to_dict() == {"8 of 64": 8, "4 of 16": 6}
    assert (results["milliseconds"] > 0).all()
    assert (results.loc[results["heads"] == "8 of 64", "memory"] > 0).all()


@pytest.mark.slow
def test_training_step_runs(run):
    sizes = ["--paper", "24/12/12", "--batch", "2", "--growth", "96"]
    sizes += ["--calls", "96", "--fit-steps", "1", "8", "--windows", "64"]
    results = run("training_step", *sizes)
    counts = {"darts": 4, "paper": 3, "growth": 6, "profile": 24}
    assert results["part"].value_counts().to_dict() == counts
    assert (results.loc[results["part"].isin(["paper", "growth"]), "value"] > 0).all()
    shares = results[results["part"] == "profile"].groupby("setting")["value"]
    assert shares.sum().sub(100).abs().max() < 0.1  # four digits are written


def test_page_is_that_of_the_results(script):
    """The page shows the committed figures and no others."""
    pages = script("pages")
    page = pages.PAGE.read_text(encoding="utf-8")
    assert pages.make_page(pages.read_results()) == page, "run docs/benchmarks/pages.py"


def test_page_leaves_cells_empty_that_were_not_measured(script):
    """No figure is guessed: neither a length without a time nor a device that is not at hand."""
    pages = script("pages")
    shared = {"machine": "a machine", "device": "cpu", "threads": 1, "length": 96, "causal": False}
    shared["heads"] = "8 of 64"
    rows = [
        {**shared, "method": method, "milliseconds": time, "memory": 2.0}
        for method, time in zip(pages.STYLES, (2.0, 4.0, 8.0, None), strict=True)
    ]
    page = pages.make_page({"attention_speed": pd.DataFrame(rows)})
    assert "| 96 | 4.00 | 2.00 |  |  |  | 8.00 | 2.00 | 2.00 | 2.00 | 2.00 |" in page
    assert page.count("GPU: not measured.") == 8
    assert page.count("CPU: not measured.") == 7
