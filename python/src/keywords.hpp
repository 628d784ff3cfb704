// SPDX-License-Identifier: Apache-2.0
// Options that Python gives as keyword arguments.
#pragma once

#include <pybind11/pybind11.h>

#include <bit/error.hpp>
#include <string>
#include <utility>

/// Takes keywords out one by one; what is left over is a mistake.
class keywords {
 public:
  keywords(std::string owner, const pybind11::kwargs& given) : owner_(std::move(owner)), left_(given.attr("copy")()) {}

  template <class T>
  void take(const char* name, T& value) {
    known_ += (known_.empty() ? "" : ", ") + std::string(name);
    if (!left_.contains(name)) return;
    try {
      value = pybind11::cast<T>(left_[name]);
    } catch (const pybind11::cast_error&) {
      throw bit::config_error("[" + owner_ + "] " + name + " = " +
                              pybind11::cast<std::string>(pybind11::repr(left_[name])) + " is of the wrong kind");
    }
    left_.attr("pop")(name);
  }
  void finish() const {
    if (!left_.empty())
      throw bit::config_error("[" + owner_ + "] expected options among " + known_ + ", got " +
                              pybind11::cast<std::string>(pybind11::str((*left_.begin()).first)));
  }

 private:
  std::string owner_, known_;
  pybind11::dict left_;
};
