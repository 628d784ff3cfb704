// SPDX-License-Identifier: Apache-2.0
// Letting go of the GIL and taking it back, also while the interpreter shuts down.
#pragma once

#include <Python.h>
#include <cxxabi.h>
#include <unistd.h>

/// Calls `take`, which takes the GIL. Python before 3.14 answers a daemon thread that asks for it during shutdown by
/// unwinding the thread, which no destructor and no parallel region survives (std::terminate). Such a thread stays here
/// until the process ends, as it does from 3.14 on.
template <class Take>
void take_gil(const Take& take) {
  try {
    take();
  } catch (const abi::__forced_unwind&) {
    for (;;) ::pause();
  }
}

/// Without the GIL while it lives.
class released_gil {
 public:
  released_gil() : state_(PyEval_SaveThread()) {}
  ~released_gil() {
    take_gil([this] { PyEval_RestoreThread(state_); });
  }
  released_gil(const released_gil&) = delete;
  released_gil& operator=(const released_gil&) = delete;

 private:
  PyThreadState* state_;
};
