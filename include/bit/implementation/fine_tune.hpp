// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the recipe and fine-tuning.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/train.hpp>
#include <bit/train/class_weights.ipp>
#include <bit/train/fine_tune.ipp>
#include <bit/train/optimizer_choice.ipp>
#include <bit/train/recipe.ipp>
#include <bit/train/time_estimate.ipp>
#include <bit/train/trainable_backends.ipp>
