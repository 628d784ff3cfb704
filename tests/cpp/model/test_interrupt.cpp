// SPDX-License-Identifier: Apache-2.0
// run_options::interrupted that throws, and numbers of threads beyond all reason, in every backend and pass.
#include <doctest/doctest.h>
#include <bit/gradients.hpp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>
#include <limits>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace {

test::sample small() {
  test::sample s;
  s.config = {.units = {1, 1, 1, 1}, .stem_channels = 8, .num_classes = 7, .groups = 4};
  s.image = {2, 3, 33, 30};
  return s;
}

struct mine : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Calls work(options) with an `interrupted` that throws at its first, second, ... call, until it is not called so often
/// any more; returns how many calls have thrown.
template <class Work>
int throw_everywhere(std::size_t threads, Work work) {
  for (int stop = 0;; ++stop) {
    int calls = 0;
    bit::run_options options;
    options.threads = threads;
    options.interrupted = [&]() -> bool {
      if (calls++ == stop) throw mine("step " + std::to_string(stop));
      return false;
    };
    try {
      work(options);
      return stop;
    } catch (const mine& e) {
      REQUIRE(std::string(e.what()) == "step " + std::to_string(stop));
      REQUIRE(calls == stop + 1);  // it is not asked again
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("a throwing `interrupted` ends a frozen model's run and comes out as that exception", Backend,
                   bit::cpu<float>, bit::cpu<bit::bfloat16>, bit::reference<float>, bit::reference<double>) {
  using T = typename Backend::value_type;
  const test::sample s = small();
  const auto model = bit::resnet_v2<Backend>(s.config, 1).freeze();
  const bit::tensor4<T> x = xt::cast<T>(test::random_images(s.image, 1));
  const auto expected = model(x);
  for (const std::size_t threads : {1u, 2u, 3u, 5u})
    CHECK(throw_everywhere(threads, [&](const bit::run_options& o) { model(x, bit::layout::nchw, o); }) > 14);
  CHECK(model(x) == expected);
}

TEST_CASE_TEMPLATE("a throwing `interrupted` ends both passes of a model in training, and of a frozen one", Backend,
                   bit::cpu<float>, bit::cpu<bit::bfloat16>, bit::reference<float>) {
  using T = typename Backend::value_type;
  const test::sample s = small();
  const auto tensors = test::random_parameters(s.config, 1);
  bit::trainable_resnet_v2<Backend> model(s.config, tensors);
  const bit::frozen_gradients<Backend> explain(bit::resnet_v2<Backend>(s.config, tensors).freeze());
  const bit::tensor4<T> x = xt::cast<T>(test::random_images(s.image, 1));
  const auto view = bit::view_of(x.data(), s.image, bit::layout::nchw);
  std::vector<T> image(x.size());
  const bit::named_tap<T> tap{"image", image};
  const std::vector<T> gradient(2 * 7, T(1));
  const auto step = [&] {
    model.zero_gradients();
    model.accumulate(view, test::cross_entropy<T>({0, 1}));
    return std::vector<T>(model.parameters().front().gradient.begin(), model.parameters().front().gradient.end());
  };
  const auto expected = step();
  for (const std::size_t threads : {1u, 2u, 3u}) {
    const int steps = throw_everywhere(threads, [&](const bit::run_options& o) {
      model.accumulate(view, test::cross_entropy<T>({0, 1}), 1, {}, o);
    });
    CHECK(steps > 50);  // more than the forward pass has
    CHECK(throw_everywhere(threads, [&](const bit::run_options& o) {
            explain(view, std::span<const T>(gradient), std::span(&tap, 1), {}, o);
          }) > 35);
  }
  CHECK(step() == expected);
}

TEST_CASE("a run takes no more threads than are of use, whatever it asks for") {
  const test::sample s = small();
  const auto model = bit::resnet_v2<>(s.config, 1).freeze();
  const auto x = test::random_images(s.image, 1);
  const auto expected = model(x);
  const std::size_t most = bit::cpu<>::threads(std::numeric_limits<std::size_t>::max());
  CHECK(most >= 64);
  CHECK(most < 10000);
  for (const std::size_t threads :
       {std::size_t{60000}, std::size_t{100000}, std::size_t{3000000000}, std::numeric_limits<std::size_t>::max()}) {
    CHECK(bit::cpu<>::threads(threads) == most);
    CHECK(model.workspace_bytes(s.image, threads) == model.workspace_bytes(s.image, most));
    bit::run_options options;
    options.threads = threads;
    CHECK(model(x, bit::layout::nchw, options) == expected);
  }
}

TEST_CASE("more work than the queue counts is refused when the plan is made") {
  const test::sample s = small();
  const bit::network net(s.config, bit::random_tensors(s.config, 1));
  const std::string logits = "logits";
  const auto small_program = net.emit(s.image, std::span(&logits, 1));
  const auto weights = std::make_shared<const bit::cpu<>::weights>(small_program);
  CHECK_NOTHROW(bit::cpu<>::plan(small_program, weights));
  const std::size_t images = bit::detail::work_stealing_queue::max_items;
  CHECK_THROWS_WITH_AS(bit::cpu<>::plan(net.emit({images + 1, 3, 1, 1}, std::span(&logits, 1)), weights),
                       doctest::Contains("work items"), bit::config_error);
}
