// SPDX-License-Identifier: Apache-2.0
// Gradients of R50x1 (10 classes, batch 4 of 64x64, mean cross-entropy of labels 0..3) against float64 values of the
// reference mathematics: each tensor's norm and first eight values. Made by tests/golden/prepare.py.
#include <algorithm>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>

#include "../backend/batch_loss.hpp"
#include "../backend/random_data.hpp"
#include "golden_case.hpp"

namespace {

/// max(1e-5, 3 times what PyTorch's own float32 loses on parameter i); design of the golden values.
double float32_bound(std::size_t i) { return std::max(1e-5, 3 * golden::read_array<double>("float32_error")[i]); }

template <class Values>
double norm_of(const Values& values) {
  double sum = 0;
  for (const auto v : values) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

/// Difference from the golden norm and from the first values, relative to the norm.
template <class Values>
double gradient_error(const Values& gradient, double norm, const std::vector<double>& first) {
  double error = std::abs(norm_of(gradient) - norm);
  for (std::size_t i = 0; i < first.size(); ++i)
    error = std::max(error, std::abs(static_cast<double>(gradient[i]) - first[i]));
  return error / norm;
}

template <class Backend>
struct gradients {
  using T = typename Backend::value_type;
  bit::trainable_resnet_v2<Backend> model;
  std::vector<T> image;
  double loss = 0;

  explicit gradients(std::size_t threads = 1,
                     const bit::io::checkpoint& from = bit::io::open_checkpoint(golden::folder() / "checkpoint.npz"),
                     const std::vector<std::size_t>& labels = {0, 1, 2, 3})
      : model(from.config, from.tensors) {
    const auto x = golden::images<T>();
    image.resize(x.size());
    const bit::named_tap<T> tap{"image", image};
    bit::run_options options;
    options.threads = threads;
    loss = model.accumulate(bit::view_of(x.data(), bit::dims_of(x.shape(), bit::layout::nchw), bit::layout::nchw),
                            test::cross_entropy<T>(labels), 1.0, std::span(&tap, 1), options);
  }

  /// The error of each parameter's gradient.
  std::vector<double> errors() const {
    std::vector<double> found;
    for (const auto& p : model.parameters()) {
      const double norm = golden::read_array<double>("norm/" + p.name).front();
      found.push_back(gradient_error(p.gradient, norm, golden::read_array<double>("first8/" + p.name)));
    }
    return found;
  }
  /// Largest error over its bound.
  template <class Bound>
  double worst(Bound bound) const {
    double largest = 0;
    std::size_t i = 0;
    for (const double error : errors()) largest = std::max(largest, error / bound(i++));
    return largest;
  }
  /// Of the image's gradient: the whole norm, and the first eight values of each image.
  double image_error() const {
    const double norm = golden::read_array<double>("input_norm").front();
    const auto first = golden::read_array<double>("input_first8");
    double error = std::abs(norm_of(image) - norm);
    for (std::size_t i = 0; i < first.size(); ++i) {
      const T got = image[i / 8 * (image.size() / 4) + i % 8];
      error = std::max(error, std::abs(static_cast<double>(got) - first[i]));
    }
    return error / norm;
  }
};

}  // namespace

TEST_CASE("reference<double> agrees to 1e-8 of each gradient's norm and to 1e-10 of the loss") {
  const gradients<bit::reference<double>> g;
  const double loss = golden::read_array<double>("loss").front();
  CHECK(std::abs(g.loss - loss) < 1e-10 * loss);
  CHECK(g.worst([](std::size_t) { return 1e-8; }) < 1);
  CHECK(g.image_error() < 1e-8);
}

TEST_CASE("reference<float> stays within float32's own error") {
  const gradients<bit::reference<float>> g;
  CHECK(g.worst(float32_bound) < 1);
}

TEST_CASE("cpu<float> stays within float32's own error on every instruction set") {
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const test::pinned_isa pin(isa);
    const gradients<bit::cpu<float>> one(1), two(2);
    CHECK(one.worst(float32_bound) < 1);
    CHECK(two.image == one.image);
  }
}

TEST_CASE("the bounds notice another eps in group norm") {
  auto from = bit::io::open_checkpoint(golden::folder() / "checkpoint.npz");
  from.config.group_norm_eps = 1e-4;
  const gradients<bit::cpu<float>> g(2, from);
  CHECK(g.worst(float32_bound) > 1);
}

namespace {

/// Of the parameters' errors in order, the one that this part of them stays below.
double quantile(std::vector<double> errors, double part) {
  std::sort(errors.begin(), errors.end());
  return errors[static_cast<std::size_t>(part * static_cast<double>(errors.size() - 1))];
}

// What PyTorch's bfloat16 autocast loses on this case, by the same measure: 0.048 in the median parameter, 0.170 in the
// worst tenth, 0.310 in the worst; ours, natively: 0.046, 0.171, 0.283. A quarter more is allowed, and for the worst,
// which is one draw, twice as much.
constexpr double bfloat16_median = 0.060, bfloat16_tenth = 0.21, bfloat16_worst = 0.62;

}  // namespace

TEST_CASE("cpu<bfloat16> loses no more than PyTorch's autocast on any instruction set") {
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const test::pinned_isa pin(isa);
    const auto errors = gradients<bit::cpu<bit::bfloat16>>(2).errors();
    CHECK(quantile(errors, 0.5) < bfloat16_median);
    CHECK(quantile(errors, 0.9) < bfloat16_tenth);
    CHECK(quantile(errors, 1) < bfloat16_worst);
  }
}

TEST_CASE("the bounds of bfloat16 notice gradients that are a tenth too large, and a wrong label") {
  gradients<bit::cpu<bit::bfloat16>> g(2);
  for (const auto& p : g.model.parameters())
    for (float& v : p.gradient) v *= 1.1f;
  CHECK(quantile(g.errors(), 0.5) > bfloat16_median);
  const gradients<bit::cpu<bit::bfloat16>> other(2, bit::io::open_checkpoint(golden::folder() / "checkpoint.npz"),
                                                 {0, 1, 2, 4});
  CHECK(quantile(other.errors(), 0.5) > bfloat16_median);
  CHECK(quantile(other.errors(), 0.9) > bfloat16_tenth);
}
