// SPDX-License-Identifier: Apache-2.0
// Public header of evaluation: probes on features, ridge regression and nearest neighbours.
#pragma once

#include <bit/error.hpp>
#include <bit/eval/feature_view.hpp>
#include <bit/eval/knn.hpp>
#include <bit/eval/ridge.hpp>
