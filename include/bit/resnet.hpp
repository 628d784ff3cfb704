// SPDX-License-Identifier: Apache-2.0
// Public header: the model, loading it, reading its answers.
#pragma once

#include <bit/error.hpp>
#include <bit/io/load.hpp>
#include <bit/model/predict.hpp>
#include <bit/model/resnet_v2.hpp>
