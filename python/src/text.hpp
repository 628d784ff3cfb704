// SPDX-License-Identifier: Apache-2.0
// Text of the library as Python's: a file's name may hold any bytes, while Python's text is Unicode.
#pragma once

#include <Python.h>
#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

/// A message: bytes that are not UTF-8 become `\xe9`.
inline pybind11::str message_text(std::string_view text) {
  return pybind11::reinterpret_steal<pybind11::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

/// A path, equal to what os.fspath() gives for the same file.
inline pybind11::str path_text(const std::string& path) {
  return pybind11::reinterpret_steal<pybind11::str>(
      PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
}

/// Python's text in UTF-8; what stands for a byte of a path becomes that byte again.
inline std::string bytes_of_text(const pybind11::str& text) {
  const auto bytes =
      pybind11::reinterpret_steal<pybind11::bytes>(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogateescape"));
  if (!bytes) {  // half a character beyond the first 65,536, which is in no path
    PyErr_Clear();
    return "a message that is no text";
  }
  return bytes;
}
