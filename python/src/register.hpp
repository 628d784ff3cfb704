// What each register_<thing>.cpp adds to the module.
#pragma once

#include <pybind11/pybind11.h>

/// Exception classes; they derive from ValueError, OSError or RuntimeError as bit/error.hpp says.
void register_errors(pybind11::module_& m);

/// Probes on features: ridge regression and nearest neighbours.
void register_eval(pybind11::module_& m);
