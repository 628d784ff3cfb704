// SPDX-License-Identifier: Apache-2.0
// The backward pass of group norm and ReLU. A work item is a span of whole groups and whole blocks of one image. It is
// read twice, first for the sums over each group and then for the gradient, and stays in the cache in between.
#pragma once

#include <bit/backend/cpu/training_context.hpp>
#include <numeric>

namespace bit::inline BIT_ABI::detail {

/// Sums over the pixels of each channel of each image, an array [n][c/16][2][16] of doubles in the arena: the sum of m,
/// which is dy where the ReLU was open and 0 elsewhere, and the sum of m·x̂.
struct channel_sums : array_ref {
  std::size_t blocks = 0;

  double* at_block(const run_context& run, std::size_t n, std::size_t b) const {
    return at<double>(run) + (n * blocks + b) * 2 * block;
  }
};

/// A norm_backward_step compiled for one shape, without the gradients of gamma and beta. Feature maps are of type T.
template <class T>
class norm_backward_operation {
 public:
  /// If `dx` has no blocks, only the sums are computed.
  norm_backward_operation(const backward_map_microkernel_table<T>& microkernels, std::size_t images, feature_map_ref x,
                          norm_ref norm, feature_map_ref dy, feature_map_ref dx, channel_sums sums)
      : microkernels_(&microkernels), images_(images), x_(x), dy_(dy), dx_(dx), norm_(norm), sums_(sums) {
    const std::size_t per_group = norm.statistics.per_group();
    span_ = std::min(std::lcm(per_group, block) / block, x.blocks);
  }

  void add_passed(feature_map_ref passed) { passed_ = passed; }
  std::size_t scratch_bytes() const { return 6 * span_ * block * sizeof(float); }

  std::size_t max_items() const { return images_ * x_.blocks; }
  void run(const training_context& run) const noexcept {
    const std::size_t spans = (x_.blocks + span_ - 1) / span_;
    run.work(images_ * spans, [&](std::size_t item) { pass(run, item / spans, item % spans * span_); });
  }

 private:
  /// The coefficients of a span's channels; backward_table.hpp says how they are used.
  struct coefficients {
    float *scale, *shift, *rstd, *offset, *a, *b;
    norm_block at(std::size_t channel) const {
      return {scale + channel, shift + channel, rstd + channel, offset + channel};
    }
  };

  void pass(const training_context& run, std::size_t n, std::size_t first_block) const noexcept {
    const std::size_t blocks = std::min(span_, x_.blocks - first_block), size = span_ * block;
    float* scratch = reinterpret_cast<float*>(run.scratch);
    const coefficients of{scratch,           scratch + size, scratch + 2 * size, scratch + 3 * size, scratch + 4 * size,
                          scratch + 5 * size};
    std::fill_n(scratch, 6 * size, 0.0f);  // channels beyond the last stay zero
    const work_range channels{first_block * block, std::min((first_block + blocks) * block, norm_.statistics.channels)};
    fold(run, n, channels, of);
    const std::size_t pixels = x_.pixels(), plane = pixels * block, from = first_block * plane;
    const T *x = x_.at<T>(run, n) + from, *dy = dy_.at<T>(run, n) + from;
    for (std::size_t b = 0; b < blocks; ++b) {
      double* sums = sums_.at_block(run, n, first_block + b);
      std::fill_n(sums, 2 * block, 0.0);
      microkernels_->norm_sums(sums, dy + b * plane, x + b * plane, pixels, of.at(b * block));
    }
    if (dx_.blocks == 0) return;
    find_slopes(run, n, channels, of);
    const T* passed = passed_.blocks > 0 ? passed_.at<T>(run, n) + from : nullptr;
    T* dx = dx_.at<T>(run, n) + from;
    for (std::size_t b = 0; b < blocks; ++b)
      microkernels_->norm_apply(dx + b * plane, dy + b * plane, x + b * plane, passed ? passed + b * plane : nullptr,
                                pixels, of.at(b * block), of.a + b * block, of.b + b * block);
  }

  /// Computes the scale and shift that the forward pass used, and rstd and offset, which normalise.
  void fold(const training_context& run, std::size_t n, work_range channels, const coefficients& of) const {
    const std::size_t per_group = norm_.statistics.per_group();
    for (std::size_t group = channels.begin; group < channels.end; group += per_group) {
      const auto [mean, rstd] = norm_.measure(run, n, group);
      for (std::size_t c = group; c < group + per_group; ++c) {
        const std::size_t i = c - channels.begin;
        of.scale[i] = static_cast<float>(norm_.gamma[c] * rstd);
        of.shift[i] = static_cast<float>(norm_.beta[c] - mean * norm_.gamma[c] * rstd);
        of.rstd[i] = static_cast<float>(rstd);
        of.offset[i] = static_cast<float>(-mean * rstd);
      }
    }
  }

  /// Computes a and b, with which the part of the gradient that is common to a group is linear in x:
  /// -(r·mean(gamma·m) + r·x̂·mean(gamma·m·x̂)) = a·x + b.
  void find_slopes(const training_context& run, std::size_t n, work_range channels, const coefficients& of) const {
    const std::size_t per_group = norm_.statistics.per_group();
    const double count = static_cast<double>(per_group * x_.pixels());
    for (std::size_t group = channels.begin; group < channels.end; group += per_group) {
      const auto [mean, rstd] = norm_.measure(run, n, group);
      double sum = 0, sum_x = 0;
      for (std::size_t c = group; c < group + per_group; ++c) {
        const double* sums = sums_.at_block(run, n, c / block) + c % block;
        sum += norm_.gamma[c] * sums[0];
        sum_x += norm_.gamma[c] * sums[block];
      }
      const double slope = -rstd * rstd * sum_x / count, rest = -rstd * sum / count - slope * mean;
      for (std::size_t c = group; c < group + per_group; ++c) {
        of.a[c - channels.begin] = static_cast<float>(slope);
        of.b[c - channels.begin] = static_cast<float>(rest);
      }
    }
  }

  const backward_map_microkernel_table<T>* microkernels_;
  std::size_t images_, span_;
  feature_map_ref x_, dy_, passed_, dx_;
  norm_ref norm_;
  channel_sums sums_;
};

/// The gradients of gamma and beta: the channels' sums, added up over the images in order. The span of a frozen
/// parameter is empty, and nothing is written to it.
struct norm_parameters_operation {
  std::size_t images, channels;
  channel_sums sums;
  std::span<float> dgamma, dbeta;

  std::size_t max_items() const { return sums.blocks; }
  void run(const training_context& run) const noexcept {
    run.work(sums.blocks, [&](std::size_t b) {
      for (std::size_t c = b * block; c < std::min((b + 1) * block, channels); ++c) {
        double sum = 0, sum_x = 0;
        for (std::size_t n = 0; n < images; ++n) {
          sum += sums.at_block(run, n, b)[c % block];
          sum_x += sums.at_block(run, n, b)[block + c % block];
        }
        if (!dgamma.empty()) dgamma[c] += static_cast<float>(run.scale * sum_x);
        if (!dbeta.empty()) dbeta[c] += static_cast<float>(run.scale * sum);
      }
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
