// SPDX-License-Identifier: Apache-2.0
// Passes whose backward pass begins at any outputs, at another time: values, bits, and what is refused.
#include <doctest/doctest.h>
#include <bit/model/recorder_cpu.hpp>

#include "tapped_gradients.hpp"

namespace {

using test::norm_error, test::sample_of;

/// Outputs at every kind of place: the stem's map, a block in the middle, the last one, and what follows it.
const std::vector<std::string> all_outputs{"stem", "root", "block2", "block4", "features", "pooled", "logits"};

/// What is differentiated: the sum over all outputs of their values times these.
template <class T>
std::vector<std::vector<T>> output_gradients(const std::vector<bit::dims4>& sizes) {
  std::vector<std::vector<T>> all;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto random = test::random_images(sizes[i], static_cast<std::uint32_t>(20 + i));
    all.emplace_back(random.begin(), random.end());
  }
  return all;
}

/// Outputs, gradients of parameters and, as "image", of the images, by name.
template <class Backend>
struct passes {
  using T = typename Backend::value_type;
  bit::recorder<Backend> recorder;
  bit::tensor4<T> images;
  std::vector<std::string> names = all_outputs;
  bit::run_options options = {};
  std::vector<std::vector<T>> outputs = {}, given = {};

  passes(const test::sample& s, const std::vector<bit::named_tensor>& tensors)
      : recorder(s.config, tensors), images(xt::cast<T>(test::random_images(s.image, 3))) {
    options.threads = 2;
  }
  bit::dims4 dims() const { return {images.shape(0), images.shape(1), images.shape(2), images.shape(3)}; }
  auto record() {
    const auto sizes = recorder.output_dims(dims(), names, true);
    given = output_gradients<T>(sizes);
    outputs.clear();
    std::vector<T*> to;
    for (const auto& d : sizes) outputs.emplace_back(d.size(), std::numeric_limits<T>::quiet_NaN());
    for (auto& o : outputs) to.push_back(o.data());
    return recorder.record(bit::view_of(images.data(), dims(), bit::layout::nchw), names, to, true, options);
  }
  test::gradients<T> back(typename bit::recorder<Backend>::recording& pass) {
    test::gradients<T> found;
    std::vector<const T*> from;
    for (const auto& g : given) from.push_back(g.empty() ? nullptr : g.data());
    auto& image = found["image"];
    image.resize(images.size());
    pass.backward(from, image.data(), options);
    for (const auto& p : recorder.parameters())
      if (!p.gradient.empty()) found[p.name].assign(p.gradient.begin(), p.gradient.end());
    return found;
  }
  test::gradients<T> gradients() {
    recorder.parameters().zero_gradients();
    auto pass = record();
    return back(pass);
  }
  double value() {
    const auto pass = record();
    double sum = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      for (std::size_t k = 0; k < outputs[i].size(); ++k)
        sum += static_cast<double>(outputs[i][k]) * static_cast<double>(given[i][k]);
    return sum;
  }
};

}  // namespace

TEST_CASE("reference<double>: gradients from all outputs agree with central differences along every parameter") {
  // Rounding, 1e-16 / 1e-7, times what some dozen layers amplify, and ReLUs that open within h: with h = 1e-6 they make 6e-4
  // of the first unit's small kernel.
  constexpr double h = 1e-7, tolerance = 1e-5;
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  for (const auto& names :
       {all_outputs, std::vector<std::string>{"block1", "block3"}, std::vector<std::string>{"pooled"},
        std::vector<std::string>{"features"}, std::vector<std::string>{"stem", "root"},
        std::vector<std::string>{"block1/unit01", "logits"}}) {
    CAPTURE(names.front());
    passes<bit::reference<double>> run(s, test::random_parameters(s.config, 2));
    run.names = names;
    const auto found = run.gradients();
    for (std::size_t i = 0; i < run.recorder.parameters().size(); ++i) {
      const bit::tensor_spec spec = run.recorder.parameters().specs()[i];
      CAPTURE(spec.name);
      const auto random = test::random_images({1, 1, 1, spec.size()}, static_cast<std::uint32_t>(i));
      const std::vector<double> start = run.recorder.parameters().values(i);
      std::vector<double> moved = start;
      const auto value_at = [&](double step) {
        for (std::size_t k = 0; k < moved.size(); ++k)
          moved[k] = start[k] + step * static_cast<double>(random.data()[k]);
        run.recorder.parameters().write(bit::parameter_array::values, i, moved);
        return run.value();
      };
      const double expected = (value_at(h) - value_at(-h)) / (2 * h);
      value_at(0);
      double along = 0, norm = 0, length = 0;
      const auto& gradient = found.at(spec.name);
      for (std::size_t k = 0; k < gradient.size(); ++k) {
        const double d = static_cast<double>(random.data()[k]);
        along += gradient[k] * d;
        norm += gradient[k] * gradient[k];
        length += d * d;
      }
      const double scale = 1e-3 + std::sqrt(norm * length);
      CHECK(std::abs(along - expected) / scale < tolerance);
      if (std::abs(along) > 0.01 * scale)  // negative control: a hundredth too large is noticed
        CHECK(std::abs(1.01 * along - expected) / scale > tolerance);
    }
  }
}

TEST_CASE(
    "cpu<float>: outputs and gradients are reference<double>'s, in either layout, for any threads, recomputed or not") {
  constexpr double tolerance = 4e-4;  // as in test_trainable_cpu.cpp
  for (const auto& s : {sample_of(8, {2, 3, 33, 30}), sample_of(20, {3, 3, 20, 47})}) {
    const auto tensors = test::random_parameters(s.config, 1);
    passes<bit::reference<double>> exact(s, tensors);
    passes<bit::cpu<float>> run(s, tensors);
    const auto expected = exact.gradients();
    const auto found = run.gradients();
    for (std::size_t i = 0; i < run.outputs.size(); ++i)
      CHECK(norm_error(run.outputs[i], exact.outputs[i]) < tolerance);
    REQUIRE(found.size() == expected.size());
    for (const auto& [name, gradient] : expected) CHECK(norm_error(found.at(name), gradient) < tolerance);

    // The negative control: without the gradient of one output others come out.
    const auto without = [&](std::size_t output) {
      run.recorder.parameters().zero_gradients();
      auto pass = run.record();
      run.given[output].clear();
      return run.back(pass);
    };
    for (std::size_t output = 0; output < all_outputs.size(); ++output)
      CHECK(norm_error(without(output).at("image"), expected.at("image")) > tolerance);

    run.options.threads = 1;
    CHECK(run.gradients() == found);
    run.recorder.set_training({.recompute = bit::recomputation::units});
    CHECK(run.gradients() == found);
  }
}

TEST_CASE("cpu<float>: from the logits alone, gradients are those of a trainable model to the bit") {
  const test::sample s = sample_of(20, {3, 3, 20, 47});
  const auto tensors = test::random_parameters(s.config, 1);
  passes<bit::cpu<float>> run(s, tensors);
  run.names = {"logits"};
  run.gradients();
  bit::trainable_resnet_v2<bit::cpu<float>> model(s.config, tensors);
  test::weighted_sum<float> loss;
  loss.weights = run.given[0];
  std::vector<float> image(run.images.size());
  const std::vector<bit::named_tap<float>> taps{{"image", image}};
  model.accumulate(bit::view_of(run.images.data(), s.image, bit::layout::nchw), loss, 1, taps, run.options);
  const auto found = run.gradients();
  CHECK(found.at("image") == image);
  for (const auto& p : model.parameters())
    CHECK(std::equal(p.gradient.begin(), p.gradient.end(), found.at(std::string(p.name)).begin()));
}

TEST_CASE("cpu<float>: feature maps and their gradients in the other layout are the same values") {
  const test::sample s = sample_of(20, {2, 3, 40, 33});
  passes<bit::cpu<float>> run(s, test::random_parameters(s.config, 1));
  run.names = {"block2"};
  const auto expected = run.gradients();
  const auto sizes = run.recorder.output_dims(s.image, run.names, true);
  const bit::dims4 d = sizes[0];
  const auto maps = run.outputs[0];
  run.options.output_layout = bit::layout::nhwc;
  run.recorder.parameters().zero_gradients();
  auto pass = run.record();
  const auto given = run.given[0];
  for (std::size_t n = 0; n < d.n; ++n)
    for (std::size_t c = 0; c < d.c; ++c)
      for (std::size_t p = 0; p < d.h * d.w; ++p) {
        const std::size_t last = (n * d.h * d.w + p) * d.c + c, first = (n * d.c + c) * d.h * d.w + p;
        CHECK(run.outputs[0][last] == maps[first]);
        run.given[0][last] = given[first];
      }
  const auto found = run.back(pass);
  for (const auto& [name, gradient] : expected)
    if (name != "image") CHECK(found.at(name) == gradient);
}

TEST_CASE("cpu<float>: recordings wait for their backward pass side by side, and gradients add up") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  passes<bit::cpu<float>> run(s, test::random_parameters(s.config, 1));
  const auto once = run.gradients();
  run.recorder.parameters().zero_gradients();
  auto first = run.record(), second = run.record();
  run.back(second);
  const auto twice = run.back(first);
  for (const auto& [name, gradient] : once) {
    if (name == "image") continue;
    for (std::size_t i = 0; i < gradient.size(); ++i) CHECK(twice.at(name)[i] == doctest::Approx(2 * gradient[i]));
  }
  CHECK(twice.at("image") == once.at("image"));
}

TEST_CASE("cpu<float>: a network without a head, and frozen parameters") {
  test::sample s = sample_of(8, {1, 3, 33, 30});
  s.config.num_classes = 0;
  passes<bit::cpu<float>> run(s, test::random_parameters(s.config, 1));
  run.names = {"block3", "pooled"};
  const auto all = run.gradients();
  CHECK(all.size() == bit::tensor_specs(s.config).size() + 1);
  bit::training_options how;
  for (const auto& spec : bit::tensor_specs(s.config))
    if (spec.name.find("block4") == std::string::npos) how.frozen.insert(spec.name);
  run.recorder.set_training(how);
  const auto some = run.gradients();
  CHECK(some.size() == all.size() - how.frozen.size());
  for (const auto& [name, gradient] : some) CHECK(gradient == all.at(name));
}

TEST_CASE("what a recorder cannot do is refused with the reason") {
  const test::sample s = sample_of(8, {1, 3, 33, 30});
  passes<bit::cpu<float>> run(s, test::random_parameters(s.config, 1));
  auto pass = run.record();
  run.back(pass);
  CHECK_THROWS_WITH_AS(run.back(pass), doctest::Contains("record again"), bit::config_error);

  auto stale = run.record();
  run.recorder.parameters().write(bit::parameter_array::values, 0, run.recorder.parameters().values(0));
  CHECK_THROWS_WITH_AS(run.back(stale), doctest::Contains("changed between"), bit::config_error);

  auto moved = run.record();
  run.recorder.set_training({.frozen = {run.recorder.parameters().specs()[0].name}});
  CHECK_THROWS_AS(run.back(moved), bit::config_error);

  run.names = {"stem"};
  CHECK_THROWS_WITH_AS(run.record(), doctest::Contains("after the stem"), bit::config_error);
  run.names = {"block4", "block4/unit01"};
  CHECK_THROWS_WITH_AS(run.record(), doctest::Contains("twice"), bit::config_error);
  run.names = {};
  CHECK_THROWS_AS(run.record(), bit::config_error);
  run.names = {"nothing"};
  CHECK_THROWS_AS(run.record(), bit::config_error);
}
