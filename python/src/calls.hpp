// SPDX-License-Identifier: Apache-2.0
// What every class that computes shares: arrays as image views, and calls without the GIL that Ctrl-C can end.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <bit/backend/run.hpp>
#include <bit/error.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "gil.hpp"
#include "register.hpp"

/// Asks Python for signals (Ctrl-C) at most twenty times a second: taking the GIL between all steps would make a call
/// wait for other threads' bytecode.
class signal_check {
 public:
  bool operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    PyGILState_STATE before{};
    take_gil([&] { before = PyGILState_Ensure(); });
    const bool interrupted = PyErr_CheckSignals() != 0;
    PyGILState_Release(before);
    return interrupted;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Calls work(options) without the GIL, with options that stop it at a signal, and raises what the signal's handler has
/// raised, KeyboardInterrupt for Ctrl-C.
template <class Work>
void call_interruptibly(std::size_t threads, bit::layout order, const Work& work) {
  signal_check check;
  bit::run_options options;
  options.threads = threads_or_default(threads);
  options.output_layout = order;
  options.interrupted = std::ref(check);
  try {
    const released_gil release;
    work(options);
  } catch (const bit::interrupted_error&) {
    throw pybind11::error_already_set();  // PyErr_CheckSignals has set it
  }
}

/// "nchw" or "nhwc"; config_error for other texts.
inline bit::layout layout_of(const std::string& name) {
  if (name == "nchw") return bit::layout::nchw;
  if (name == "nhwc") return bit::layout::nhwc;
  throw bit::config_error("[layout] expected \"nchw\" or \"nhwc\", got \"" + name + "\"");
}

/// Logical size and strides of a 4-D array of T, read where it lies. Throws shape_error, with `what` in its text, for
/// another number of dimensions, another dtype or strides between elements.
template <class T>
bit::image_view<T> view_of(const pybind11::array& x, bit::layout order, const char* what) {
  namespace py = pybind11;
  if (x.ndim() != 4)
    throw bit::shape_error("[" + std::string(what) + "] expected a 4-D array " +
                           (order == bit::layout::nchw ? "(N,C,H,W)" : "(N,H,W,C)") + ", got " +
                           std::to_string(x.ndim()) + " dimensions");
  if (!py::isinstance<py::array_t<T>>(x))
    throw bit::shape_error("[" + std::string(what) + "] expected dtype " +
                           py::str(py::dtype::of<T>()).template cast<std::string>() + ", got " +
                           py::str(x.dtype()).cast<std::string>());
  const int c = order == bit::layout::nchw ? 1 : 3, h = order == bit::layout::nchw ? 2 : 1, w = h + 1;
  const auto size = [&](int axis) { return static_cast<std::size_t>(x.shape(axis)); };
  const auto stride = [&](int axis) { return x.strides(axis) / static_cast<py::ssize_t>(sizeof(T)); };
  for (int axis = 0; axis < 4; ++axis)
    if (x.strides(axis) % static_cast<py::ssize_t>(sizeof(T)) != 0)
      throw bit::shape_error("[" + std::string(what) + "] expected aligned strides; pass a contiguous copy");
  return {static_cast<const T*>(x.data()),
          {size(0), size(c), size(h), size(w)},
          stride(0),
          stride(c),
          stride(h),
          stride(w)};
}
