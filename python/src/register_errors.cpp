// SPDX-License-Identifier: Apache-2.0
#include <pybind11/pybind11.h>

#include <bit/error.hpp>

#include "register.hpp"
#include "text.hpp"

namespace py = pybind11;

void register_errors(py::module_& m) {
  // The last registered translator runs first, so the base class comes first here.
  py::register_exception<bit::error>(m, "BitError", PyExc_RuntimeError);
  py::register_exception<bit::shape_error>(m, "ShapeError", PyExc_ValueError);
  py::register_exception<bit::config_error>(m, "ConfigError", PyExc_ValueError);
  py::register_exception<bit::format_error>(m, "FormatError", PyExc_ValueError);
  py::register_exception<bit::device_error>(m, "DeviceError", PyExc_RuntimeError);
  py::register_exception<bit::diverged_error>(m, "DivergedError", PyExc_ArithmeticError);
  // A message may name a file, whose name may be any bytes.
  py::register_exception_translator([](std::exception_ptr p) {
    const auto set = [](const char* type, const std::exception& e) {
      PyErr_SetObject(py::module_::import("pybit._core").attr(type).ptr(), message_text(e.what()).ptr());
    };
    try {
      if (p) std::rethrow_exception(p);
    } catch (const bit::shape_error& e) {
      set("ShapeError", e);
    } catch (const bit::config_error& e) {
      set("ConfigError", e);
    } catch (const bit::format_error& e) {
      set("FormatError", e);
    }
  });
  // Two are Python's own. bit::io_error carries errno: OSError(code, message) lets Python pick FileNotFoundError, PermissionError, ...
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const bit::io_error& e) {
      const py::object args = py::make_tuple(e.code, message_text(e.what()));
      PyErr_SetObject(PyExc_OSError, args.ptr());
    } catch (const bit::memory_error& e) {
      PyErr_SetString(PyExc_MemoryError, e.what());
    }
  });
}
