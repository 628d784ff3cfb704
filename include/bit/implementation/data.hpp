// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: data sets, their loaders, and the random numbers that they use.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/data/archive.ipp>
#include <bit/data/augment.ipp>
#include <bit/data/cifar.ipp>
#include <bit/data/collection.ipp>
#include <bit/data/csv.ipp>
#include <bit/data/dataset.ipp>
#include <bit/data/folder.ipp>
#include <bit/data/image_folder.ipp>
#include <bit/data/loader.ipp>
#include <bit/data/name.ipp>
#include <bit/data/ordered_tasks.ipp>
#include <bit/random.ipp>
