# Two commands: `make study` (sets up, runs the source study) and `make test` (sets up, runs every check).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := requirements.lock
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One worker more than processors, up to 4, since compilers and emulators wait; whoever is done takes tests from another.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); if [ $$n -lt 4 ]; then echo $$((n + 1)); else echo 4; fi)
PYTEST := sh tests/in_memory.sh $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
ARGS   ?=
# What the tests of the generated C compile and run it with; a test that finds its tool missing is skipped by name.
SYSTEM := python3-venv make gcc libc6-dev clang llvm libclang-rt-14-dev valgrind qemu-user-static qemu-system-arm \
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
  gcc-s390x-linux-gnu libc6-dev-s390x-cross gcc-arm-none-eabi libnewlib-arm-none-eabi libsimde-dev \
  gcc-avr avr-libc simavr qemu-system-misc gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf \
  arduino-builder arduino-core-avr cmake gcc-xtensa-lx106 picolibc-xtensa-lx106-elf \
  chromium firefox-esr espeak-ng fonts-noto-cjk

.DEFAULT_GOAL := help
# What `make floors` runs: the parts that lean on other packages.
FLOORS := tests/test_api.py tests/training tests/data tests/measure tests/models tests/study/test_run.py \
  tests/study/test_spec.py tests/cli/test_cli.py tests/cli/test_inspect.py tests/deploy/test_export.py tests/deploy/test_verify.py

.PHONY: help study test coverage soak mutants integrations lint docs picture bench dist system lock floors clean

help:                     ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

study: $(VENV)/.ready     ## run the source study (ARGS="--jobs 4 --seeds 3" adds options)
	$(BIN)/niwaki study run source $(ARGS)

test: $(VENV)/.ready-dev lint ## every check: format, lint, types, import contract, tests
	$(PYTEST) $(ARGS)

coverage: $(VENV)/.ready-dev ## the tests again, and the lines that none of them reaches
	$(PYTEST) --cov=niwaki --cov-report=term-missing:skip-covered $(ARGS)

soak: $(VENV)/.ready-dev  ## the long forms of the tests
	$(BIN)/python -m pytest -m soak $(ARGS)

mutants: $(VENV)/.ready-dev ## change the core modules place by place, count what their tests notice (ARGS="select prune")
	$(PYTHON) -m venv $(VENV)-mutants
	$(VENV)-mutants/bin/pip install --quiet --disable-pip-version-check --constraint $(LOCK) -r tests/mutation/requirements.txt
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(VENV)-mutants/lib/python*/site-packages)/project.pth
	sh tests/in_memory.sh $(VENV)-mutants/bin/python -m tests.mutation $(ARGS)

integrations: $(VENV)/.ready-dev ## callbacks and tables with pandas, tqdm, TensorBoard, MLflow, wandb; types in a user's program
	$(PYTHON) -m venv $(VENV)-integrations
	$(VENV)-integrations/bin/pip install --quiet --disable-pip-version-check -r tests/integrations/requirements.txt
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > $$(echo $(VENV)-integrations/lib/python*/site-packages)/project.pth
	$(VENV)-integrations/bin/python -m pytest -m soak tests/integrations $(ARGS)

lint: $(VENV)/.ready-dev  ## format, lint, types, import contract, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src docs tests benchmarks *.md

docs: $(VENV)/.ready-dev  ## the documentation's pages: build/docs/index.html
	$(BIN)/python -m docs.generate
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs

picture: $(VENV)/.ready-dev ## draw docs/architecture.svg from the import contract
	$(BIN)/python -m tests.picture

bench: $(VENV)/.ready-dev ## benchmarks against the peers (see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(ARGS)

dist: $(VENV)/.ready-dev  ## dist/: the sdist and the wheel, each installed in an environment of its own and tried
	rm -rf dist $(VENV)-dist
	$(BIN)/python -m hatchling build -d dist
	for file in dist/*.whl dist/*.tar.gz; do \
	  $(PYTHON) -m venv --clear $(VENV)-dist && \
	  $(VENV)-dist/bin/pip install --quiet --disable-pip-version-check --constraint $(LOCK) "$$file" && \
	  $(VENV)-dist/bin/python tests/tried.py "$$file" || exit 1; done
	rm -r $(VENV)-dist

system:                   ## system packages that some tests need (Debian 12, root): those that are missing
	@missing=$$(for package in $(SYSTEM); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
	if [ -n "$$missing" ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; fi
	@sh tests/device/sysroots.sh # Pythons for the boards' processors, run by emulators

lock:                     ## resolve the dependencies again into requirements.lock
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install -q pip-tools
	printf '%s\n' 'torch==2.13.0' 'soupsieve<3' > $(VENV)-lock/pin.txt # soupsieve 3 needs Python 3.11.5; Debian 12 has 3.11.2
	$(VENV)-lock/bin/pip-compile -q --allow-unsafe --all-extras --strip-extras --no-header --no-emit-options \
	  --annotation-style line -c $(VENV)-lock/pin.txt -o $(LOCK) pyproject.toml
	sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9]+( +#).*/\1\2 via niwaki (pyproject.toml), torch-pruning/' $(LOCK)
	rm -r $(VENV)-lock

floors:                   ## install the lowest versions that pyproject.toml allows, and try them
	$(PYTHON) -m venv $(VENV)-floors
	$(PYTHON) tests/floors.py > $(VENV)-floors/lowest.txt
	$(VENV)-floors/bin/pip install -q --constraint $(VENV)-floors/lowest.txt --editable . pytest pytest-timeout pytest-xdist hypothesis
	sh tests/in_memory.sh $(VENV)-floors/bin/python -m pytest -n $(WORKERS) --dist worksteal $(FLOORS) $(ARGS)
	rm -r $(VENV)-floors

clean:                    ## remove the environment and all caches; studies stay
	rm -rf $(VENV) $(VENV)-mutants $(VENV)-integrations $(VENV)-dist build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "niwaki needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The editable install builds with the locked hatchling, so that nothing unpinned is ever fetched.
$(VENV)/.ready: $(VENV)/bin/python $(LOCK) pyproject.toml
	$(PIP) --constraint $(LOCK) hatchling editables
	$(PIP) --constraint $(LOCK) --no-build-isolation --editable '.[device]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --constraint $(LOCK) --no-build-isolation --editable '.[dev,docs,ray,device,serial]'
	@touch $@
