// SPDX-License-Identifier: Apache-2.0
// A run's state in one safetensors file: parameters, optimizer buffers, counters and what the run was asked for.
// pybit.load() and io::open_checkpoint() read the same file as a model. The keys stand in docs/training_files.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <bit/backend/trainable_parameters.hpp>
#include <bit/config.hpp>
#include <bit/train/optimizer.hpp>

namespace bit::inline BIT_ABI::train {

/// What a run is and how far it has come. All randomness is a function of (seed, purpose, step), so that nothing but
/// counters need be kept.
struct training_state {
  std::uint64_t step = 0;  ///< updates done, which is the number of the next one
  std::uint64_t seed = 0;
  std::string architecture = {};                  ///< e.g. architecture_name(config)
  std::map<std::string, std::string> flags = {};  ///< whatever changes results; a continued run must have the same
  std::vector<std::string> labels = {};           ///< class names, in the order of the head; may be empty
  std::optional<double> best = std::nullopt;      ///< the best score so far, and the step that it was reached at
  std::uint64_t best_step = 0;
  std::map<std::string, std::string> metadata =
      {};  ///< written as it is, e.g. io::config_metadata(); keys of our own win
};

/// Writes the optimizer's parameters, its buffers and `state` to `path`, which appears whole or not at all: a kill, a full
/// disk or a folder without permission leave an old file as it was. Throws io_error, config_error for text that is not
/// UTF-8, and diverged_error, without writing, if a parameter is not finite.
BIT_FUNC void save_training(const std::filesystem::path& path, const optimizer& by, const training_state& state);

/// The same without the optimizer's buffers: a model to use, about half as large, that no run can continue from.
BIT_FUNC void save_weights(const std::filesystem::path& path, const trainable_parameters<float>& parameters,
                           const training_state& state);

/// What a file of either kind says about its run. Throws io_error, or format_error if it is no such file.
BIT_FUNC training_state read_training_state(const std::filesystem::path& path);

/// Reads a file of save_training() back into the optimizer and its parameters and returns its state. Everything is checked first,
/// the checksum of all values included, so that a failure leaves both as they were. Throws
/// - io_error if the file cannot be read, format_error if it is damaged or holds no training state;
/// - config_error if it comes from another run: another architecture, optimizer, seed, list of labels, or other flags
///   than those of `expected`. The message lists each difference and says what to do.
BIT_FUNC training_state restore_training(const std::filesystem::path& path, optimizer& by,
                                         const training_state& expected);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/checkpoint.ipp>
#endif
