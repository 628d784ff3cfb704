// SPDX-License-Identifier: Apache-2.0
// Recomputation and frozen parameters: fewer bytes, fewer steps, the same gradients to the bit.
#include <doctest/doctest.h>
#include <bit/model/random.hpp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>
#include <map>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace {

template <class T>
using gradients = std::map<std::string, std::vector<T>>;

/// Gradients of all that learns, and of the image under "image" if it is asked for.
template <class Backend>
gradients<typename Backend::value_type> gradients_of(const test::sample& s, const bit::training_options& how,
                                                     std::size_t threads, bool of_image = true) {
  using T = typename Backend::value_type;
  bit::trainable_resnet_v2<Backend> model(s.config, test::random_parameters(s.config, 1));
  model.set_training(how);
  const bit::tensor4<T> images = xt::cast<T>(test::random_images(s.image, 3));
  std::vector<std::size_t> labels(s.image.n);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % s.config.num_classes;
  std::vector<T> image(of_image ? images.size() : 0);
  bit::run_options options;
  options.threads = threads;
  const bit::named_tap<T> tap{"image", image};
  model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw), test::cross_entropy<T>(labels), 1.0,
                   std::span(&tap, of_image ? 1 : 0), options);
  gradients<T> found;
  for (const auto& p : model.parameters())
    if (!how.frozen.contains(p.name)) found[p.name].assign(p.gradient.begin(), p.gradient.end());
  if (of_image) found["image"] = image;
  return found;
}

test::sample small() {
  test::sample s;
  s.config = {.units = {2, 1, 2, 1}, .stem_channels = 24, .num_classes = 7, .groups = 4};
  s.image = {3, 3, 41, 38};
  return s;
}

template <class Keep>
std::set<std::string> frozen_but(const bit::resnet_config& config, Keep keep) {
  std::set<std::string> frozen;
  for (const auto& spec : bit::tensor_specs(config))
    if (!keep(spec.name)) frozen.insert(spec.name);
  return frozen;
}
bool in_head(const std::string& name) { return name.find("/head/") != std::string::npos; }
bool in_norm(const std::string& name) { return name.find("group_norm") != std::string::npos; }

bit::training_program program_of(const test::sample& s, const bit::training_options& how, bool to_image = true) {
  const std::string output = "logits";
  bit::program forward = bit::network(s.config, bit::random_tensors(s.config, 1)).emit(s.image, std::span(&output, 1));
  const bit::value_id image = std::get<bit::stem_step>(forward.steps.front()).image;
  return bit::with_backward(std::move(forward), how, std::span(&image, to_image ? 1 : 0));
}
template <class Step>
std::size_t count(const bit::training_program& p) {
  std::size_t n = 0;
  for (const auto& s : p.backward) n += std::holds_alternative<Step>(s);
  return n;
}

}  // namespace

TEST_CASE("recomputed units give the same gradients to the bit, on odd shapes, both backends, 1 to 3 threads") {
  std::mt19937 random(8);
  for (int round = 0; round < 8; ++round) {
    CAPTURE(round);
    const test::sample s = test::random_sample(random);
    CHECK(gradients_of<bit::reference<double>>(s, {.recompute = bit::recomputation::units}, 1) ==
          gradients_of<bit::reference<double>>(s, {}, 1));
    const auto expected = gradients_of<bit::cpu<float>>(s, {}, 1);
    for (const std::size_t threads : {1u, 2u, 3u})
      CHECK(gradients_of<bit::cpu<float>>(s, {.recompute = bit::recomputation::units}, threads) == expected);
  }
}

TEST_CASE("wide layers, which take Winograd's forms, are recomputed to the bit, too") {
  test::sample s = small();
  s.config.stem_channels = 64;
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const test::pinned_isa pin(isa);
    CHECK(gradients_of<bit::cpu<float>>(s, {.recompute = bit::recomputation::units}, 2) ==
          gradients_of<bit::cpu<float>>(s, {}, 1));
  }
}

TEST_CASE("the comparison to the bit notices a map that was recomputed from another input") {
  const test::sample s = small();
  test::sample other = s;
  other.config.group_norm_eps = 1.0001e-5;
  CHECK(gradients_of<bit::cpu<float>>(other, {}, 1) != gradients_of<bit::cpu<float>>(s, {}, 1));
}

TEST_CASE("with recomputation the backward pass reads units' inputs and no other feature map of the forward pass") {
  const test::sample s = small();
  const auto p = program_of(s, {.recompute = bit::recomputation::units});
  const auto flow = bit::flow_of(p);
  const std::size_t forward = p.forward.steps.size();
  std::set<bit::value_id> made;
  for (std::size_t i = 0; i < forward; ++i)
    for (const auto id : flow[i].writes) made.insert(id);
  std::set<std::string> read;
  for (std::size_t i = forward + 1; i < flow.size(); ++i)
    for (const auto id : flow[i].reads)
      if (made.contains(id) && p.forward[id].kind == bit::value_kind::feature_map) read.insert(p.forward[id].name);
  CHECK(read == std::set<std::string>{"root", "block1/unit01", "block1/unit02", "block2/unit01", "block3/unit01",
                                      "block3/unit02", "block4/unit01"});
  CHECK(count<bit::recomputed_step>(p) == 2 * 6 + 1);  // two convolutions in each unit, and the stem
  const auto kept = program_of(s, {});
  CHECK(count<bit::recomputed_step>(kept) == 0);
  CHECK(p.backward.size() == kept.backward.size() + 13);
}

TEST_CASE("recomputation takes fewer bytes of maps, the more the deeper the network") {
  test::sample s = small();
  s.config.units = {3, 4, 6, 3};
  s.image = {4, 3, 96, 96};
  using fast = bit::trainable_resnet_v2<bit::cpu<float>>;
  using exact = bit::trainable_resnet_v2<bit::reference<double>>;
  const bit::training_options units{.recompute = bit::recomputation::units};
  const auto kept = fast::memory_of(s.config, s.image, {}, 2), again = fast::memory_of(s.config, s.image, units, 2);
  // A unit's input is four of its six maps' widths; what the two passes of a step keep besides is little.
  CHECK(again.arena < 0.72 * static_cast<double>(kept.arena));
  CHECK(again.packed == kept.packed);
  CHECK(again.values == kept.values);
  CHECK(exact::memory_of(s.config, s.image, units).arena <
        0.72 * static_cast<double>(exact::memory_of(s.config, s.image).arena));
  // A model's own plans are those that were predicted.
  fast model(s.config, bit::random_tensors(s.config, 1));
  CHECK(model.plan(s.image).total == kept.arena);
  model.set_training(units);
  CHECK(model.plan(s.image).total == again.arena);
  CHECK(model.memory(s.image, 2).arena == again.arena);
}

TEST_CASE("what learns gets the gradients of a full run to the bit, whatever else is frozen") {
  test::sample s = small();
  s.image = {2, 3, 33, 26};
  const std::map<std::string, std::set<std::string>> cases{
      {"head", frozen_but(s.config, in_head)},
      {"norms", frozen_but(s.config, in_norm)},
      {"norms and head", frozen_but(s.config, [](const auto& n) { return in_norm(n) || in_head(n); })},
      {"biases", frozen_but(s.config, [](const auto& n) { return n.ends_with("/beta") || n.ends_with("/bias"); })},
      {"last unit", frozen_but(s.config, [](const auto& n) { return n.find("block4") != std::string::npos; })},
      {"a norm in the middle",
       frozen_but(s.config, [](const auto& n) { return n == "resnet/block3/unit02/b/group_norm/gamma"; })},
      {"a projection",
       frozen_but(s.config, [](const auto& n) { return n.find("block2/unit01/a/proj") != std::string::npos; })},
      {"all but the stem", {"resnet/root_block/standardized_conv2d/kernel"}},
      {"the stem alone", frozen_but(s.config, [](const auto& n) { return n.find("root_block") != std::string::npos; })},
      {"nothing", frozen_but(s.config, [](const auto&) { return false; })}};
  const auto full = gradients_of<bit::cpu<float>>(s, {}, 1);
  const auto exact = gradients_of<bit::reference<double>>(s, {}, 1);
  const auto check = [&](const auto& found, const auto& expected, std::size_t frozen, bool image) {
    CHECK(found.size() + frozen == expected.size() - (image ? 0 : 1));
    for (const auto& gradient : found) CHECK_MESSAGE(gradient.second == expected.at(gradient.first), gradient.first);
  };
  for (const auto& one : cases)
    for (const auto recompute : {bit::recomputation::none, bit::recomputation::units})
      for (const bool image : {false, true}) {
        const auto& frozen = one.second;
        CAPTURE(one.first);
        const bit::training_options how{recompute, frozen};
        check(gradients_of<bit::cpu<float>>(s, how, 2, image), full, frozen.size(), image);
        if (recompute == bit::recomputation::units)  // slow
          check(gradients_of<bit::reference<double>>(s, how, 1, image), exact, frozen.size(), image);
      }
}

TEST_CASE("backward goes no further than to what learns, and leaves out frozen kernels") {
  const test::sample s = small();
  const auto all = program_of(s, {}, false);
  const auto head = program_of(s, {.frozen = frozen_but(s.config, in_head)}, false);
  CHECK(head.backward.size() == 1);
  CHECK(std::holds_alternative<bit::head_backward_step>(head.backward.front()));
  CHECK(program_of(s, {.frozen = frozen_but(s.config, in_head)}, true).backward.size() > 30);  // to the image
  const auto norms = program_of(s, {.frozen = frozen_but(s.config, in_norm)}, false);
  CHECK(count<bit::backward_weights_step>(norms) == 0);
  CHECK(count<bit::stem_backward_step>(norms) == 0);
  CHECK(count<bit::norm_backward_step>(norms) == count<bit::norm_backward_step>(all));
  CHECK(norms.backward.size() < all.backward.size() - count<bit::backward_weights_step>(all));
  const auto last = program_of(
      s, {.frozen = frozen_but(s.config, [](const auto& n) { return n.find("block4") != std::string::npos; })}, false);
  CHECK(last.backward.size() < all.backward.size() / 4);
  // Nothing is kept for the backward pass. Kernels are never packed for it beforehand: the arena holds one at a time.
  using fast = bit::trainable_resnet_v2<bit::cpu<float>>;
  const auto full = fast::memory_of(s.config, s.image),
             frozen = fast::memory_of(s.config, s.image, {.frozen = head.frozen});
  CHECK(frozen.arena < full.arena / 2);
  CHECK(frozen.packed == full.packed);
  CHECK(frozen.gradients < full.gradients / 10);
}

TEST_CASE("options may change between steps, and an unknown name is refused") {
  const test::sample s = small();
  bit::trainable_resnet_v2<bit::cpu<float>> model(s.config, test::random_parameters(s.config, 1));
  const auto images = test::random_images(s.image, 3);
  const auto step = [&] {
    model.zero_gradients();
    model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw), test::cross_entropy<float>({0, 1, 2}));
    const auto& gradient = model.parameters().back().gradient;
    return std::vector<float>(gradient.begin(), gradient.end());
  };
  const auto before = step();
  model.set_training({.frozen = frozen_but(s.config, in_head)});
  CHECK(model.parameters().front().gradient.empty());
  CHECK(step() == before);
  model.release();
  CHECK(step() == before);
  model.set_training({.recompute = bit::recomputation::units});
  CHECK(model.parameters().front().gradient.size() == model.parameters().front().value.size());
  CHECK(step() == before);
  CHECK_THROWS_WITH_AS(model.set_training({.frozen = {"head"}}), doctest::Contains("got \"head\""), bit::config_error);
}
