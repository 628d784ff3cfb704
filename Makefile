# make demo   sets up, builds, and fine-tunes a small BiT on real handwritten digits
# make test   sets up, builds, and runs every check that continuous integration runs (under 30 minutes on 2 cores)
# make help   the other targets
#
# Setting up means: missing Debian/Ubuntu packages of tools/apt-*.txt (as root or with sudo; otherwise it says what to
# install), a virtual environment .venv with the packages of tools/requirements-*.txt, and builds under build/.
# Nothing else on the machine is touched. No GPU and no deep-learning framework is needed.

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 600
CASES ?= all
SHELL := /bin/bash

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/python
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
# Looked up when a recipe runs: the set-up before it may have installed ccache.
export CMAKE_CXX_COMPILER_LAUNCHER = $(notdir $(shell command -v ccache))

PY_FILES := python/pybit tools tests examples benchmarks
CXX_FILES = $(shell git ls-files '*.hpp' '*.ipp' '*.inl' '*.cpp')
STAGES := build ctest pytest lint headers wheel readme tidy asan aarch64

.PHONY: help demo bench test test-slow test-oracle setup setup-test fuzz format clean \
        build ctest pytest lint headers compile-cost wheel readme tidy asan aarch64 \
        ctest-slow pytest-slow tsan fuzz-seeds clang

help:
	@sed -n '1,3p' Makefile | sed 's/^# //'
	@echo "make test-slow    what takes long: large networks, thread sanitizer, fuzzers' seeds, clang build, the demo"
	@echo "make test-oracle  installs torch, timm and transformers, then runs the tests that compare with them"
	@echo "make bench        installs the peers into .venv-bench and measures; CASES=quick for a short run"
	@echo "make fuzz         runs each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make format       formats all code as the lint stage wants it"
	@echo "make clean        removes build/ (.venv stays)"
	@echo "single stages     $(STAGES)"

demo: build
	python examples/demo.py

test: setup-test
	python tools/stages.py $(STAGES)

test-slow: setup-test
	python tools/stages.py build compile-cost ctest-slow pytest-slow clang tsan fuzz-seeds demo

test-oracle: build
	pip install -q -r tools/requirements-oracle.txt && pip install -q --no-deps 'timm>=1.0'
	python -m pytest tests/python

# Goes on where a run of the same NAME stopped; AGAIN=1 measures anew. TORCH_INDEX: where pip finds the CPU build of torch.
bench: build .venv-bench/stamp | build/wheel/venv/bin/python
	.venv-bench/bin/python benchmarks/run.py --cases '$(CASES)' $(if $(NAME),--name '$(NAME)') $(if $(AGAIN),--again)

.venv-bench/stamp: benchmarks/requirements.txt
	@echo "installing torch, onnx, onnxruntime, openvino and matplotlib into .venv-bench (1.3 GB)"
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	$(if $(TORCH_INDEX),.venv-bench/bin/python -m pip install -q --index-url '$(TORCH_INDEX)' "$$(grep ^torch== $<)")
	.venv-bench/bin/python -m pip install -q -r $<
	@touch $@

# --- set-up ---------------------------------------------------------------------------------------------------------
setup: .venv/build.stamp
	@tools/setup_system.sh tools/apt-build.txt

setup-test: setup .venv/test.stamp
	@tools/setup_system.sh tools/apt-test.txt

.venv/bin/python:
	@tools/setup_system.sh tools/apt-build.txt
	$(PYTHON) -m venv .venv

.venv/%.stamp: tools/requirements-%.txt tools/requirements-build.txt | .venv/bin/python
	.venv/bin/python -m pip install -q -r $<
	@touch $@

# --- stages ---------------------------------------------------------------------------------------------------------
build: setup
	cmake --preset dev -DPython_EXECUTABLE=$(CURDIR)/.venv/bin/python -DBIT_BUILD_TESTS=$(if $(wildcard .venv/test.stamp),ON,OFF)
	cmake --build --preset dev

ctest: build
	ctest --preset dev

pytest: build
	python -m pytest -q

lint:
	ruff check $(PY_FILES)
	ruff format --check $(PY_FILES)
	mypy python/pybit tools/*.py tests/build/*.py benchmarks/*.py
	python -m mypy.stubtest pybit._core --mypy-config-file pyproject.toml --allowlist tests/build/stubs_allowed.txt
	clang-format --dry-run --Werror $(CXX_FILES)
	python tests/build/check_house.py

format:
	ruff check -q --fix $(PY_FILES)
	ruff format -q $(PY_FILES)
	clang-format -i $(CXX_FILES)

headers: build
	python tests/build/check_headers.py build/dev $(CXX)

compile-cost: build
	python tests/build/compile_cost.py build/dev build/compile_cost.json

wheel:
	python tools/check_wheel.py build/wheel

build/wheel/venv/bin/python: | setup-test
	$(MAKE) wheel

readme: build | build/wheel/venv/bin/python
	build/wheel/venv/bin/python -m pip install -q "$$(ls build/wheel/dist/*.whl)[formats,images,plots,tensorboard]"
	cmake --install build/dev --prefix build/prefix --component bit_development
	python tools/run_readme.py README.md docs/finetuning.md --python build/wheel/venv/bin/python --prefix build/prefix

# The preset's own build would compile as well; its list of commands is enough.
tidy:
	cmake --preset tidy
	clang-tidy -p build/tidy --quiet build/tidy/bit_parts/*.cpp

asan:
	cmake --preset asan-ubsan
	cmake --build --preset asan-ubsan
	ctest --preset asan-ubsan

aarch64:
	tools/check_aarch64.sh -DPython_EXECUTABLE=$(CURDIR)/.venv/bin/python

# --- slow stages ----------------------------------------------------------------------------------------------------
ctest-slow: build
	ctest --preset dev -C Slow -R _slow$$

pytest-slow: build
	python -m pytest -q tests/python -m slow

clang: build
	python tests/build/check_headers.py build/dev clang++
	cmake --preset clang
	cmake --build --preset clang
	ctest --preset clang

tsan:
	cmake --preset tsan
	cmake --build --preset tsan
	ctest --preset tsan

build/fuzz/build.ninja:
	cmake --preset fuzz

fuzz-seeds: build/fuzz/build.ninja
	cmake --build --preset fuzz
	ctest --preset fuzz

# New findings of a fuzzer go to build/fuzz/found, so that the seeds in tests/fuzz/corpus stay few and small.
fuzz: fuzz-seeds build
	mkdir -p build/fuzz/found
	cd build/fuzz/found && for f in ../tests/fuzz/fuzz_*; do test -x $$f || continue; name=$${f##*fuzz_}; mkdir -p $$name; \
	  echo "== $$name"; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=25 \
	  $$name $(CURDIR)/tests/fuzz/corpus/$$name || exit 1; done
	build/dev/tests/cpp/backend/fuzz_networks --seconds $(FUZZ_SECONDS) --seed $$(date +%s)
	PYTHONPATH=python:tests/python python tests/fuzz/fuzz_formats.py --seconds $(FUZZ_SECONDS)

clean:
	rm -rf build
