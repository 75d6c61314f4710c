"""The accuracy pages and the README's table: written from the committed rows, and no others."""

from __future__ import annotations

import pandas as pd
import pytest


def make_rows(script, *runs):
    """Make rows of covariates.csv from task, method, rate, seed, stride, validation and test."""
    columns = ["task", "method", "rate", "seed", "stride", "val_mse", "mse"]
    table = pd.DataFrame(runs, columns=columns).reindex(columns=list(script("covariates").FIELDS))
    return table.assign(mae=table["mse"])


def test_the_pages_are_those_of_the_rows(script):
    page = script("accuracy_page")
    rows, command = page.Rows.committed(), "run docs/benchmarks/accuracy_page.py"
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.make_page(text, rows) == text, command
    readme = page.README.read_text(encoding="utf-8")
    assert page.make_readme(readme, rows) == readme, command
    pages = page.make_task_pages(rows)
    for name, text in pages.items():
        assert (page.PAGES / f"{name}.md").read_text(encoding="utf-8") == text, command
    assert {one.stem for one in page.PAGES.glob("*.md")} == {*pages, "ett"}


def test_the_validation_part_picks_the_rate(script):
    """Not the test error, which is lower at the other rate here."""
    rows = make_rows(
        script,
        ("sales", "tide", 5e-4, 0, 1, 0.2, 0.1),
        ("sales", "tide", 2e-3, 0, 1, 0.1, 0.3),
        ("sales", "tide", 2e-3, 1, 1, 0.1, 0.5),
    )
    assert list(script("covariate_tables").pick(rows, "sales", "tide")["mse"]) == [0.3, 0.5]


def test_the_finest_stride_stands_for_a_method(script):
    """And an ablation compares at the one stride that all its parts have."""
    rows = make_rows(
        script,
        ("vic_elec", "informer", None, 0, 5, 0.2, 0.03),
        ("vic_elec", "informer", None, 0, 1, 0.2, 0.02),
        ("vic_elec", "informer-start", None, 0, 5, 0.3, 0.04),
    )
    tables = script("covariate_tables")
    assert list(tables.pick(rows, "vic_elec", "informer")["mse"]) == [0.02]
    parts = tables.make_parts(rows, ["vic_elec"])
    assert "| vic_elec | 0.0300 | 0.0400 |  |  |  |  |" in parts
    assert tables.make_mechanisms(rows, ["vic_elec"]) == ""
    more = make_rows(script, ("vic_elec", "informer-full", None, 0, 5, 0.2, 0.05))
    mechanisms = tables.make_mechanisms(pd.concat([rows, more]), ["vic_elec", "bike_hour"])
    assert mechanisms.splitlines()[2:] == ["| vic_elec | 0.0300 | 0.0500 |  |"]


@pytest.mark.parametrize(
    ("values", "text"),
    [([], ""), ([0.02576], "0.0258"), ([12.65], "12.7"), ([0.1, 0.2], "0.150 ± 0.07")],
)
def test_a_cell_has_three_digits(script, values, text):
    assert script("covariate_tables").write(pd.Series(values, dtype=float)) == text


def test_the_summary_names_ours_and_the_two_best_others(script):
    page = script("accuracy_page")
    runs = (("tide", 0.2), ("linear", 0.4), ("naive", 0.9), ("informer", 0.3))
    rows = make_rows(script, *(("delay", name, None, 0, 1, None, e) for name, e in runs))
    nothing = page.Rows.committed()._replace(covariates=rows)
    best = "best of the others TiDE 0.200, Linear regression 0.400."
    assert f"absolute error: Informer **0.300**; {best}" in page.make_summary(nothing)
    unmeasured = nothing._replace(covariates=rows[rows["method"] != "informer"])
    assert f"absolute error: Informer not measured yet; {best}" in page.make_summary(unmeasured)


def test_a_mean_over_fewer_horizons_is_not_shown(script):
    page = script("accuracy_page")
    horizons = (96, 192, 336, 720)
    whole = make_rows(
        script, *((f"weather-{h}", "informer", None, 0, 1, 0.1, h / 100) for h in horizons)
    )
    rows = page.Rows.committed()
    assert rows._replace(covariates=whole).measured("Weather", "informer") == pytest.approx(3.36)
    assert pd.isna(rows._replace(covariates=whole[:3]).measured("Weather", "informer"))
    assert pd.isna(rows.stated("ETTh1", "LogTrans"))
