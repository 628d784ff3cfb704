// SPDX-License-Identifier: Apache-2.0
// A golden case from an npz checkpoint, with nothing but the library: logits against float64 values of the reference
// mathematics, for every backend, instruction set, layout and thread count. Made by tests/golden/prepare.py.
#include <doctest/doctest.h>
#include <bit/reference.hpp>

#include "../backend/random_data.hpp"
#include "golden_case.hpp"

namespace {

using golden::folder;
using golden::images;
using golden::read_array;

/// max(1e-5, 1.5 times what PyTorch's own float32 loses on this case).
double float32_bound() { return std::max(1e-5, 1.5 * read_array<double>("float32_error").front()); }

template <class Backend>
double logits_error() {
  const auto model = bit::load<Backend>(folder() / "checkpoint.npz").freeze();
  return test::relative_error(model(images<typename Backend::value_type>()), read_array<double>("logits"));
}

}  // namespace

TEST_CASE("reference<double> agrees to 1e-10") { CHECK(logits_error<bit::reference<double>>() < 1e-10); }

TEST_CASE("reference<float> stays within float32's own error") {
  CHECK(logits_error<bit::reference<float>>() < float32_bound());
}

TEST_CASE("cpu<float> stays within float32's own error on every instruction set, layout and thread count") {
  const auto expected = read_array<double>("logits");
  const auto x = images<float>();
  const bit::tensor4<float> channels_last = xt::transpose(x, {0, 2, 3, 1});
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const test::pinned_isa pin(isa);
    const auto model = bit::load(folder() / "checkpoint.npz").freeze();
    bit::run_options one, two;
    one.threads = 1;
    two.threads = 2;
    const auto y = model(x, bit::layout::nchw, one);
    CHECK(test::relative_error(y, expected) < float32_bound());
    CHECK(model(x, bit::layout::nchw, two) == y);
    CHECK(model(channels_last, bit::layout::nhwc, two) == y);
  }
}

TEST_CASE("every algorithm stays within float32's own error") {
  const auto expected = read_array<double>("logits");
  const auto x = images<float>();
  const auto from = bit::load(folder() / "checkpoint.npz");
  for (const bit::algorithm a :
       {bit::algorithm::direct, bit::algorithm::winograd, bit::algorithm::winograd_2x2, bit::algorithm::winograd_4x4}) {
    CAPTURE(bit::name_of(a));
    CHECK(test::relative_error(from.freeze({a})(x), expected) < float32_bound());
  }
}

TEST_CASE("the bound notices another eps in group norm") {
  const auto from = bit::io::open_checkpoint(folder() / "checkpoint.npz");
  bit::resnet_config config = from.config;
  config.group_norm_eps = 1e-3;
  const auto model = bit::resnet_v2<>(config, from.tensors).freeze();
  CHECK(test::relative_error(model(images<float>()), read_array<double>("logits")) > float32_bound());
}
