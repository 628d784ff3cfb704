// SPDX-License-Identifier: Apache-2.0
// BiT-HyperRule: what fine-tuning needs to know of a data set is its size and its images' size (arXiv:1912.11370,
// section 3.3; numbers from big_transfer's bit_hyperrule.py, where code and paper differ the code).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::train {

/// Height and width of images in pixels.
struct image_size {
  std::size_t height = 0, width = 0;
  friend bool operator==(const image_size&, const image_size&) = default;
};

/// Side lengths in pixels: images are resized to resize x resize, then cropped to crop x crop.
struct training_resolution {
  std::size_t resize = 0, crop = 0;
  friend bool operator==(const training_resolution&, const training_resolution&) = default;
};

/// SGD's momentum and examples per optimizer step of the reference (bit_pytorch/train.py, bit_common.py).
inline constexpr double hyper_rule_momentum = 0.9;
inline constexpr double hyper_rule_base_lr = 0.003;
inline constexpr std::size_t hyper_rule_batch = 512;

/// The recipe of one data set. Fields may be changed by hand, e.g. a shorter schedule; lr() follows them.
struct hyper_rule {
  std::size_t num_examples = 0;    ///< of the training set
  image_size images;               ///< as they come, before resizing
  training_resolution resolution;  ///< (160,128) for images of less than 96 x 96 pixels, otherwise (512,480)
  double mixup_alpha = 0;          ///< 0.1, or 0 (no mixup) for less than 20,000 examples
  std::vector<std::size_t>
      schedule;  ///< end of the warm-up, steps after which the rate falls to a tenth, number of steps
  double base_lr = hyper_rule_base_lr;

  /// Number of optimizer steps: 0..steps()-1.
  std::size_t steps() const { return schedule.empty() ? 0 : schedule.back(); }
  /// Learning rate of optimizer step `step`, counted from 0; nothing from the last step's end on. Step 0 has rate 0: it
  /// only fills the momentum. The rate falls *after* step s of the schedule, since the reference compares s < step.
  BIT_FUNC std::optional<double> lr(std::size_t step) const;
};

/// The rule for `num_examples` training images of this size. Throws config_error for no examples, an empty image or a
/// rate that is not a positive number. Thread-safe.
BIT_FUNC hyper_rule make_hyper_rule(std::size_t num_examples, image_size images, double base_lr = hyper_rule_base_lr);

/// Throws config_error unless the schedule rises strictly from at least 1 and the other fields are possible.
BIT_FUNC void validate(const hyper_rule& rule);

/// Image size that the reference assumes for its data sets: 32 x 32 for cifar10 and cifar100, 224 x 224 for
/// oxford_iiit_pet, oxford_flowers102 and imagenet2012; nothing for other names (bit_hyperrule.py).
BIT_FUNC std::optional<image_size> known_image_size(std::string_view data_set);

/// Several lines for people: resolution, mixup, steps, learning-rate plan.
BIT_FUNC std::string to_string(const hyper_rule& rule);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/hyper_rule.ipp>
#endif
