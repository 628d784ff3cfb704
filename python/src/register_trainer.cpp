// pybit._core.Trainer: a network's parameters in training, and the optimizer that changes them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <bit/io/checkpoint.hpp>
#include <bit/model/trainable.hpp>
#include <bit/reference.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/loss.hpp>
#include <bit/train/memory.hpp>
#include <bit/train/optimizer.hpp>
#include <bit/train/parameter_rules.hpp>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gil.hpp"
#include "optimizer_options.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace train = bit::train;

namespace {

/// Names of the parameters that the rules among the keywords freeze.
std::set<std::string> frozen_of(const bit::resnet_config& config, const py::kwargs& how) {
  keywords given("trainer", how);
  train::parameter_options rules;
  take_rules(given, rules);
  return train::frozen_names(bit::tensor_specs(config), rules);
}

template <class T>
using rows = py::array_t<T, py::array::c_style | py::array::forcecast>;

/// What a batch is compared with: labels (n), or probabilities (n,classes) if there are no labels.
struct batch_targets {
  std::vector<std::int64_t> labels;
  std::vector<double> probabilities;
  double smoothing = 0;

  template <class T>
  train::cross_entropy<T> part(const train::micro_batch_range& range, std::size_t classes) const {
    if (!labels.empty()) return train::cross_entropy<T>(std::span(labels).subspan(range.first, range.count), smoothing);
    return train::cross_entropy<T>::of_probabilities(
        std::span(probabilities).subspan(range.first * classes, range.count * classes), smoothing);
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

template <class Backend>
class trainer_of final : public any_trainer {
 public:
  using T = typename Backend::value_type;

  trainer_of(const bit::io::checkpoint& from, const bit::resnet_config& config, const std::string& optimizer,
             std::optional<bit::recomputation> recompute, std::uint64_t limit, const py::kwargs& how)
      : model_([&] {
          const released_gil release;
          return bit::trainable_resnet_v2<Backend>(config, from.tensors);
        }()),
        recompute_(recompute),
        limit_(limit),
        frozen_(frozen_of(config, how)) {
    model_.set_training({recompute.value_or(bit::recomputation::none), frozen_});
    by_ = make_optimizer<T>(optimizer, model_.parameters(), how);
  }

  double step(const py::array& x, const std::string& layout, const batch_targets& targets, double rate,
              std::optional<std::size_t> wanted_split, std::size_t threads) override {
    const auto images = view(x, layout);
    const std::size_t n = images.dims.n, classes = model_.config().num_classes;
    const std::size_t given = targets.labels.empty() ? targets.probabilities.size() / classes : targets.labels.size();
    if (n == 0 || given != n)
      throw bit::shape_error("[trainer] expected at least one image and as many targets, got " + std::to_string(n) +
                             " images and " + std::to_string(given) + " targets");
    const released_gil release;
    bit::run_options options;
    options.threads = threads_or_default(threads);
    const std::size_t batch_split = fit(images.dims, wanted_split, options.threads);
    model_.zero_gradients();
    double loss = 0;
    for (std::size_t i = 0; i < batch_split; ++i) {
      const auto range = train::range_of_micro_batch(n, i, batch_split);
      if (range.count == 0) continue;
      auto part = images;
      part.data += static_cast<std::ptrdiff_t>(range.first) * part.stride_n;
      part.dims.n = range.count;
      const double share = static_cast<double>(range.count) / static_cast<double>(n);
      loss += share * model_.accumulate(part, targets.part<T>(range, classes), share, {}, options);
    }
    if (!std::isfinite(loss))
      throw bit::diverged_error("[trainer] the loss is " + std::to_string(loss) +
                                "; no parameter was changed. A lower learning rate, or a longer warm-up, may help");
    by_->step(rate, options.threads);
    model_.parameters_changed();
    return loss;
  }

  py::list tensors() override {
    py::list all;
    for (const auto& p : model_.parameters()) {
      py::array_t<T> values(p.shape);
      std::copy(p.value.begin(), p.value.end(), values.mutable_data());
      all.append(py::make_tuple(p.name, values));
    }
    return all;
  }
  std::uint64_t updates() const override { return by_->updates(); }

 private:
  /// The array as Python has checked it: four axes of T.
  static bit::image_view<T> view(const py::array& x, const std::string& layout) {
    if (x.ndim() != 4 || !py::isinstance<py::array_t<T>>(x))
      throw bit::shape_error("[trainer] expected a batch of images in the network's number format");
    const int c = layout == "nchw" ? 1 : 3, h = layout == "nchw" ? 2 : 1;
    const auto size = [&](int axis) { return static_cast<std::size_t>(x.shape(axis)); };
    const auto stride = [&](int axis) { return x.strides(axis) / static_cast<py::ssize_t>(sizeof(T)); };
    return {static_cast<const T*>(x.data()),
            {size(0), size(c), size(h), size(h + 1)},
            stride(0),
            stride(c),
            stride(h),
            stride(h + 1)};
  }

  /// Parts that a batch is taken in. Batches of a kind are taken in one way: what is free does not count again.
  std::size_t fit(const bit::dims4& d, std::optional<std::size_t> split, std::size_t threads) {
    if (split == std::size_t{0}) throw bit::config_error("[trainer] expected a batch_split of at least 1, got 0");
    auto found =
        std::find_if(ways_.begin(), ways_.end(), [&](const auto& w) { return w.dims == d && w.wish == split; });
    if (found == ways_.end()) {
      const train::step_constraints constraints{d.n, split ? std::optional(std::min(*split, d.n)) : split, recompute_,
                                                limit_ != 0 ? limit_ : train::usable_memory()};
      const auto way = train::fit_step(constraints, [&](std::size_t part, bit::recomputation how) {
        const auto step = model_.memory_of(model_.config(), {part, d.c, d.h, d.w}, {how, frozen_}, threads);
        train::memory_estimate memory;
        memory.parameters = step.values + step.gradients;
        for (const auto& b : by_->buffers()) memory.parameters += b.values.size_bytes();
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

  bit::trainable_resnet_v2<Backend> model_;
  std::unique_ptr<train::basic_optimizer<T>> by_;
  std::optional<bit::recomputation> recompute_;
  std::uint64_t limit_;
  std::set<std::string> frozen_;
  std::vector<chosen_way> ways_;
};

/// Bytes of a training step by what they are for.
template <class Backend>
py::dict memory_of(const bit::resnet_config& config, const bit::dims4& images, bit::recomputation how,
                   const std::string& optimizer, std::size_t threads, const py::kwargs& rules) {
  if (optimizer != "sgd" && optimizer != "adam" && optimizer != "adamw")
    throw bit::config_error("[optimizer] expected \"sgd\", \"adam\" or \"adamw\", got \"" + optimizer + "\"");
  using namespace py::literals;
  const auto step = bit::trainable_resnet_v2<Backend>::memory_of(config, images, {how, frozen_of(config, rules)},
                                                                 threads_or_default(threads));
  return py::dict("values"_a = step.values, "gradients"_a = step.gradients,
                  "optimiser"_a = step.gradients * (optimizer == "sgd" ? 1 : 2), "packed"_a = step.packed,
                  "maps"_a = step.arena, "scratch"_a = step.scratch,
                  "images"_a = images.size() * sizeof(typename Backend::value_type));
}

}  // namespace

void register_trainer(py::module_& m) {
  py::class_<any_trainer>(m, "Trainer", "Parameters in training and their optimizer; one thread at a time.")
      .def(py::init([](const bit::io::checkpoint& from, const bit::resnet_config& config, const std::string& dtype,
                       const std::string& optimizer, const std::string& recompute, std::uint64_t limit,
                       const py::kwargs& how) -> std::unique_ptr<any_trainer> {
             const auto wish = recomputation_of("trainer", recompute);
             if (dtype == "float32")
               return std::make_unique<trainer_of<bit::cpu<float>>>(from, config, optimizer, wish, limit, how);
             if (dtype == "bfloat16")
               return std::make_unique<trainer_of<bit::cpu<bit::bfloat16>>>(from, config, optimizer, wish, limit, how);
             return std::make_unique<trainer_of<bit::reference<double>>>(from, config, optimizer, wish, limit, how);
           }),
           py::arg("checkpoint"), py::arg("config"), py::arg("dtype"), py::arg("optimiser"),
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
          "One update; the mean loss.")
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
        if (dtype == "float32") return memory_of<bit::cpu<float>>(config, images, how, optimizer, threads, rules);
        if (dtype == "bfloat16")
          return memory_of<bit::cpu<bit::bfloat16>>(config, images, how, optimizer, threads, rules);
        return memory_of<bit::reference<double>>(config, images, how, optimizer, threads, rules);
      },
      py::arg("config"), py::arg("dtype"), py::arg("n"), py::arg("height"), py::arg("width"), py::arg("recompute"),
      py::arg("optimiser"), py::arg("threads"));
}
