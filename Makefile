# Two commands are all that a newcomer needs: `make demo` and `make test`.
# Both make the virtual environment in .venv themselves; the second time they start at once.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := recording_format service_shell mcp_sim webdav_store recording_processor crypto_server reclab tests
DEMO := --calls 8 --seconds 6

.PHONY: demo test check format archive-2000 bench fuzz faults scenarios clean

# At a terminal the demo stays up until Ctrl-C; in a script it ends and says whether all was well.
demo: $(STAMP)
	@end=; [ -t 1 ] || end=--exit; set -x; $(BIN)/reclab demo $(DEMO) $$end

test: $(STAMP)
	$(BIN)/pytest $(TESTS)

check: $(STAMP)
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/pytest -q tests/test_architecture.py

format: $(STAMP)
	$(BIN)/ruff format $(PACKAGES)
	$(BIN)/ruff check --fix $(PACKAGES)

# Archives 2,000 recordings of 1 MB and measures the memory: 4 minutes, 8 GB of temporary files.
archive-2000: $(STAMP)
	$(BIN)/python -m tests.reclab.archive.many 2000

bench: $(STAMP)
	$(BIN)/python -m reclab.bench $(BENCH)

# A million damaged messages for every parser: about two minutes. FUZZ="--count 100000 --seed 7
# --parser sip" asks for others, FUZZ="--file fuzz-failures/…" tries one again that was found.
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(FUZZ)

# 200 times kill -9 under 40 calls, then every call is listened to: 15 minutes.
# FAULTS="--kills 1000 --calls 40 --seed 7" asks for others.
faults: $(STAMP)
	$(BIN)/python -m tests.faults $(FAULTS)

# Plays every scenario of faults under its full load: about six minutes.
# SCENARIOS="store-down --seed 7" plays that one.
scenarios: $(STAMP)
	$(BIN)/reclab faults run $(or $(SCENARIOS),--all)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt install/virtual-environment
	sh install/virtual-environment $(VENV)
	touch $@
