// SPDX-License-Identifier: Apache-2.0
// pybit._core.Dataset, for every function that takes one.
#pragma once

#include <bit/data/dataset.hpp>

/// What Python holds of a data set, which other sets and loaders may share.
struct dataset_handle {
  bit::data::dataset_ptr images;
};
