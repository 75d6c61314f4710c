"""The page on reliability says what the last run of the slow tests counted."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "docs" / "reliability" / "page.py"


def test_the_page_is_that_of_the_results():
    page = runpy.run_path(str(SCRIPT))
    assert page["PAGE"].read_text(encoding="utf-8") == page["render"]()


def test_every_case_was_survived():
    with SCRIPT.with_name("results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 10
    assert [row for row in rows if int(row["cases"]) != int(row["survived"])] == []


def test_a_recorded_row_takes_the_place_of_an_older_one(tmp_path, monkeypatch, record_cases):
    """Only where a run asked for it: the tests do not write to the checkout."""
    before = SCRIPT.with_name("results.csv").read_bytes()
    record_cases("fault", 1, 1, "pytest")
    assert SCRIPT.with_name("results.csv").read_bytes() == before
    results = tmp_path / "results.csv"
    results.write_text("fault,cases,survived,command\nfault,1,0,old\nother,2,2,pytest\n")
    monkeypatch.setenv("RELIABILITY_RESULTS", str(results))
    record_cases("fault", 3, 3, "pytest")
    assert results.read_text().splitlines()[1:] == ["fault,3,3,pytest", "other,2,2,pytest"]
