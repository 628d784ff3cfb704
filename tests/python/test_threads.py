# SPDX-License-Identifier: Apache-2.0
"""Loading and running in hostile processes: threads, affinity, forks, other runtimes, signals. Same bits throughout.

What a process must be born with, or may die of, runs in a process of its own.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from small_models import batch, small_model

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    return small_model()


PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
{first}
import pybit
{then}
from small_models import batch, small_model
model, x = small_model(), batch()
expected = np.load(sys.argv[1])
def same(y):
    return y.dtype == expected.dtype and np.array_equal(y, expected)
"""


class Child:
    """Runs scripts that know `model`, `x` and what `same(model(x))` must be; a script that hangs fails."""

    def __init__(self, expected: Path) -> None:
        self.expected = expected

    def start(self, script: str, first: str = "", then: str = "", **variables: str) -> subprocess.Popen[str]:
        code = PRELUDE.format(first=first, then=then) + textwrap.dedent(script)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
        path = os.pathsep.join([str(HERE), str(Path(pybit.__file__).parents[1])])
        return subprocess.Popen(
            [sys.executable, "-c", code, str(self.expected)],
            env=environment | {"PYTHONPATH": path} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, script: str, first: str = "", then: str = "", **variables: str) -> str:
        process = self.start(script, first, then, **variables)
        try:
            out, err = process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0, err
        return out.strip()


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory, model: pybit.Model) -> Child:
    path = tmp_path_factory.mktemp("threads") / "expected.npy"
    np.save(path, model(batch(), threads=1))
    return Child(path)


def test_the_child_process_would_notice_other_bits(child: Child) -> None:
    assert child("y = model(x); y[0, 0] = np.nextafter(y[0, 0], 9); print(same(y), same(model(x)))") == "False True"


# --- the same input over any number of threads --------------------------------------------------------------------


def test_eight_threads_share_one_model(model: pybit.Model) -> None:
    inputs = [batch(seed=s, size=30 + s) for s in range(8)]
    expected = [model(x, threads=1) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for i in range(5):
            if not np.array_equal(model(inputs[k], threads=(k + i) % 4), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(200)
    assert wrong == [] and not any(t.is_alive() for t in threads)


def test_two_models_called_at_once(model: pybit.Model) -> None:
    other = small_model(seed=7)
    x = batch(3)
    expected = {m: m(x, threads=1) for m in (model, other)}
    assert not np.array_equal(expected[model], expected[other])  # negative control
    wrong: list[pybit.Model] = []

    def work(m: pybit.Model) -> None:
        wrong.extend(m for _ in range(10) if not np.array_equal(m(x), expected[m]))

    threads = [threading.Thread(target=work, args=(m,)) for m in (model, other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(200)
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_an_affinity_mask_of_one_core(child: Child) -> None:
    pin = "import os; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})"
    script = "print(pybit.get_num_threads(), same(model(x)), same(model(x, threads=3)))"
    assert child(script, first=pin) == "1 True True"


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, 2),
        ({"OMP_NUM_THREADS": "3", "OMP_DYNAMIC": "true"}, 3),
        ({"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "passive", "OMP_PROC_BIND": "true"}, 3),
    ],
)
def test_openmp_variables(child: Child, variables: Mapping[str, str], threads: int) -> None:
    script = "print(pybit.get_num_threads(), same(model(x)), same(model(x, threads=2)))"
    assert child(script, **variables) == f"{threads} True True"


def test_set_num_threads(model: pybit.Model) -> None:
    x = batch()
    expected = model(x, threads=1)
    before = pybit.get_num_threads()
    try:
        for n in (1, 2, 3, 8):
            pybit.set_num_threads(n)
            assert pybit.get_num_threads() == n
            np.testing.assert_array_equal(model(x), expected)
    finally:
        pybit.set_num_threads(0)
    assert pybit.get_num_threads() == before


# --- forks, runtimes, signals, exit ---------------------------------------------------------------------------------


def test_os_fork_after_use(child: Child) -> None:
    script = """
        assert same(model(x, threads=2))
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)  # a child that hangs dies of it
            fine = pybit.get_num_threads() == 1 and same(model(x)) and same(model(x, threads=2))
            os._exit(0 if fine and same(small_model()(x)) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert same(model(x, threads=2))
        print("fine")
    """
    assert child(script) == "fine"


def test_fork_while_another_thread_computes(child: Child) -> None:
    script = """
        stop = threading.Event()
        def work():
            while not stop.is_set(): model(x, threads=2)
        thread = threading.Thread(target=work); thread.start()
        for _ in range(5):
            time.sleep(0.02)
            pid = os.fork()
            if pid == 0:
                signal.alarm(60)
                os._exit(0 if same(small_model()(x)) else 1)  # a new model: the old one's lock may be held for ever
            assert os.waitpid(pid, 0)[1] == 0
        stop.set(); thread.join()
        assert same(model(x))
        print("fine")
    """
    assert child(script) == "fine"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_pools(child: Child, tmp_path: Path, method: str) -> None:
    """As a data loader's workers do: the parent has used its model, the workers use theirs."""
    (tmp_path / "pool_worker.py").write_text(
        "from small_models import batch, small_model\n"
        "model = None\n"
        "def work(i):\n"
        "    global model\n"
        "    model = model or small_model()\n"
        "    return model(batch())\n"
    )
    script = f"""
        import multiprocessing, pool_worker
        assert same(pool_worker.work(0))  # forked workers inherit this used model
        with multiprocessing.get_context("{method}").Pool(2) as pool:
            results = pool.map_async(pool_worker.work, range(4)).get(200)
        assert all(same(y) for y in results)
        print("fine", same(model(x)))
    """
    path = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); os.environ['PYTHONPATH'] += {os.pathsep + str(tmp_path)!r}"
    )
    assert child(script, first=path) == "fine True"


def test_torch_data_loader_workers(child: Child) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch")
    script = """
        import torch
        class Features(torch.utils.data.Dataset):
            def __len__(self): return 4
            def __getitem__(self, i): return model(x)
        model(x), torch.ones(300, 300) @ torch.ones(300, 300)
        loader = torch.utils.data.DataLoader(Features(), batch_size=1, num_workers=2, multiprocessing_context="fork")
        assert all(same(y[0].numpy()) for y in loader)
        print("fine", same(model(x)))
    """
    assert child(script) == "fine True"


@pytest.mark.parametrize("order", ["before", "after"])
def test_torch_in_the_same_process(child: Child, order: str) -> None:
    """PyTorch's wheel brings an OpenMP runtime of its own; both are used in turn, then from two threads at once."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch")
    script = """
        import torch
        a = torch.arange(90000.0).reshape(300, 300) / 9e4
        product = a @ a
        for _ in range(3):
            assert same(model(x, threads=2)) and torch.equal(a @ a, product)
        wrong = []
        def mine(): wrong.extend(1 for _ in range(10) if not same(model(x, threads=2)))
        def theirs(): wrong.extend(2 for _ in range(10) if not torch.equal(a @ a, product))
        threads = [threading.Thread(target=f) for f in (mine, theirs)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert same(torch.from_numpy(model(x)).numpy()) and same(model(torch.from_numpy(x)).numpy())
        print(wrong, len(pybit.build_info()["openmp_runtimes"]) > 0)
    """
    load = {"before": {"first": "import torch"}, "after": {"then": "import torch"}}[order]
    assert child(script, **load) == "[] True"


def libomp() -> str | None:
    """LLVM's OpenMP runtime, if this machine has it."""
    found = ctypes.util.find_library("omp") or ctypes.util.find_library("omp5")
    return found or next((str(p) for p in sorted(Path("/usr/lib").glob("llvm-*/lib/libomp.so"))), None)


@pytest.mark.parametrize("order", ["before", "after"])
def test_llvms_openmp_in_the_same_process(child: Child, order: str) -> None:
    path = libomp()
    if path is None:
        pytest.skip("needs LLVM's libomp")
    load = f"import ctypes; other = ctypes.CDLL({path!r}, ctypes.RTLD_GLOBAL); other.omp_get_max_threads()"
    script = """
        other.omp_set_num_threads(3)
        assert same(model(x, threads=2)) and same(model(x))
        info = pybit.build_info()
        print(len(info["openmp_runtimes"]), "more than one OpenMP runtime" in info.get("advice", ""))
    """
    kwargs: dict[str, Any] = {"first" if order == "before" else "then": load}
    out = child(script, **kwargs)
    # If the extension itself was built with clang, there is one runtime only.
    assert out in ("2 True", "1 False")


def test_the_interpreter_ends_while_threads_compute(child: Child) -> None:
    script = """
        def work():
            while True: model(x, threads=2)
        for _ in range(3): threading.Thread(target=work, daemon=True).start()
        time.sleep(0.3)
        print("fine")
    """
    assert child(script) == "fine"


def test_control_c_during_a_call(model: pybit.Model) -> None:
    x = batch()
    expected = model(x)
    large = batch(4, size=640)  # many steps of several milliseconds
    pid = os.getpid()
    for _ in range(3):
        finished: list[Any] = []
        timer = threading.Timer(0.05, os.kill, (pid, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            while len(finished) < 1000:
                finished.append(model(large))
                time.sleep(0)
        timer.join()
        assert len(finished) < 1000
        np.testing.assert_array_equal(model(x), expected)


def test_control_c_ends_a_program(child: Child) -> None:
    script = """
        print("ready", flush=True)
        while True: model(batch(4, size=320))
    """
    process = child.start(script)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT and err.rstrip().endswith("KeyboardInterrupt")
