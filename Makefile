# The two commands of the README. Each makes its own environment in .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
# A process for each core, up to four, of one thread each: two threads in each would wait for one another.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
# The quick tests; make test TESTS="tests/nn -k lstm" runs others.
TESTS = -m "not slow and not long"

.PHONY: demo test test-all soak lint docs reference clean

demo: $(VENV)/installed
	$(BIN)/ner-elmo tag data/sample.txt

test: $(VENV)/installed-dev
	$(PYTEST) $(TESTS)

# Everything, with the real corpora and full counts.
test-all: $(VENV)/installed-dev
	$(PYTEST)

# Faults, hostile files and texts with full counts (docs/reliability.md); what was found is printed at the end.
soak: $(VENV)/installed-dev
	rm -f soak.txt
	OMP_NUM_THREADS=1 NER_ELMO_SOAK=$(CURDIR)/soak.txt $(BIN)/python -m pytest tests/trust; status=$$?; \
	    cat soak.txt; exit $$status

lint: $(VENV)/installed-dev
	$(BIN)/ruff check ner_elmo tests benchmarks
	$(BIN)/ruff format --check ner_elmo tests benchmarks
	$(BIN)/mypy

# The documentation as a site, in site/. Needs no network once its packages are there; a link that leads nowhere ends it.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The pages that are made from settings and commands.
reference: $(VENV)/installed-dev
	$(BIN)/python -m ner_elmo.cli.reference > docs/settings.md
	$(BIN)/python -m ner_elmo.cli.reference commands > docs/commands.md

# Python 3.10 comes with a pip that cannot install seqeval beside a new setuptools; a newer one stays as it is.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "pip>=23.1"

$(VENV)/installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist site
