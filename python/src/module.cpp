// SPDX-License-Identifier: Apache-2.0
// The extension module pybit._core: one register_<thing>.cpp per part of the library.
#include <pybind11/pybind11.h>

#include "register.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "Raw bindings of the bit library; the package pybit gives them their public face.";
  register_errors(m);
  register_config(m);
  register_io(m);
  register_data(m);
  register_train_data(m);
  register_collections(m);
  register_recipe(m);
  register_eval(m);
  register_model(m);
  register_summary(m);
  register_threads(m);
  register_trainer(m);
  register_recorder(m);
  register_fine_tune(m);
}
