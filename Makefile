# Each target makes and fills .venv when it has to: a machine with Python 3.11 and make is enough.
# Another interpreter: make test PYTHON=python3.12

# A version manager may leave a python3.11 on the path that does not start: run it before using it.
PYTHON ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo python3)
VENV := .venv
RUN := $(VENV)/bin/python
# Two processes, as two cores are the least that is expected. One: make test WORKERS=0
WORKERS ?= 2
PYTEST := $(RUN) -m pytest -n $(WORKERS) --dist loadfile
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-lowest test-newest coverage reliability notebooks audit lint format docs clean

help:
	@echo "make demo      fit, backtest and forecast real data, and draw the chart"
	@echo "make test      the tests, without the slow ones"
	@echo "make test-all  every test"
	@echo "make test-lowest  the tests with the lowest versions of the libraries that can be installed"
	@echo "make test-newest  the same with the newest ones"
	@echo "make coverage  the tests, and the share of the package's lines that they run"
	@echo "make reliability  inject every fault, and write docs/reliability.md"
	@echo "make notebooks  run the notebooks, and keep what they print and draw"
	@echo "make audit     look the installed versions up among the known vulnerabilities"
	@echo "make lint      formatting, lint rules and types"
	@echo "make format    apply the formatting and the safe fixes"
	@echo "make docs      the documentation site, in docs/_build; warnings are errors"
	@echo "make clean     remove .venv and what tools and builds left behind"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "informer-forecaster needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); what pip says goes to $(VENV)/install.log"
	@$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e ".[docs,test]" \
		>$(VENV)/install.log 2>&1 || { tail -20 $(VENV)/install.log; exit 1; }
	@touch $@

demo: $(INSTALLED)
	@$(RUN) docs/examples/quickstart.py

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

coverage: $(INSTALLED)
	$(RUN) -m coverage run -m pytest -m "not slow"
	$(RUN) -m coverage report --skip-covered --sort=cover

$(VENV)-lowest/.installed: pyproject.toml constraints-lowest.txt
	test -x $(VENV)-lowest/bin/python || $(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --disable-pip-version-check \
		-c constraints-lowest.txt -e ".[all]" pytest hypothesis dask
	@touch $@

# The site, the type checker and the exporters are not among what users install.
LIBRARY_TESTS := tests/test_attention.py tests/test_network.py tests/test_known_defects.py \
	tests/test_time_features.py tests/test_damaged_files.py tests/test_interruptions.py \
	tests/test_darts_*.py tests/test_sktime*.py

test-lowest: $(VENV)-lowest/.installed
	$(VENV)-lowest/bin/python -m pytest -m "not slow" $(filter-out %_checks.py,$(wildcard $(LIBRARY_TESTS)))

# sktime's own bound keeps the newest pandas out: it goes in last, whatever the bound says.
$(VENV)-newest/.installed: pyproject.toml constraints-newest.txt
	test -x $(VENV)-newest/bin/python || $(PYTHON) -m venv $(VENV)-newest
	grep -v '^pandas==' constraints-newest.txt >$(VENV)-newest/constraints.txt
	$(VENV)-newest/bin/python -m pip install --disable-pip-version-check \
		-c $(VENV)-newest/constraints.txt -e ".[all]" \
		pytest hypothesis dask onnx onnxruntime onnxscript
	$(VENV)-newest/bin/python -m pip install --disable-pip-version-check \
		--no-deps "$$(grep '^pandas==' constraints-newest.txt)"
	@touch $@

test-newest: $(VENV)-newest/.installed
	$(VENV)-newest/bin/python -m pytest -m "not slow" $(LIBRARY_TESTS)

RELIABILITY := $(addprefix tests/test_,$(addsuffix .py,\
	damaged_files interruptions mutations numbers determinism resources concurrency fuzz_darts fuzz_sktime))

reliability: $(INSTALLED)
	RELIABILITY_RESULTS=docs/reliability/results.csv $(RUN) -m pytest $(RELIABILITY)
	$(RUN) docs/reliability/page.py

notebooks: $(INSTALLED)
	$(RUN) docs/notebooks/execute.py

audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit
	build/audit/bin/python -m pip_audit --strict --disable-pip --no-deps --requirement constraints.txt

lint: $(INSTALLED)
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

format: $(INSTALLED)
	$(RUN) -m ruff check --fix --exit-zero --quiet .
	$(RUN) -m ruff format .

docs: $(INSTALLED)
	$(RUN) -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build
	@echo "docs/_build/index.html"

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest build dist docs/_build docs/jupyter_execute *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
