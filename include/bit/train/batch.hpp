// SPDX-License-Identifier: Apache-2.0
// What the trainer asks of its data: the images of a step, in parts that fit memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <bit/backend/run.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::train {

/// Images with what the loss compares with. Mixup fills `partners` and `weight`, distillation `teacher`.
/// T is float, or double for the reference backend.
template <class T>
struct basic_micro_batch {
  tensor4<T> images;
  layout order = layout::nchw;
  std::vector<std::int64_t> labels;    ///< (n)
  std::vector<std::int64_t> partners;  ///< (n), or empty
  double weight = 1;                   ///< of `labels`, if there are partners
  std::vector<double> targets;         ///< (n,classes) probabilities instead of labels, or empty
  std::vector<double> teacher;         ///< (n,classes) logits of a teacher instead of labels, or empty
  double temperature = 1;              ///< of the distillation, if there is a teacher
  double loss_weight = 1;              ///< what the part's loss and its gradient are multiplied by

  std::size_t size() const { return images.shape(0); }
  image_view<T> view() const { return view_of(images.data(), dims_of(images.shape(), order), order); }
};

using micro_batch = basic_micro_batch<float>;

/// Images first .. first + count - 1 are one of several parts of a step.
struct micro_batch_range {
  std::size_t first = 0, count = 0;
};

/// Part `part` of `size` images in `parts` parts that differ by one image at most; parts may be empty.
constexpr micro_batch_range range_of_micro_batch(std::size_t size, std::size_t part, std::size_t parts) {
  const std::size_t first = size * part / parts;
  return {first, size * (part + 1) / parts - first};
}

/// Training data as a function of the step: the same images for the same step, however often and from wherever it is
/// asked. Called by the trainer's thread alone, in increasing order within a run.
template <class T>
class basic_batch_source {
 public:
  virtual ~basic_batch_source() = default;
  /// Images in step `step`, all parts together, as planned: read() may leave out some, e.g. those that cannot be decoded.
  virtual std::size_t size(std::size_t step) const = 0;
  /// Part `part` of the step's `parts`, which may have no images.
  virtual basic_micro_batch<T> read(std::size_t step, std::size_t part, std::size_t parts) = 0;
};

using batch_source = basic_batch_source<float>;

}  // namespace bit::inline BIT_ABI::train
