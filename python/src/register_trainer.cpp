// SPDX-License-Identifier: Apache-2.0
// pybit._core.Trainer: a network's parameters in training, and the optimizer that changes them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <bit/io/checkpoint.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/memory.hpp>
#include <bit/train/parameter_rules.hpp>
#include <bit/train/step.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "calls.hpp"
#include "optimizer_options.hpp"
#include "parameter_arrays.hpp"
#include "register.hpp"
#include "training_backends.hpp"

namespace py = pybind11;
namespace train = bit::train;

namespace {

template <class T>
using rows = py::array_t<T, py::array::c_style | py::array::forcecast>;

/// What a batch is compared with: labels (n), or probabilities (n,classes) if there are no labels.
struct batch_targets {
  std::vector<std::int64_t> labels;
  std::vector<double> probabilities;
  double smoothing = 0;

  bit::loss part(const train::micro_batch_range& range, std::size_t classes) const {
    if (!labels.empty())
      return bit::cross_entropy{.labels = std::span(labels).subspan(range.first, range.count), .smoothing = smoothing};
    return bit::cross_entropy{
        .smoothing = smoothing,
        .probabilities = std::span(probabilities).subspan(range.first * classes, range.count * classes)};
  }
};

class any_trainer {
 public:
  virtual ~any_trainer() = default;
  virtual double step(const py::array& x, const std::string& layout, const batch_targets& targets, double rate,
                      std::optional<std::size_t> batch_split, std::size_t threads) = 0;
  virtual py::list tensors() = 0;
  virtual std::uint64_t updates() const = 0;
};

template <class T>
class trainer_of final : public any_trainer {
 public:
  trainer_of(const bit::io::checkpoint& from, const bit::resnet_config& config, const std::string& dtype,
             const optimizer_options& options, std::optional<bit::recomputation> recompute, std::uint64_t limit)
      : model_([&] {
          const released_gil release;
          return tunable_of<T>(dtype, config, from.tensors);
        }()),
        recompute_(recompute),
        limit_(limit),
        frozen_(train::frozen_names(model_.parameters().specs(), options.rules())) {
    model_.set_training({recompute.value_or(bit::recomputation::none), frozen_});
    by_ = make_optimizer<T>(model_.parameters(), options);
  }

  double step(const py::array& x, const std::string& layout, const batch_targets& targets, double rate,
              std::optional<std::size_t> wanted_split, std::size_t threads) override {
    const auto order = layout_of(layout);
    const auto images = view_of<T>(x, order, "trainer");
    const std::size_t n = images.dims.n, classes = model_.config().num_classes;
    const std::size_t given = targets.labels.empty() ? targets.probabilities.size() / classes : targets.labels.size();
    if (n == 0 || given != n)
      throw bit::shape_error("[trainer] expected at least one image and as many targets, got " + std::to_string(n) +
                             " images and " + std::to_string(given) + " targets");
    double loss = 0;
    call_interruptibly(threads, order, [&](const bit::run_options& options) {
      const std::size_t parts = fit(images.dims, wanted_split, options.threads);
      const train::step_plan plan{static_cast<std::size_t>(by_->updates()), n, parts, rate, options};
      const auto for_part = [&](std::size_t i, train::update_report&, const auto& accumulate) {
        const auto range = train::range_of_micro_batch(n, i, parts);
        if (range.count == 0) return;
        train::step_part<T> part{images, targets.part(range, classes)};
        part.images.data += static_cast<std::ptrdiff_t>(range.first) * images.stride_n;
        part.images.dims.n = range.count;
        accumulate(part);
      };
      loss = train::take_step<T>(model_, *by_, plan, for_part).loss;
    });
    return loss;
  }

  py::list tensors() override { return arrays_of<T>(model_.parameters(), bit::parameter_array::values); }
  std::uint64_t updates() const override { return by_->updates(); }

 private:
  /// Parts that a batch is taken in. Batches of a kind are taken in one way: what is free does not count again.
  std::size_t fit(const bit::dims4& d, std::optional<std::size_t> split, std::size_t threads) {
    if (split == std::size_t{0}) throw bit::config_error("[trainer] expected a batch_split of at least 1, got 0");
    auto found =
        std::find_if(ways_.begin(), ways_.end(), [&](const auto& w) { return w.dims == d && w.wish == split; });
    if (found == ways_.end()) {
      const train::step_constraints constraints{d.n, split ? std::optional(std::min(*split, d.n)) : split, recompute_,
                                                limit_ != 0 ? limit_ : train::usable_memory()};
      const auto way = train::fit_step(constraints, [&](std::size_t part, bit::recomputation how) {
        const auto step = model_.memory_of({part, d.c, d.h, d.w}, {how, frozen_}, threads);
        train::memory_estimate memory;
        memory.parameters = step.values + step.gradients + by_->state_bytes();
        memory.packed = step.packed;
        memory.workspace = step.arena + step.scratch;
        return memory;
      });
      found = ways_.insert(ways_.end(), {d, split, way.batch_split, way.recompute});
    }
    model_.set_training({found->recompute, frozen_});
    return split.value_or(found->batch_split);
  }

  struct chosen_way {
    bit::dims4 dims;
    std::optional<std::size_t> wish;
    std::size_t batch_split;
    bit::recomputation recompute;
  };

  train::basic_tunable_model<T> model_;
  std::unique_ptr<train::basic_optimizer<T>> by_;
  std::optional<bit::recomputation> recompute_;
  std::uint64_t limit_;
  std::set<std::string> frozen_;
  std::vector<chosen_way> ways_;
};

/// Bytes of a training step by what they are for.
py::dict memory_of(const bit::resnet_config& config, const std::string& dtype, const bit::dims4& images,
                   bit::recomputation how, const optimizer_options& options, std::size_t threads) {
  using namespace py::literals;
  const auto frozen = train::frozen_names(bit::tensor_specs(config), options.rules());
  const auto step = tunable_memory(dtype, config, images, {how, frozen}, threads_or_default(threads));
  const std::size_t pixel = with_parameter_type(dtype, [](auto value) { return sizeof value; });
  return py::dict("values"_a = step.values, "gradients"_a = step.gradients,
                  "optimizer"_a = step.gradients * options.state_buffers(), "packed"_a = step.packed,
                  "maps"_a = step.arena, "scratch"_a = step.scratch, "images"_a = images.size() * pixel);
}

}  // namespace

void register_trainer(py::module_& m) {
  py::class_<any_trainer>(m, "Trainer", "Parameters in training and their optimizer; one thread at a time.")
      .def(py::init([](const bit::io::checkpoint& from, const bit::resnet_config& config, const std::string& dtype,
                       const std::string& optimizer, const std::string& recompute, std::uint64_t limit,
                       const py::kwargs& how) -> std::unique_ptr<any_trainer> {
             const auto wish = recomputation_of("trainer", recompute);
             const auto options = optimizer_options_of(optimizer, how);
             return with_parameter_type(dtype, [&]<class T>(T) -> std::unique_ptr<any_trainer> {
               return std::make_unique<trainer_of<T>>(from, config, dtype, options, wish, limit);
             });
           }),
           py::arg("checkpoint"), py::arg("config"), py::arg("dtype"), py::arg("optimizer"),
           py::arg("recompute") = "auto", py::arg("memory_limit") = 0)
      .def(
          "step",
          [](any_trainer& self, const py::array& x, const std::string& layout,
             const std::optional<rows<std::int64_t>>& labels, const std::optional<rows<double>>& probabilities,
             double rate, double smoothing, std::optional<std::size_t> batch_split, std::size_t threads) {
            batch_targets targets;
            targets.smoothing = smoothing;
            if (labels) targets.labels.assign(labels->data(), labels->data() + labels->size());
            if (probabilities)
              targets.probabilities.assign(probabilities->data(), probabilities->data() + probabilities->size());
            return self.step(x, layout, targets, rate, batch_split, threads);
          },
          py::arg("x"), py::arg("layout"), py::arg("labels"), py::arg("probabilities"), py::arg("rate"),
          py::arg("smoothing") = 0.0, py::arg("batch_split") = py::none(), py::arg("threads") = 0,
          "One update; the mean loss. Ctrl-C ends it with all parameters as they were.")
      .def("tensors", &any_trainer::tensors, "(official name, copy of the values) of every parameter.")
      .def_property_readonly("updates", &any_trainer::updates);
  m.def("give_back_memory", [] {
#if defined(__GLIBC__)
    ::malloc_trim(0);
#endif
  });
  m.def(
      "training_memory",
      [](const bit::resnet_config& config, const std::string& dtype, std::size_t n, std::size_t h, std::size_t w,
         const std::string& recompute, const std::string& optimizer, std::size_t threads, const py::kwargs& rules) {
        const bit::dims4 images{n, config.in_channels, h, w};
        const auto how = recomputation_of("memory_plan", recompute).value_or(bit::recomputation::none);
        return memory_of(config, dtype, images, how, optimizer_options_of(optimizer, rules), threads);
      },
      py::arg("config"), py::arg("dtype"), py::arg("n"), py::arg("height"), py::arg("width"), py::arg("recompute"),
      py::arg("optimizer"), py::arg("threads"));
}
