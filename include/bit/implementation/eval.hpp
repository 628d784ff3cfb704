// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: probes.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/eval/knn.ipp>
#include <bit/eval/ridge.ipp>
