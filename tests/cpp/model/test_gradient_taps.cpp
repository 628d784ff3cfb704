// SPDX-License-Identifier: Apache-2.0
// Gradients with respect to feature maps and the image: of a frozen model and of one in training, on every backend.
#include <doctest/doctest.h>
#include <bit/gradients.hpp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace {

template <class T>
using gradients = std::map<std::string, std::vector<T>>;

/// All that can be tapped, each value once: a block's name is that of its last unit's map.
std::vector<std::string> tap_names(const bit::network& net) {
  std::vector<std::string> names{"image"};
  for (const std::string& name : net.output_names())
    if (name != "logits" && (!name.starts_with("block") || name.find('/') != std::string::npos)) names.push_back(name);
  return names;
}

/// What is differentiated: the sum of the logits times these.
template <class T>
std::vector<T> logits_gradient(const test::sample& s) {
  const auto random = test::random_images({s.image.n, s.config.num_classes, 1, 1}, 7);
  return {random.begin(), random.end()};
}

template <class T>
gradients<T> room_for(const bit::network& net, const bit::dims4& images, const std::vector<std::string>& names) {
  gradients<T> room;
  for (const std::string& name : names) {
    const bit::program p = net.emit(images, std::span(&name, name == "image" ? 0 : 1));
    const std::size_t size = name == "image" ? images.size() : p[p.outputs.front()].dims.size();
    room[name].assign(size, std::numeric_limits<T>::quiet_NaN());  // written, not added to
  }
  return room;
}

template <class T>
std::vector<bit::named_tap<T>> taps_into(gradients<T>& room) {
  std::vector<bit::named_tap<T>> taps;
  for (auto& [name, values] : room) taps.push_back({name, values});
  return taps;
}

template <class Backend>
gradients<typename Backend::value_type> frozen_gradients_of(const bit::frozen_resnet_v2<Backend>& model,
                                                            const test::sample& s, std::size_t threads = 1,
                                                            bit::layout order = bit::layout::nchw) {
  using T = typename Backend::value_type;
  const bit::tensor4<T> images = xt::cast<T>(test::random_images(s.image, 3));
  auto room = room_for<T>(model.network(), s.image, tap_names(model.network()));
  const auto taps = taps_into(room);
  std::vector<T> logits(s.image.n * s.config.num_classes);
  const std::vector<T> gradient = logits_gradient<T>(s);
  bit::run_options options;
  options.threads = threads;
  options.output_layout = order;
  const bit::frozen_gradients<Backend> explain(model);
  explain(bit::view_of(images.data(), s.image, bit::layout::nchw), std::span<const T>(gradient), taps, logits, options);
  const bit::matrix<T> expected = model(images);
  CHECK(std::equal(logits.begin(), logits.end(), expected.begin()));  // the same forward pass
  return room;
}

/// The loss whose gradient the frozen models are given.
template <class T>
struct weighted_sum final : bit::loss_function<T> {
  std::vector<T> weights;
  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t, std::size_t) const override {
    std::copy(weights.begin(), weights.end(), gradient.begin());
    return static_cast<double>(std::inner_product(logits.begin(), logits.end(), weights.begin(), T(0)));
  }
};

template <class Backend>
gradients<typename Backend::value_type> trained_gradients_of(const test::sample& s,
                                                             const std::vector<bit::named_tensor>& tensors,
                                                             const bit::training_options& how,
                                                             std::vector<std::string> names = {}, double scale = 1) {
  using T = typename Backend::value_type;
  bit::trainable_resnet_v2<Backend> model(s.config, tensors);
  model.set_training(how);
  if (names.empty()) names = tap_names(model.network());
  const bit::tensor4<T> images = xt::cast<T>(test::random_images(s.image, 3));
  auto room = room_for<T>(model.network(), s.image, names);
  const auto taps = taps_into(room);
  weighted_sum<T> loss;
  loss.weights = logits_gradient<T>(s);
  bit::run_options options;
  options.threads = 2;
  model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw), loss, scale, taps, options);
  for (const auto& p : model.parameters())
    if (!p.gradient.empty()) room["parameter " + p.name].assign(p.gradient.begin(), p.gradient.end());
  return room;
}

template <class A, class B>
double norm_error(const A& a, const B& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    if (!std::isfinite(d)) return HUGE_VAL;
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-6);
}

test::sample sample_of(std::size_t stem, bit::dims4 image) {
  test::sample s;
  s.config = {.units = {1, 2, 1, 1}, .stem_channels = stem, .num_classes = 7, .groups = 4};
  s.image = image;
  return s;
}

std::set<std::string> all_parameters(const bit::resnet_config& config) {
  std::set<std::string> names;
  for (const auto& spec : bit::tensor_specs(config)) names.insert(spec.name);
  return names;
}

}  // namespace

TEST_CASE("reference<double>: gradients at every cut of the network agree with central differences") {
  // Every value with a name cuts the network: what changes before it reaches the logits through it alone. So the change
  // of the logits along a direction of the image is the change of the value times its gradient.
  // Rounding, 1e-16 / 1e-6, times what some dozen layers amplify, and curvature.
  constexpr double h = 1e-6, tolerance = 1e-5;
  using backend = bit::reference<double>;
  std::mt19937 random(5);
  for (int round = 0; round < 3; ++round) {
    const test::sample s = test::random_sample(random);
    CAPTURE(round);
    const auto model =
        bit::resnet_v2<backend>(s.config, test::random_parameters(s.config, static_cast<std::uint32_t>(round)))
            .freeze();
    const auto found = frozen_gradients_of(model, s);
    const bit::tensor4<double> images = xt::cast<double>(test::random_images(s.image, 3)),
                               direction = xt::cast<double>(test::random_images(s.image, 4));
    const bit::tensor4<double> above = images + h * direction, below = images - h * direction;
    const auto weights = logits_gradient<double>(s);
    const bit::matrix<double> up = model(above), down = model(below);
    double expected = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) expected += weights[i] * (up.data()[i] - down.data()[i]) / (2 * h);
    for (const auto& entry : found) {
      const auto& name = entry.first;  // clang 14 captures no structured bindings
      const auto& gradient = entry.second;
      CAPTURE(name);
      bit::tensor4<double> change = direction;
      if (name != "image") change = (model.features(above, name) - model.features(below, name)) / (2 * h);
      double along = 0, norm = 0, length = 0;
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        along += gradient[i] * change.data()[i];
        norm += gradient[i] * gradient[i];
        length += change.data()[i] * change.data()[i];
      }
      const double scale = 1e-3 + std::sqrt(norm * length);
      CHECK(std::abs(along - expected) / scale < tolerance);
      if (std::abs(along) > 0.01 * scale)  // negative control: a hundredth too large is noticed
        CHECK(std::abs(1.01 * along - expected) / scale > tolerance);
    }
  }
}

TEST_CASE("cpu<float>: a frozen model's gradients are reference<double>'s on every instruction set, for any threads") {
  // As in test_trainable_cpu.cpp.
  constexpr double tolerance = 4e-4;
  for (const auto& s : {sample_of(8, {2, 3, 33, 30}), sample_of(20, {3, 3, 20, 47})}) {
    CAPTURE(s.config.stem_channels);
    const auto tensors = test::random_parameters(s.config, 1);
    const auto exact = frozen_gradients_of(bit::resnet_v2<bit::reference<double>>(s.config, tensors).freeze(), s);
    test::sample other = s;
    other.config.group_norm_eps = 1e-1;
    for (const std::string& isa : bit::available_isas()) {
      CAPTURE(isa);
      const test::pinned_isa pin(isa);
      const auto model = bit::resnet_v2<>(s.config, tensors).freeze({.algorithm = bit::algorithm::direct});
      const auto found = frozen_gradients_of(model, s);
      const auto changed = frozen_gradients_of(bit::resnet_v2<>(other.config, tensors).freeze(), other);
      for (const auto& entry : exact) {
        const auto& name = entry.first;  // clang 14 captures no structured bindings
        const auto& gradient = entry.second;
        CAPTURE(name);
        CHECK(norm_error(found.at(name), gradient) < tolerance);
        if (name != "pooled" && name != "features") CHECK(norm_error(changed.at(name), gradient) > tolerance);
      }
      for (const std::size_t threads : {2u, 5u}) CHECK(frozen_gradients_of(model, s, threads) == found);
    }
  }
}

TEST_CASE("cpu<bfloat16> and Winograd's layouts: a frozen model gives the gradients of the same model in training") {
  // Both round alike but for the classifier, which a frozen model keeps in bfloat16, and the layouts of 3x3 kernels: then
  // some ReLUs open by rounding. A missing term is an error of 0.3 and
  // more, as the control shows.
  const test::sample s = sample_of(64, {2, 3, 70, 61});
  const auto tensors = test::random_parameters(s.config, 1);
  const auto check = [&]<class Backend>(Backend, double tolerance) {
    const auto model = bit::resnet_v2<Backend>(s.config, tensors).freeze();
    const auto found = frozen_gradients_of(model, s, 2);
    const auto trained = trained_gradients_of<Backend>(s, tensors, {});
    for (const auto& entry : found) {
      const auto& name = entry.first;  // clang 14 captures no structured bindings
      const auto& gradient = entry.second;
      CAPTURE(name);
      CHECK(norm_error(gradient, trained.at(name)) < tolerance);
      std::vector<float> halved(gradient);
      for (std::size_t i = 0; i < halved.size(); i += 2) halved[i] = 0;
      CHECK(norm_error(halved, trained.at(name)) > tolerance);
    }
    CHECK(frozen_gradients_of(model, s, 3) == found);
  };
  check(bit::cpu<float>{}, 0.01);
  check(bit::cpu<bit::bfloat16>{}, 0.25);
}

TEST_CASE("taps change no other gradient, and are the same with recomputation and when nothing learns") {
  const test::sample s = sample_of(8, {2, 3, 17, 18});
  const auto tensors = test::random_parameters(s.config, 1);
  const auto check = [&]<class Backend>(Backend) {
    const auto full = trained_gradients_of<Backend>(s, tensors, {});
    for (const auto recompute : {bit::recomputation::none, bit::recomputation::units})
      for (const bool learns : {true, false}) {
        bit::training_options how{recompute, {}};
        if (!learns) how.frozen = all_parameters(s.config);
        const auto found = trained_gradients_of<Backend>(s, tensors, how);
        CHECK(found.size() == (learns ? full.size() : tap_names(bit::network(s.config, tensors)).size()));
        for (const auto& entry : found) CHECK_MESSAGE(entry.second == full.at(entry.first), entry.first);
        // Each alone: the pass stops where nothing more is wanted.
        for (const std::string& name : tap_names(bit::network(s.config, tensors)))
          CHECK_MESSAGE(trained_gradients_of<Backend>(s, tensors, how, {name}).at(name) == full.at(name), name);
      }
    const auto scaled = trained_gradients_of<Backend>(s, tensors, {}, {"block4", "image"}, 3.0);
    CHECK(scaled.at("image") == full.at("image"));
    CHECK(scaled.at("block4") == full.at("block4/unit01"));
    const std::string last = "parameter resnet/head/conv2d/bias";
    CHECK(norm_error(scaled.at(last), full.at(last)) == doctest::Approx(2));
  };
  check(bit::cpu<float>{});
  check(bit::cpu<bit::bfloat16>{});
  check(bit::reference<float>{});
}

TEST_CASE("taps come in the layout that was asked for") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  const auto check = [&]<class Backend>(Backend) {
    const auto model = bit::resnet_v2<Backend>(s.config, test::random_parameters(s.config, 1)).freeze();
    const auto nchw = frozen_gradients_of(model, s), nhwc = frozen_gradients_of(model, s, 1, bit::layout::nhwc);
    for (const auto& entry : nchw) {
      const auto& name = entry.first;
      const auto& values = entry.second;
      CAPTURE(name);
      const bit::dims4 d = name == "image" ? s.image : model.output_dims(name, s.image);
      bool same = true;
      for (std::size_t n = 0; n < d.n; ++n)
        for (std::size_t c = 0; c < d.c; ++c)
          for (std::size_t p = 0; p < d.h * d.w; ++p)
            same = same && values[(n * d.c + c) * d.h * d.w + p] == nhwc.at(name)[(n * d.h * d.w + p) * d.c + c];
      CHECK(same);
    }
  };
  check(bit::cpu<float>{});
  check(bit::reference<double>{});
}

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
