// SPDX-License-Identifier: Apache-2.0
// Public header: image files to network input, data sets. Includes only.
#pragma once

#include <bit/data/augment.hpp>
#include <bit/data/cifar.hpp>
#include <bit/data/collection.hpp>
#include <bit/data/csv.hpp>
#include <bit/data/dataset.hpp>
#include <bit/data/folder.hpp>
#include <bit/data/image.hpp>
#include <bit/data/image_folder.hpp>
#include <bit/data/loader.hpp>
#include <bit/data/name.hpp>
#include <bit/data/preprocess.hpp>
#include <bit/data/resize.hpp>
