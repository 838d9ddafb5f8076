# make demo: measures a real small model and writes a report. make test: runs every check.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint browser
.DEFAULT_GOAL := demo

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: install
	mkdir -p demo
	$(BIN)/steergauge gauge qwen2.5-coder-0.5b --store demo/steergauge.db \
		--html demo/report.html --json demo/result.json --csv demo/generations.csv

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A thread a process: two processes of two threads each hold each other up.
test: lint browser
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not real"
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m real

# The report is tested in a real browser: Debian's chromium unless one is there.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || test -n "$$STEERGAUGE_CHROMIUM" || \
		{ apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
		{ echo "install chromium, or name a browser in STEERGAUGE_CHROMIUM" >&2; exit 1; }
