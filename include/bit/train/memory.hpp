// SPDX-License-Identifier: Apache-2.0
// How a training step is made to fit the memory: bytes predicted from the plans that would run, and a written rule that
// chooses the parts of a step and recomputation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <bit/config.hpp>
#include <bit/program/backward.hpp>

namespace bit::inline BIT_ABI::train {

/// Predicted bytes of a training process by what they are for, without what the program itself takes.
struct memory_estimate {
  std::uint64_t parameters = 0;  ///< values, gradients of those that learn, the optimizer's state
  std::uint64_t packed = 0;      ///< parameters in the forms that the kernels read
  std::uint64_t workspace = 0;   ///< maps that one part of a step keeps, and the threads' scratch
  std::uint64_t images = 0;      ///< batches that wait and the part in work
  std::uint64_t total() const { return parameters + packed + workspace + images; }
};

/// What is wanted of a step. Unset: chosen.
struct step_constraints {
  std::size_t batch = 1;
  std::optional<std::size_t> batch_split = {};
  std::optional<recomputation> recompute = {};
  std::uint64_t limit = 0;  ///< bytes
};

/// How a step is taken.
struct step_schedule {
  std::size_t batch_split = 1;
  recomputation recompute = recomputation::none;
  memory_estimate memory;
};

/// What a step costs in parts of `part` images, compared with one large part without recomputation:
/// (1 + 0.75 / part), times 1.2 with recomputation. Measured on R50x1 at 128², processor time of one thread, AVX-512,
/// 2026-11: 1.79, 1.36, 1.17, 1.04 for parts of 1, 2, 4, 8 images against 16; 1.15 to 1.19 for recomputation.
BIT_FUNC double relative_cost(std::size_t part, recomputation how);

/// The cheapest way that fits the limit, by relative_cost, of 1, 2, 4, ... parts with and without recomputation; gradients
/// are the same in all ways up to rounding. Without a wish that leaves a choice, or with a batch_split that does not fit,
/// the nearest way, whether it fits or not. Throws config_error for a batch_split outside 1..batch, and with the least
/// bytes possible if batch_split may be chosen and no way fits. `estimate` is asked once for each way tried.
BIT_FUNC step_schedule fit_step(const step_constraints& constraints,
                                const std::function<memory_estimate(std::size_t part, recomputation)>& estimate);

/// Bytes that this process may use in all: what it has, and 90 % of what the machine has available now, or its control
/// group if that is less. `root` is the file system that /proc and /sys are read from.
BIT_FUNC std::uint64_t usable_memory(const std::filesystem::path& root = "/");

/// "12 MiB", "3.4 GiB".
BIT_FUNC std::string size_text(std::uint64_t bytes);

/// "none" or "units".
BIT_FUNC const char* to_string(recomputation how);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/memory.ipp>
#endif
