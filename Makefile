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
# The version that a release is checked against, for instance v0.1.0; empty: what config.hpp says.
TAG ?=
# Processes that run the Python tests. Their networks have threads of their own, so more than four gain nothing.
TEST_JOBS ?= $(shell echo $$(( $(JOBS) < 4 ? $(JOBS) : 4 )))
CASES ?= all
# More arguments for each `cmake --preset`.
CMAKE_FLAGS ?=
# Where pip finds the CPU build of torch; without it pip's own index decides, which may be the build for GPUs.
TORCH_INDEX ?=
SHELL := /bin/bash

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/python
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
# Looked up when a recipe runs: the set-up before it may have installed ccache.
export CMAKE_CXX_COMPILER_LAUNCHER = $(notdir $(shell command -v ccache))

PY_FILES := python/pybit tools tests examples benchmarks
CXX_FILES = $(shell git ls-files '*.hpp' '*.ipp' '*.inl' '*.cpp')
# The longest first, so that none is left to run alone in the end.
STAGES := build asan aarch64 clang pytest ctest headers wheel readme tidy lint
SLOW_STAGES := build tsan clang-whole headers-whole coverage-cpp coverage-python fuzz-seeds pytest-explore demo compile-cost ctest-slow pytest-slow
# tools/stages.py names in DONE what it has run: without this, stages that run side by side would build at once.
BUILT := $(if $(filter build,$(DONE)),,build)

.PHONY: help demo bench test test-slow test-oracle pillow-images test-xtensor setup setup-test fuzz format clean \
        build ctest pytest lint headers compile-cost wheel readme tidy asan clang aarch64 \
        ctest-slow pytest-slow pytest-explore pytest-oracle tsan clang-whole headers-whole fuzz-seeds coverage coverage-cpp coverage-python \
        release-check wheels

help:
	@sed -n '1,3p' Makefile | sed 's/^# //'
	@echo "make test-slow    what takes long: large networks, thread sanitizer, fuzzers' seeds, coverage, the demo"
	@echo "make test-oracle  installs torch, timm and transformers, then runs the tests that compare with them"
	@echo "make pillow-images  fetches the test images of Pillow (46 MB), with which test-oracle compares as well"
	@echo "make bench        installs the peers into .venv-bench and measures; CASES=quick for a short run"
	@echo "make fuzz         runs each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make format       formats all code as the lint stage wants it"
	@echo "make wheels       builds the wheels of a release with cibuildwheel (needs docker)"
	@echo "make clean        removes build/ (.venv stays)"
	@echo "make coverage     lines that the C++ and the Python tests run, against the floors of tools/coverage.json"
	@echo "single stages     $(STAGES)"

demo: $(BUILT)
	python examples/demo.py

test: setup-test
	python tools/stages.py --promise 1800 $(STAGES)

test-slow: setup-test
	python tools/stages.py $(SLOW_STAGES)

test-oracle: build
	$(if $(TORCH_INDEX),pip install -q --index-url '$(TORCH_INDEX)' "$$(grep ^torch== tools/requirements-oracle.txt)")
	pip install -q -r tools/requirements-oracle.txt && pip install -q --no-deps 'timm>=1.0'
	$(MAKE) pillow-images pytest-oracle

# Pillow's own test images, which only its source archive holds: tests/python/test_pillow_images.py compares with them.
pillow-images: build/pillow/Tests/images

build/pillow/Tests/images:
	$(PYTHON) -m venv build/pillow/venv
	build/pillow/venv/bin/python -m pip install -q setuptools wheel
	build/pillow/venv/bin/python -m pip download -q -d build/pillow --no-deps --no-binary :all: --no-build-isolation pillow==10.4.0
	tar -xzf build/pillow/pillow-10.4.0.tar.gz -C build/pillow --strip-components=1 pillow-10.4.0/Tests

# With the xtensor that CMake downloads, 0.26 or newer: what the set-up installs on Debian 12 is 0.24. Without the consumers,
# since an installed bit asks for an installed xtensor.
test-xtensor: setup-test
	$(MAKE) test STAGES='build ctest' CMAKE_FLAGS='-DBIT_INSTALL=OFF $(CMAKE_FLAGS) $(foreach package,xtl xtensor \
	  XtensorBlasHeaders,-DCMAKE_DISABLE_FIND_PACKAGE_$(package)=ON)'

# A comparison that is skipped because torch, timm or transformers is missing fails here (tests/build/require_oracles.py).
pytest-oracle: $(BUILT)
	PYTHONPATH=$(PYTHONPATH):tests/build python -m pytest -n $(TEST_JOBS) -p require_oracles tests/python

# Goes on where a run of the same NAME stopped; AGAIN=1 measures anew; NAME=release writes the published page.
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
	cmake --preset dev $(CMAKE_FLAGS) -DPython_EXECUTABLE=$(CURDIR)/.venv/bin/python -DBIT_BUILD_TESTS=$(if $(wildcard .venv/test.stamp),ON,OFF)
	cmake --build --preset dev

ctest: $(BUILT)
	ctest --preset dev

pytest: $(BUILT)
	python -m pytest -q -n $(TEST_JOBS) --dist worksteal

lint:
	ruff check $(PY_FILES)
	ruff format --check $(PY_FILES)
	mypy python/pybit tools/*.py tests/build/*.py benchmarks/*.py
	python -m mypy.stubtest pybit._core --mypy-config-file pyproject.toml --allowlist tests/build/stubs_allowed.txt
	@echo "clang-format --dry-run --Werror of $(words $(CXX_FILES)) files"
	@clang-format --dry-run --Werror $(CXX_FILES)
	python tests/build/check_house.py
	python tests/build/check_words.py
	python tests/build/check_spdx.py

format:
	ruff check -q --fix $(PY_FILES)
	ruff format -q $(PY_FILES)
	clang-format -i $(CXX_FILES)

headers: $(BUILT)
	python tests/build/check_headers.py build/dev $(CXX) clang++

headers-whole: $(BUILT)
	python tests/build/check_headers.py build/dev --both-modes $(CXX) clang++

compile-cost: $(BUILT)
	python tests/build/compile_cost.py build/dev build/compile_cost.json

wheel:
	python tools/check_wheel.py build/wheel

build/wheel/venv/bin/python: | $(if $(DONE),,setup-test)
	$(MAKE) wheel

readme: $(BUILT) | build/wheel/venv/bin/python
	build/wheel/venv/bin/python -m pip install -q "$$(ls build/wheel/dist/*.whl)[formats,images,plots,tensorboard]"
	cmake --install build/dev --prefix build/prefix --component bit_development
	python tools/run_readme.py README.md docs/finetuning.md docs/cpp.md --python build/wheel/venv/bin/python --prefix build/prefix

# The preset's own build would compile as well; its list of commands is enough.
tidy:
	cmake --preset tidy $(CMAKE_FLAGS)
	printf '%s\n' build/tidy/bit_parts/*.cpp | xargs -P $(JOBS) -n 1 clang-tidy -p build/tidy --quiet

asan:
	cmake --preset asan-ubsan $(CMAKE_FLAGS)
	cmake --build --preset asan-ubsan
	ctest --preset asan-ubsan

# What the sanitizers' stage, which compiles and runs the other tests with clang, does not show: the bits of optimised
# kernels, the examples and units beside the library. clang-whole builds and runs everything.
clang:
	cmake --preset clang $(CMAKE_FLAGS)
	cmake --build --preset clang --target test_backend test_golden test_golden_gradients test_odr_bit examples/all
	ctest --preset clang -j $(JOBS) -R '^(backend|golden_[01]|golden_gradients|odr_bit)$$'

aarch64:
	tools/check_aarch64.sh -DPython_EXECUTABLE=$(CURDIR)/.venv/bin/python

# --- slow stages ----------------------------------------------------------------------------------------------------
clang-whole:
	cmake --preset clang $(CMAKE_FLAGS)
	cmake --build --preset clang
	ctest --preset clang -j $(JOBS)

ctest-slow: $(BUILT)
	ctest --preset dev -C Slow -R _slow$$

pytest-slow: $(BUILT)
	python -m pytest -q tests/python -m slow

# The property tests with new examples, which `make pytest` does not draw.
pytest-explore: $(BUILT)
	python -m pytest -q tests/python -m 'hypothesis and not slow' --hypothesis-profile=explore

tsan:
	cmake --preset tsan $(CMAKE_FLAGS)
	cmake --build --preset tsan
	ctest --preset tsan

build/fuzz/build.ninja:
	cmake --preset fuzz $(CMAKE_FLAGS)

fuzz-seeds: build/fuzz/build.ninja
	cmake --build --preset fuzz
	ctest --preset fuzz

# Lines that the tests run, against the floors of tools/coverage.json. Golden cases are left out: they take the longest and
# run the same lines as others.
coverage: coverage-cpp coverage-python

coverage-cpp:
	cmake --preset coverage $(CMAKE_FLAGS)
	cmake --build --preset coverage
	rm -rf build/coverage/profiles
	ctest --preset coverage
	llvm-profdata merge -sparse build/coverage/profiles/*.profraw -o build/coverage/cpp.profdata
	llvm-cov export -summary-only -instr-profile=build/coverage/cpp.profdata \
	  $$(find build/coverage/tests/cpp -name 'test_*' -type f -executable | sed '2,$$s/^/-object /') > build/coverage/cpp.json
	python tools/check_coverage.py cpp build/coverage/cpp.json

coverage-python: $(BUILT)
	rm -rf build/coverage/python && mkdir -p build/coverage/python
	python -m coverage run -m pytest -q -n $(TEST_JOBS) --dist worksteal tests/python
	python -m coverage combine -q
	python -m coverage json -q -o build/coverage/python.json
	python tools/check_coverage.py python build/coverage/python.json

# New findings of a fuzzer go to build/fuzz/found, so that the seeds in tests/fuzz/corpus stay few and small.
fuzz: fuzz-seeds build
	mkdir -p build/fuzz/found
	cd build/fuzz/found && for f in ../tests/fuzz/fuzz_*; do test -x $$f || continue; name=$${f##*fuzz_}; mkdir -p $$name; \
	  echo "== $$name"; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=25 \
	  $$name $(CURDIR)/tests/fuzz/corpus/$$name || exit 1; done
	build/dev/tests/cpp/backend/fuzz_networks --seconds $(FUZZ_SECONDS) --seed $$(date +%s)
	PYTHONPATH=python:tests/python python tests/fuzz/fuzz_formats.py --seconds $(FUZZ_SECONDS)

# --- releases -------------------------------------------------------------------------------------------------------
# RELEASING.md says when each is run.
release-check: setup-test
	python tools/check_release.py $(TAG)

wheels: .venv/wheels.stamp
	python -m cibuildwheel --output-dir dist
	python -m build --sdist --outdir dist

clean:
	rm -rf build
