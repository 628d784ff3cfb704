// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/model/network.hpp>
#include <bit/model/random.hpp>
#include <cmath>

namespace {

const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};

/// Windows of all 3x3 convolutions, unit by unit.
std::vector<bit::window> spatial_windows(const bit::resnet_config& config) {
  const std::string output = "block4";
  const bit::program p = bit::network(config, bit::random_tensors(config, 0)).emit({1, 3, 64, 64}, {&output, 1});
  std::vector<bit::window> windows;
  for (const bit::step& s : p.steps)
    if (const auto* conv = std::get_if<bit::conv_step>(&s); conv && conv->main.window.size == 3)
      windows.push_back(conv->main.window);
  return windows;
}

}  // namespace

TEST_CASE("missing, unexpected, doubled and mis-shaped tensors are listed all at once") {
  auto tensors = bit::random_tensors(small, 0);
  tensors[1].name = "resnet/block1/unit01/a/group_norm/gama";
  tensors[2].shape = {33};
  tensors.push_back(tensors.back());
  try {
    bit::network(small, tensors);
    FAIL("expected a format_error");
  } catch (const bit::format_error& e) {
    const std::string text = e.what();
    CHECK(text ==
          "[network] the tensors do not make units {1,1,1,1}, stem 32 with 10 classes:\n"
          "  1 missing: resnet/block1/unit01/a/group_norm/gamma\n"
          "  1 unexpected: resnet/block1/unit01/a/group_norm/gama\n"
          "  1 given twice: resnet/head/conv2d/bias\n"
          "  1 of another shape: resnet/block1/unit01/a/group_norm/beta expected (32,) got (33,)");
  }
}

TEST_CASE("output stride 32 strides in blocks 2 to 4 and never dilates") {
  for (const bit::window& w : spatial_windows({.units = {2, 2, 2, 2}, .stem_channels = 32})) CHECK(w.dilation == 1);
}

TEST_CASE("output strides 16 and 8 dilate where the stride is gone, the first unit one block late") {
  // Expected values: timm 1.0 resnetv2_50x1_bit(output_stride=16|8), conv2 of every block.
  const auto os16 = spatial_windows({.units = {2, 2, 2, 2}, .stem_channels = 32, .output_stride = 16});
  const std::size_t stride16[] = {1, 1, 2, 1, 2, 1, 1, 1}, dilation16[] = {1, 1, 1, 1, 1, 1, 1, 2};
  const auto os8 = spatial_windows({.units = {2, 2, 2, 2}, .stem_channels = 32, .output_stride = 8});
  const std::size_t stride8[] = {1, 1, 2, 1, 1, 1, 1, 1}, dilation8[] = {1, 1, 1, 1, 1, 2, 2, 4};
  for (std::size_t i = 0; i < 8; ++i) {
    CAPTURE(i);
    CHECK(os16[i].stride == stride16[i]);
    CHECK(os16[i].dilation == dilation16[i]);
    CHECK(os8[i].stride == stride8[i]);
    CHECK(os8[i].dilation == dilation8[i]);
    CHECK(os8[i].padding == dilation8[i]);
  }
}

TEST_CASE("programs stop where the last wanted output is made") {
  const bit::network net(small, bit::random_tensors(small, 0));
  const std::string root = "root", block2 = "block2", all[] = {"logits", "root", "logits"};
  CHECK(net.emit({1, 3, 32, 32}, {&root, 1}).steps.size() == 1);
  CHECK(net.emit({1, 3, 32, 32}, {&block2, 1}).steps.size() == 1 + 2 * 3);
  CHECK(net.emit({1, 3, 32, 32}, all).steps.size() == 1 + 4 * 3 + 2);
}

TEST_CASE("random parameters depend on the seed and on nothing else") {
  const auto a = bit::random_tensors(small, 1), b = bit::random_tensors(small, 1), c = bit::random_tensors(small, 2);
  const auto first = [](const bit::named_tensor& t) {
    std::vector<float> values(7 * 7 * 3 * 32);
    t.data->read(std::span<float>(values));
    return values;
  };
  CHECK(first(a[0]) == first(b[0]));
  CHECK(first(a[0]) != first(c[0]));
  double sum = 0, squares = 0;
  for (const float v : first(a[0])) {
    sum += v;
    squares += v * v;
  }
  const double count = 7 * 7 * 3 * 32, variance = 2.0 / (7 * 7 * 32);
  CHECK(std::abs(sum / count) < 4 * std::sqrt(variance / count));  // four standard errors
  CHECK(squares / count == doctest::Approx(variance).epsilon(4 * std::sqrt(2 / count)));
}

TEST_CASE("a network without a head ends with pooled features") {
  bit::resnet_config config = small;
  config.num_classes = 0;
  const bit::network net(config, bit::random_tensors(config, 0));
  CHECK(net.output_names().back() == "pooled");
  const std::string logits = "logits";
  CHECK_THROWS_AS(net.emit({1, 3, 32, 32}, {&logits, 1}), bit::config_error);
}
