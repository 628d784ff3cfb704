// SPDX-License-Identifier: Apache-2.0
// Gradients of a frozen model: memory, threads, refusals, and kernels that are read from files.
#include <doctest/doctest.h>

#include "tapped_gradients.hpp"

using test::frozen_gradients_of, test::sample_of;

TEST_CASE("gradients of a frozen model take no second copy of its weights") {
  const bit::resnet_config config{.units = {3, 4, 6, 3}, .stem_channels = 64, .num_classes = 10};
  const auto model = bit::resnet_v2<>(config, 1).freeze();
  const bit::dims4 images{1, 3, 64, 64};
  const auto x = test::random_images(images, 1);
  model(x);  // packs what this size needs
  const std::size_t packed = model.parameter_bytes();
  const bit::frozen_gradients<bit::cpu<float>> explain(model);
  std::vector<float> one(10), map(2048 * 2 * 2), image(x.size());
  one[3] = 1;
  const std::vector<bit::named_tap<float>> taps{{"features", map}, {"image", image}};
  explain(bit::view_of(x.data(), images, bit::layout::nchw), std::span<const float>(one), taps);
  CHECK(model.parameter_bytes() == packed);  // plans of both kinds share the packed kernels
  // The largest kernel alone, stored and transposed in Winograd's 4x4 layout, is 9.4 + 37.7 MB; all are 94.
  const std::vector<std::string> names{"features", "image"};
  CHECK(explain.workspace_bytes(images, names, 1) < packed / 2);
  CHECK(explain.workspace_bytes(images, names, 1) > 4 << 20);  // it is measured at all
}

TEST_CASE("the gradient of the logits may depend on them, and one model serves several threads") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  const auto model = bit::resnet_v2<>(s.config, 1).freeze();
  const bit::frozen_gradients<bit::cpu<float>> explain(model);
  const auto x = test::random_images(s.image, 3);
  const auto view = bit::view_of(x.data(), s.image, bit::layout::nchw);
  const auto run = [&] {
    std::vector<float> image(x.size());
    const bit::named_tap<float> tap{"image", image};
    explain(
        view,
        [](std::span<const float> logits, std::span<float> gradient) {
          std::copy(logits.begin(), logits.end(), gradient.begin());
        },
        std::span(&tap, 1));
    return image;
  };
  const auto expected = run();
  CHECK(std::any_of(expected.begin(), expected.end(), [](float v) { return v != 0; }));
  std::vector<std::vector<float>> got(6);
#pragma omp parallel for num_threads(3)
  for (int i = 0; i < 6; ++i) got[static_cast<std::size_t>(i)] = run();
  for (const auto& g : got) CHECK(g == expected);
}

TEST_CASE("taps that cannot be are refused with a reason") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  const auto tensors = test::random_parameters(s.config, 1);
  const bit::frozen_gradients<bit::cpu<float>> explain(bit::resnet_v2<>(s.config, tensors).freeze());
  const auto x = test::random_images(s.image, 3);
  const auto view = bit::view_of(x.data(), s.image, bit::layout::nchw);
  const std::vector<float> gradient(2 * 7);
  std::vector<float> out(x.size()), logits(14);
  const auto ask = [&](std::vector<std::string> names, std::span<float> room, std::span<const float> of) {
    std::vector<bit::named_tap<float>> taps;
    for (const auto& name : names) taps.push_back({name, room});
    explain(view, of, taps);
  };
  CHECK_THROWS_WITH_AS(ask({"block9"}, out, gradient), doctest::Contains("got \"block9\""), bit::config_error);
  CHECK_THROWS_WITH_AS(ask({"logits"}, logits, gradient), doctest::Contains("got \"logits\""), bit::config_error);
  CHECK_THROWS_WITH_AS(ask({"image", "image"}, out, gradient), doctest::Contains("twice"), bit::config_error);
  CHECK_THROWS_WITH_AS(ask({"pooled"}, out, gradient), doctest::Contains("values of memory"), bit::shape_error);
  CHECK_THROWS_WITH_AS(ask({"image"}, out, logits.size() ? std::span<const float>(gradient).first(7) : gradient),
                       doctest::Contains("14 logits"), bit::shape_error);
  CHECK_NOTHROW(ask({"image"}, out, gradient));
  bit::resnet_config headless = s.config;
  headless.num_classes = 0;
  const bit::frozen_gradients<bit::cpu<float>> none(bit::resnet_v2<>(headless, 1).freeze());
  CHECK_THROWS_WITH_AS(none(view, std::span<const float>{}, {}), doctest::Contains("head"), bit::config_error);
  // What the function throws comes out, and the next call is right.
  const bit::named_tap<float> tap{"image", out};
  CHECK_THROWS_AS(explain(
                      view, [](auto, auto) { throw std::range_error("mine"); }, std::span(&tap, 1)),
                  std::range_error);
  CHECK_NOTHROW(ask({"image"}, out, gradient));
}

namespace {

/// Values that must be read part by part and verified, as those of an npz file; they can be damaged later.
class file_values final : public bit::tensor_data {
 public:
  explicit file_values(std::vector<float> values) : values_(std::move(values)) {}
  void read(std::span<float> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  void read(std::span<double> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  bool is_snapshot() const override { return true; }
  bool has_parts() const override { return in_parts; }
  std::uint32_t read_part(std::size_t first, std::span<float> out) const override {
    if (gone) throw bit::io_error("the disk is gone", 5);
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
    return static_cast<std::uint32_t>(first);
  }
  void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const override {
    for (std::size_t i = 0; i < checksums.size(); ++i)
      if (checksums[i] != i * part) throw bit::format_error("parts out of order");
    if (damaged) throw bit::format_error("damaged");
  }
  bool in_parts = true, damaged = false, gone = false;

 private:
  std::vector<float> values_;
};

}  // namespace

TEST_CASE("kernels are found in place, read whole or read in parts with the same bits; a damaged file is told") {
  const test::sample s = sample_of(24, {1, 3, 20, 18});  // the largest kernel has 6 parts
  auto tensors = test::random_parameters(s.config, 1);
  const auto options = bit::freeze_options{.algorithm = bit::algorithm::direct};
  const auto in_memory = bit::resnet_v2<>(s.config, tensors).freeze(options);  // a snapshot, read in place
  const auto expected = frozen_gradients_of(in_memory, s, 2);
  std::map<std::string, std::shared_ptr<file_values>> files;
  for (bit::named_tensor& t : tensors) {
    std::vector<float> values(t.size());
    t.data->read(std::span<float>(values));
    t.data = files[t.name] = std::make_shared<file_values>(std::move(values));
  }
  const auto model = bit::resnet_v2<>(s.config, tensors).freeze(options);
  for (const bool in_parts : {true, false}) {
    for (auto& [name, file] : files) file->in_parts = in_parts;
    for (const std::size_t threads : {1u, 3u}) CHECK(frozen_gradients_of(model, s, threads) == expected);
  }
  for (auto& [name, file] : files) file->in_parts = true;
  for (const std::string name : {"resnet/block2/unit01/b/standardized_conv2d/kernel", "resnet/head/conv2d/kernel"}) {
    files.at(name)->damaged = true;
    CHECK_THROWS_WITH_AS(frozen_gradients_of(model, s, 2), "damaged", bit::format_error);
    files.at(name)->damaged = false;
    files.at(name)->gone = true;
    CHECK_THROWS_AS(frozen_gradients_of(model, s, 2), bit::io_error);
    files.at(name)->gone = false;
    CHECK(frozen_gradients_of(model, s, 2) == expected);
  }
}
