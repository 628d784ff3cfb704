// SPDX-License-Identifier: Apache-2.0
#include <pybind11/pybind11.h>

#include <bit/error.hpp>

#include "register.hpp"

namespace py = pybind11;

void register_errors(py::module_& m) {
  // The last registered translator runs first, so the base class comes first here.
  py::register_exception<bit::error>(m, "BitError", PyExc_RuntimeError);
  py::register_exception<bit::shape_error>(m, "ShapeError", PyExc_ValueError);
  py::register_exception<bit::config_error>(m, "ConfigError", PyExc_ValueError);
  py::register_exception<bit::format_error>(m, "FormatError", PyExc_ValueError);
  py::register_exception<bit::device_error>(m, "DeviceError", PyExc_RuntimeError);
  py::register_exception<bit::diverged_error>(m, "DivergedError", PyExc_ArithmeticError);
  // Two are Python's own. bit::io_error carries errno: OSError(code, message) lets Python pick FileNotFoundError, PermissionError, ...
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const bit::io_error& e) {
      const py::object args = py::make_tuple(e.code, e.what());
      PyErr_SetObject(PyExc_OSError, args.ptr());
    } catch (const bit::memory_error& e) {
      PyErr_SetString(PyExc_MemoryError, e.what());
    }
  });
}
