// SPDX-License-Identifier: Apache-2.0
// Frozen models: they depend on nothing outside them, refuse what cannot be run, and give memory back.
#include <doctest/doctest.h>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>
#include <limits>
#include <thread>

#include "../backend/batch_loss.hpp"
#include "../backend/random_data.hpp"
#include "gated_values.hpp"

namespace {

const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};

/// A model whose parameters change by what looks like training.
template <class Backend>
void disturb(bit::trainable_resnet_v2<Backend>& model) {
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    model.parameters().change_values(i, [](auto values) {
      for (auto& v : values) v *= -1.5f;
    });
}

template <class T>
bit::tensor4<T> images_of(std::size_t side) {
  return xt::cast<T>(test::random_images({1, 3, side, side}, static_cast<std::uint32_t>(side)));
}

template <class T>
bit::image_view<T> view(const T* data, const bit::dims4& d) {
  return {data, d, 0, 0, 0, 0};  // for sizes of which nothing is read
}

/// A CPU on which no workspace larger than 1 MiB can be had.
struct scarce : bit::cpu<float> {
  struct workspace : bit::cpu<float>::workspace {
    explicit workspace(std::size_t bytes)
        : bit::cpu<float>::workspace(bytes > (std::size_t{1} << 20) ? throw std::bad_alloc() : bytes) {}
  };
};
static_assert(bit::backend<scarce>);

}  // namespace

TEST_CASE_TEMPLATE("a frozen model made of one in training keeps its values", Backend, bit::cpu<float>,
                   bit::cpu<bit::bfloat16>, bit::reference<double>) {
  using T = typename Backend::value_type;
  const bit::resnet_v2<Backend> source(small, 1);
  auto trained = std::make_unique<bit::trainable_resnet_v2<Backend>>(small, 1);
  const bit::freeze_options winograd{.algorithm = bit::algorithm::winograd_4x4};
  // Each size may need another layout of the 3x3 kernels, read when its first call comes.
  const bit::resnet_v2<Backend> by_hand(trained->config(), trained->network().parameters());
  const bit::frozen_resnet_v2<Backend> all[] = {trained->freeze(), bit::frozen_resnet_v2<Backend>(trained->network()),
                                                by_hand.freeze(), trained->freeze(winograd),
                                                trained->freeze({.keep_values = true})};
  const bit::frozen_resnet_v2<Backend> expected[] = {source.freeze(), source.freeze(), source.freeze(),
                                                     source.freeze(winograd), source.freeze()};
  const auto check = [&](std::size_t side) {
    const auto x = images_of<T>(side);
    for (std::size_t i = 0; i < std::size(all); ++i) {
      CAPTURE(i);
      CHECK(all[i](x) == expected[i](x));
    }
  };
  check(32);
  disturb(*trained);
  check(96);
  CHECK_FALSE(trained->freeze()(images_of<T>(32)) == source.freeze()(images_of<T>(32)));  // the change changes results
  trained.reset();
  check(70);
  CHECK(by_hand.freeze()(images_of<T>(48)) == source.freeze()(images_of<T>(48)));
  std::vector<T> kept(7 * 7 * 3 * 32), first(kept.size());
  all[0].network().parameters().front().data->read(std::span<T>(kept));
  source.parameters().front().data->read(std::span<T>(first));
  CHECK(kept == first);
}

TEST_CASE("a snapshot is evaluated while training goes on in another thread") {
  bit::trainable_resnet_v2<bit::cpu<float>> trained(small, 3);
  const auto snapshot = trained.freeze();
  const auto expected = bit::resnet_v2<>(small, 3).freeze();
  std::thread training([&] {
    const auto x = images_of<float>(40);
    const test::cross_entropy<float> loss({4});
    bit::run_options one;
    one.threads = 1;
    for (int step = 0; step < 4; ++step) {
      trained.zero_gradients();
      trained.accumulate(bit::view_of(x.data(), {1, 3, 40, 40}, bit::layout::nchw), loss, 1, {}, one);
      const std::vector<bit::parameter_rule> rules(trained.parameters().size());
      const auto state = trained.parameters().make_state(0, rules);
      trained.parameters().update(bit::sgd_hyperparameters{.rate = 0.1}, rules, *state, 1);
    }
  });
  for (const std::size_t side : {32u, 64u, 96u, 70u}) {
    const auto x = images_of<float>(side);
    CHECK(snapshot(x) == expected(x));
  }
  training.join();
  CHECK_FALSE(trained.freeze()(images_of<float>(32)) == expected(images_of<float>(32)));
}

TEST_CASE("a model for training is made of one for inference, and of a seed") {
  const bit::resnet_v2<bit::cpu<bit::bfloat16>> loaded(small, 5);
  bit::trainable_resnet_v2<bit::cpu<float>> of_model(loaded), of_seed(small, 5), of_other(small, 6);
  const auto x = images_of<float>(32);
  const auto logits = [&](auto& model) {
    std::vector<float> out(10);
    model.logits(bit::view_of(x.data(), {1, 3, 32, 32}, bit::layout::nchw), out.data());
    return out;
  };
  CHECK(logits(of_model) == logits(of_seed));
  CHECK_FALSE(logits(of_model) == logits(of_other));
}

TEST_CASE("images are read where they lie") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({2, 3, 33, 20}, 1);
  std::vector<float> mirrored(x.size());  // channels in the reverse order, as OpenCV's
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t i = 0; i < 660; ++i) mirrored[(n * 660 + i) * 3 + 2 - c] = x.data()[(n * 3 + c) * 660 + i];
  CHECK(model(bit::image_view<float>{mirrored.data() + 2, {2, 3, 33, 20}, 1980, -1, 60, 3}) == model(x));
  const auto none = model(bit::image_view<float>{nullptr, {0, 3, 33, 20}, 0, 0, 0, 0});
  CHECK(none.shape()[0] == 0);
  CHECK(none.shape()[1] == 10);
}

TEST_CASE("run() checks the number of outputs and that there is memory behind them") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({1, 3, 32, 32}, 1);
  const auto images = bit::view_of(x.data(), {1, 3, 32, 32}, bit::layout::nchw);
  std::vector<float> out(1024);
  const std::string names[] = {"logits", "pooled"};
  float* const one[] = {out.data()};
  float* const two[] = {out.data(), nullptr};
  CHECK_THROWS_WITH_AS(model.run(images, names, one),
                       "[run] expected one output for each name, got 2 names and 1 output", bit::shape_error);
  CHECK_THROWS_WITH_AS(model.run(images, names, two),
                       "[run] expected memory for the output \"pooled\" of images (n=1, c=3, h=32, w=32), got a null "
                       "pointer",
                       bit::shape_error);
  CHECK_THROWS_WITH_AS(model.run(view<float>(nullptr, {1, 3, 32, 32}), {names, 1}, one),
                       "[run] expected images (n=1, c=3, h=32, w=32) at an address, got a null pointer",
                       bit::shape_error);
  CHECK_THROWS_AS(model.run_head(view<float>(nullptr, {1, 1024, 1, 1}), false, out.data()), bit::shape_error);
  CHECK_THROWS_AS(model.run_head(view(x.data(), {1, 1024, 1, 1}), false, nullptr), bit::shape_error);
  CHECK_NOTHROW(model.run(view<float>(nullptr, {0, 3, 32, 32}), names, two));
  CHECK_THROWS_AS(model.run(view<float>(nullptr, {0, 4, 32, 32}), names, two), bit::shape_error);
}

TEST_CASE("images that no machine can hold are refused at once") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const float pixel = 0;
  constexpr std::size_t large = std::size_t{1} << 20, huge = std::size_t{1} << 33;
  // Their feature maps take 35 TiB. Cutting the work of a plan for them took more than five minutes.
  CHECK_THROWS_WITH_AS(model(view(&pixel, {1, 3, large, large})),
                       doctest::Contains("expected images whose feature maps fit into memory: those of (n=1, c=3, "
                                         "h=1048576, w=1048576) need "),
                       bit::shape_error);
  CHECK_THROWS_WITH_AS(model(view(&pixel, {1, 3, huge, huge})),
                       "[shape] expected at most 2^48 = 281474976710656 elements, got (n=1, c=3, h=8589934592, "
                       "w=8589934592)",
                       bit::shape_error);
  CHECK_THROWS_AS(model(view(&pixel, {0, 3, huge, huge})), bit::shape_error);
  CHECK_THROWS_AS(model(view(&pixel, {std::numeric_limits<std::size_t>::max(), 3, 32, 32})), bit::shape_error);
  CHECK_THROWS_AS(model.output_dims("stem", {1, 3, huge, huge}), bit::shape_error);
  CHECK_THROWS_AS(model.workspace_bytes({1, 3, large, large}), bit::shape_error);
  CHECK_THROWS_AS(bit::view_of(&pixel, {1, 3, huge, huge}, bit::layout::nhwc), bit::shape_error);
  CHECK_NOTHROW(model.output_dims("stem", {1, 3, large, large}));
}

TEST_CASE("memory that the system does not give is an error that says how much was needed for what") {
  const auto model = bit::resnet_v2<scarce>(small, 1).freeze();
  bit::run_options two;
  two.threads = 2;
  const auto x = images_of<float>(256), little = images_of<float>(32);
  const auto run = [&] { model(x, bit::layout::nchw, two); };
  const std::string bytes = std::to_string(model.workspace_bytes({1, 3, 256, 256}, 2));
  CHECK_THROWS_WITH_AS(run(),
                       doctest::Contains(("images (n=1, c=3, h=256, w=256) need 4 MiB (" + bytes +
                                          " bytes) of working memory with 2 threads, which the system did not "
                                          "give; use fewer images a call")
                                             .c_str()),
                       bit::memory_error);
  CHECK(model(little) == bit::resnet_v2<>(small, 1).freeze()(little));
}

TEST_CASE("a model that has been moved from is a copy of the other") {
  bit::resnet_v2<> source(small, 1);
  const bit::resnet_v2<> moved = std::move(source);
  auto model = moved.freeze();
  const auto x = images_of<float>(32);
  const auto expected = model(x);
  const auto taken = std::move(model);
  CHECK(model(x) == expected);  // NOLINT(bugprone-use-after-move): what the test is about
  CHECK(taken(x) == expected);
  CHECK(source.freeze()(x) == expected);  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("with keep_values nothing is read after freezing, and results are the same") {
  for (const bit::algorithm a : {bit::algorithm::automatic, bit::algorithm::winograd_2x2}) {
    auto tensors = bit::random_tensors(small, 1);
    const auto gated = test::put_gate_before_a_kernel(tensors);
    const bit::resnet_v2<> source(small, tensors);
    const auto reading = source.freeze({.algorithm = a}),
               keeping = source.freeze({.algorithm = a, .keep_values = true});
    const int before = gated->reads;
    std::vector<bit::matrix<float>> results;
    for (const std::size_t side : {32u, 96u}) results.push_back(keeping(images_of<float>(side)));
    keeping.release();
    CHECK(keeping(images_of<float>(32)) == results.front());
    CHECK(gated->reads == before);
    for (std::size_t i = 0; i < 2; ++i) CHECK(reading(images_of<float>(i ? 96 : 32)) == results[i]);
    CHECK(gated->reads > before);  // the counter counts
    reading.release();             // otherwise the plans still hold the layout
    gated->broken = true;
    CHECK_THROWS_WITH_AS(reading(images_of<float>(33)), "the disk is gone", bit::io_error);
  }
}

TEST_CASE("release() gives back what calls left behind, and the next call makes it again") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = images_of<float>(64);
  const std::size_t packed = model.parameter_bytes();
  const auto expected = model(x);
  CHECK(model.parameter_bytes() > packed);  // 3x3 kernels in the layout of this shape
  model.release();
  CHECK(model.parameter_bytes() <= packed);
  CHECK(model(x) == expected);
}

TEST_CASE("a backend in the machine's own memory has device 0 only") {
  CHECK_THROWS_WITH_AS(bit::resnet_v2<>(small, 1).freeze({.device = 1}), doctest::Contains("expected device 0"),
                       bit::config_error);
}
