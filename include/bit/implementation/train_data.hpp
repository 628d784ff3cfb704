// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the data side of training, and its rules.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/train/few_shot.ipp>
#include <bit/train/hyper_rule.ipp>
#include <bit/train/kept_features.ipp>
#include <bit/train/loader.ipp>
#include <bit/train/loader_source.ipp>
#include <bit/train/memory.ipp>
#include <bit/train/mixup.ipp>
#include <bit/train/sampler.ipp>
