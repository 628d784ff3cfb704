// SPDX-License-Identifier: Apache-2.0
// The seam for devices: a backend with memory and queues of its own passes frozen inference without a change elsewhere.
#include "device_backend.hpp"

#include <doctest/doctest.h>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>
#include <cmath>
#include <limits>

#include "../backend/random_data.hpp"

namespace {

const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};

using device = test::on_device<bit::cpu<float>>;
static_assert(bit::device_backend<device> && bit::device_backend<test::on_device<bit::reference<double>>>);
static_assert(!bit::device_backend<bit::cpu<float>> && !bit::device_backend<bit::reference<double>>);

/// Whether models of a backend take tensors of a device.
template <class Backend>
concept runs_on_device = requires(const bit::frozen_resnet_v2<Backend>& m, const bit::device_tensor& x,
                                  std::span<const std::string> names, std::span<const bit::device_tensor> y) {
  m.run(x, names, y, nullptr);
};
static_assert(runs_on_device<device> && !runs_on_device<bit::cpu<float>>);

std::span<const float> values_of(const bit::tensor4<float>& x) { return {x.data(), x.size()}; }

/// Keeps a queue from working until it is opened.
struct stopper {
  explicit stopper(test::device_queue& queue) {
    queue.push([own = event] { own->wait(); });
  }
  std::shared_ptr<test::device_event> event = std::make_shared<test::device_event>();
};

/// A model with images on the device, and what it gives for them.
struct sample {
  bit::frozen_resnet_v2<device> model = bit::resnet_v2<device>(small, 1).freeze();
  bit::tensor4<float> x = test::random_images({2, 3, 40, 33}, 1);
  test::device_array<float> images{values_of(x)};
  bit::device_tensor image = bit::device_view_of(images.data(), {2, 3, 40, 33}, bit::layout::nchw);
  test::device_array<float> logits{20};
  bit::device_tensor out = bit::device_view_of(logits.data(), {2, 10, 1, 1}, bit::layout::nchw);
  bit::matrix<float> expected = bit::resnet_v2<>(small, 1).freeze()(x);
  const std::string name = "logits";

  bool is_right() const {
    const auto got = logits.values();
    return std::equal(got.begin(), got.end(), expected.begin(), expected.end());
  }
};

}  // namespace

TEST_CASE("every member of a frozen model gives on a device what it gives without one") {
  const auto model = bit::resnet_v2<device>(small, 1).freeze();
  const auto host = bit::resnet_v2<>(small, 1).freeze();
  bit::run_options one;
  one.threads = 1;
  const auto x = test::random_images({2, 3, 40, 33}, 1), same = test::random_images({2, 40, 33, 3}, 2);
  CHECK(model(x) == host(x));
  CHECK(model(same, bit::layout::nhwc) == host(same, bit::layout::nhwc));
  for (const char* name : {"block2", "stem", "features", "pooled"}) {
    CHECK(model.features(x, name) == host.features(x, name));
    CHECK(model.features(same, name, bit::layout::nhwc) == host.features(same, name, bit::layout::nhwc));
  }
  const auto features = test::random_images({2, 1024, 3, 2}, 3);
  const auto view = bit::view_of(features.data(), {2, 1024, 3, 2}, bit::layout::nchw);
  std::vector<float> there(20), here(20);
  model.run_head(view, false, there.data());
  host.run_head(view, false, here.data());
  CHECK(there == here);
  CHECK(model(bit::tensor4<float>::from_shape({0, 3, 32, 32})).shape()[0] == 0);
  const bit::dims4 d{2, 3, 40, 33};
  CHECK(model.plan(d).total == host.plan(d).total);
  CHECK(model.report(d).size() == host.report(d).size());
  CHECK(model.profile(bit::view_of(x.data(), d, bit::layout::nchw), 2).front().min_seconds > 0);
  CHECK(model.workspace_bytes(d, 7) == host.workspace_bytes(d, 1));
  CHECK(model.throughput_batch(d) == std::min<std::size_t>(host.throughput_batch(d), 8));
  CHECK(model.throughput_batch(d, 0) == 1);
  int asked = 0;
  bit::run_options stop;
  stop.interrupted = [&] { return ++asked == 1; };
  CHECK_THROWS_AS(model(x, bit::layout::nchw, stop), bit::interrupted_error);
  CHECK(asked == 1);
  CHECK_THROWS_AS(model(bit::image_view<float>{x.data(), {1, 3, 20000, 20000}, 0, 0, 0, 0}), bit::shape_error);
}

TEST_CASE("a run on device tensors returns before it is done, and is done in the order of its queue") {
  sample s;
  test::device_queue queue;
  const stopper stop(queue);
  s.model.run(s.image, {&s.name, 1}, {&s.out, 1}, &queue);
  for (const float v : s.logits.values()) CHECK(std::isnan(v));
  stop.event->set();
  queue.wait();
  CHECK(s.is_right());
}

TEST_CASE("images and results lie at any strides") {
  sample s;
  const auto host = bit::resnet_v2<>(small, 1).freeze();
  const std::string names[] = {"block2", "logits"};
  std::vector<float> interleaved(s.x.size());
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t i = 0; i < 1320; ++i) interleaved[(n * 1320 + i) * 3 + c] = s.x.data()[(n * 3 + c) * 1320 + i];
  const test::device_array<float> images{std::span<const float>(interleaved)};
  const bit::dims4 map = host.output_dims("block2", {2, 3, 40, 33});
  const test::device_array<float> block2(map.size()), logits(40);
  // Every second float is another's.
  const bit::device_tensor outs[] = {bit::device_view_of(block2.data(), map, bit::layout::nhwc),
                                     {logits.data(), {2, 10, 1, 1}, 20, 2, 1, 1}};
  test::device_queue queue;
  s.model.run(bit::device_view_of(images.data(), {2, 3, 40, 33}, bit::layout::nhwc), names, outs, &queue);
  queue.wait();
  const auto found = block2.values(), sparse = logits.values();
  const auto expected = host.features(s.x, "block2");
  bool equal = true;
  for (std::size_t n = 0; n < map.n; ++n)
    for (std::size_t c = 0; c < map.c; ++c)
      for (std::size_t h = 0; h < map.h; ++h)
        for (std::size_t w = 0; w < map.w; ++w)
          equal &= found[((n * map.h + h) * map.w + w) * map.c + c] == expected(n, c, h, w);
  CHECK(equal);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(sparse[2 * i] == s.expected(i / 10, i % 10));
    CHECK(std::isnan(sparse[2 * i + 1]));
  }
}

TEST_CASE("runs in two queues that share a workspace do not disturb each other") {
  sample s;
  const test::device_array<float> second(20);
  const auto second_out = bit::device_view_of(second.data(), {2, 10, 1, 1}, bit::layout::nchw);
  test::device_queue a, b;
  const stopper stop(a);
  s.model.run(s.image, {&s.name, 1}, {&s.out, 1}, &a);
  s.model.run(s.image, {&s.name, 1}, {&second_out, 1}, &b);  // the workspace is idle for the model, and in use in `a`
  for (const float v : second.values()) CHECK(std::isnan(v));
  stop.event->set();
  a.wait();
  b.wait();
  CHECK(s.is_right());
  CHECK(second.values() == s.logits.values());
}

TEST_CASE("a model may be destroyed or released while its work is in a queue") {
  sample s;
  test::device_queue queue;
  const stopper stop(queue);
  auto model = std::make_unique<bit::frozen_resnet_v2<device>>(bit::resnet_v2<device>(small, 1).freeze());
  model->run(s.image, {&s.name, 1}, {&s.out, 1}, &queue);
  std::thread destroys([&] {
    model->release();
    model.reset();
  });
  stop.event->set();
  destroys.join();
  queue.wait();
  CHECK(s.is_right());
}

TEST_CASE("what a device cannot use is refused with a device_error, and what does not fit with a shape_error") {
  sample s;
  test::device_queue queue;
  const auto run = [&](const bit::device_tensor& image, const bit::device_tensor& out) {
    s.model.run(image, {&s.name, 1}, {&out, 1}, &queue);
  };
  auto host = s.image, elsewhere = s.image, other_type = s.image, beyond = s.image;
  host.data = s.x.data();
  elsewhere.device = 1;
  other_type.type = bit::dtype::bfloat16;
  beyond.stride_n *= 2;
  CHECK_THROWS_WITH_AS(run(host, s.out), doctest::Contains("expected an address in the device's memory"),
                       bit::device_error);
  CHECK_THROWS_WITH_AS(run(elsewhere, s.out), "[run] expected images on device 0, where the model is, got device 1",
                       bit::device_error);
  CHECK_THROWS_WITH_AS(run(other_type, s.out), doctest::Contains("expected float32 images, got bfloat16"),
                       bit::device_error);
  CHECK_THROWS_AS(run(beyond, s.out), bit::device_error);
  auto small_out = s.out, null_out = s.out, other_out = s.out;
  small_out.dims.n = 1;
  null_out.data = nullptr;
  other_out.device = 3;
  CHECK_THROWS_WITH_AS(run(s.image, small_out),
                       "[run] expected the output \"logits\" to be (n=2, c=10, h=1, w=1) for images (n=2, c=3, h=40, "
                       "w=33), got (n=1, c=10, h=1, w=1)",
                       bit::shape_error);
  CHECK_THROWS_AS(run(s.image, null_out), bit::shape_error);
  CHECK_THROWS_AS(run(s.image, other_out), bit::device_error);
  CHECK_THROWS_AS(s.model.run(s.image, {&s.name, 1}, std::span<const bit::device_tensor>{}, &queue), bit::shape_error);
  const bit::dims4 too_large{1, 3, std::size_t{1} << 33, std::size_t{1} << 33};
  CHECK_THROWS_AS(bit::device_view_of(s.images.data(), too_large, bit::layout::nchw), bit::shape_error);
  run(s.image, s.out);  // nothing of this has harmed the model
  queue.wait();
  CHECK(s.is_right());
}

TEST_CASE("what fails in the queue comes out of waiting for it, as a device_error") {
  sample s;
  test::device_queue queue;
  auto images = std::make_unique<test::device_array<float>>(values_of(s.x));
  const stopper stop(queue);
  s.model.run(bit::device_view_of(images->data(), {2, 3, 40, 33}, bit::layout::nchw), {&s.name, 1}, {&s.out, 1},
              &queue);
  images.reset();  // before the queue has read them, which a caller must not do
  stop.event->set();
  CHECK_THROWS_AS(queue.wait(), bit::device_error);
  s.model.run(s.image, {&s.name, 1}, {&s.out, 1}, &queue);
  queue.wait();
  CHECK(s.is_right());
}
