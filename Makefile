# Each command makes or renews .venv when it has to, silently unless that fails.
# PYTHON=python3.12 make test   uses another Python for a new .venv.

# Python keeps what it compiles, whatever the environment says: torch takes seconds to compile in every process anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
TESTS_OF_ARITHMETIC := $(patsubst %,tests/test_%.py,\
    memory_layout precision)

.PHONY: demo test test-avx2 test-oldest benchmark architectures lint clean

demo: .venv/ready
	@echo 'Trains three networks on the digits of scikit-learn, takes them apart and writes demo/report.html.' >&2
	@echo 'That takes two to three minutes on two cores.' >&2
	@$(BIN)/unravelnet reproduce --data digits --out demo

# Two processes with one thread each: more threads than cores slow each other down. A file stays in one process, so
# that what its tests share is made once.
test: .venv/ready-to-develop
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile

# Where precision and memory layout matter, as on a processor without AVX-512.
test-avx2: .venv/ready-to-develop
	@ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 $(TESTS_OF_ARITHMETIC)

# With the oldest dependencies, in an environment of their own: several gigabytes, since torch has no small build of
# that age. Warnings are no errors there: old packages warn of each other.
test-oldest: .venv-oldest/ready
	@OMP_NUM_THREADS=1 .venv-oldest/bin/pytest -q -n 2 --dist loadfile -o filterwarnings=default

# On a machine that does nothing else; half an hour. Two other tools are installed, to be measured beside ours.
benchmark: .venv/ready-to-benchmark
	@$(BIN)/python -m benchmarks

# What has no row yet; `python -m survey --only REGEX` measures some anew. A quarter of an hour from nothing.
architectures: .venv/ready-to-develop
	@OMP_NUM_THREADS=1 $(BIN)/python -m survey

lint: .venv/ready-to-develop
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy --no-error-summary

clean:
	@rm -rf .venv .venv-oldest demo .pytest_cache .ruff_cache .mypy_cache .hypothesis

# $(call install,EXTRAS): the constraints are in effect for everything, torch included. Python compiles what it
# imports; to compile all beforehand would take as long again.
define install
	@echo 'Installing into .venv; the first time this takes some minutes.' >&2
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.$(1)' > .venv/install.log 2>&1 \
	    || { cat .venv/install.log >&2; exit 1; }
	@touch $@
endef

.venv/ready: pyproject.toml constraints.txt
	$(call install)

.venv/ready-to-develop: pyproject.toml constraints.txt
	$(call install,[dev$(comma)timm$(comma)transformers])
	@touch .venv/ready

.venv/ready-to-benchmark: pyproject.toml constraints.txt
	$(call install,[dev$(comma)timm$(comma)transformers$(comma)benchmark])
	@touch .venv/ready .venv/ready-to-develop

.venv-oldest/ready: pyproject.toml constraints-oldest.txt
	@test -x .venv-oldest/bin/pip || $(PYTHON) -m venv .venv-oldest
	@.venv-oldest/bin/python -m pip install -q -c constraints-oldest.txt -e '.[dev$(comma)timm$(comma)transformers]'
	@touch $@

comma := ,
