// SPDX-License-Identifier: Apache-2.0
// pybit._core.FineTuning, a run from its recipe to its end, and evaluate(). The GIL is released throughout and taken for
// the callbacks, whose exceptions end the run as the library's own do: with last.safetensors brought up to date.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <bit/model/resnet_v2.hpp>
#include <bit/train.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "calls.hpp"
#include "choose.hpp"
#include "dataset_handle.hpp"
#include "gil.hpp"
#include "optimizer_options.hpp"
#include "parameter_arrays.hpp"
#include "register.hpp"
#include "text.hpp"
#include "training_backends.hpp"

namespace py = pybind11;
namespace data = bit::data;
namespace train = bit::train;

namespace {

data::resampling resampling_of(const std::string& text) {
  return choose<data::resampling>(
      "data", "resampling", text,
      {{"pillow", data::resampling::pillow}, {"pillow12", data::resampling::pillow12}, {"tf", data::resampling::tf}});
}

void take_recipe(keywords& from, train::fine_tune_options& into) {
  std::string compat = "none", recompute = "auto";
  std::optional<std::string> flip, resampling;
  std::optional<std::pair<std::size_t, std::size_t>> resolution, images;
  from.take("batch", into.batch);
  from.take("batch_split", into.batch_split);
  from.take("recompute", recompute);
  from.take("memory_limit", into.memory_limit);
  from.take("keep_features", into.keep_features);
  from.take("base_lr", into.base_lr);
  from.take("steps", into.steps);
  from.take("schedule", into.schedule);
  from.take("resolution", resolution);
  from.take("mixup_alpha", into.mixup_alpha);
  from.take("image_size", images);
  from.take("examples", into.examples);
  from.take("flip", flip);
  from.take("resampling", resampling);
  from.take("compat", compat);
  from.take("seed", into.seed);
  into.recompute = recomputation_of("fine_tune", recompute);
  if (resolution) into.resolution = {resolution->first, resolution->second};
  if (images) into.images = {images->first, images->second};
  if (flip)
    into.flip = choose<data::flip_mode>(
        "fine_tune", "flip", *flip,
        {{"random", data::flip_mode::random}, {"always", data::flip_mode::always}, {"never", data::flip_mode::never}});
  if (resampling) into.resampling = resampling_of(*resampling);
  into.compat = choose<train::compat_mode>("fine_tune", "compat", compat,
                                           {{"none", train::compat_mode::none},
                                            {"pytorch", train::compat_mode::pytorch},
                                            {"jax", train::compat_mode::jax},
                                            {"tf2", train::compat_mode::tf2}});
}

void take_optimizer_and_loss(keywords& from, train::fine_tune_options& into) {
  std::string name = "sgd", loss = "softmax";
  from.take("optimizer", name);
  from.take("loss", loss);
  into.loss = choose<train::training_loss>(
      "fine_tune", "loss", loss,
      {{"softmax", train::training_loss::softmax}, {"sigmoid", train::training_loss::sigmoid}});
  auto options = take_optimizer(from, name);
  into.sgd = std::move(options.sgd);
  into.adam = std::move(options.adam);
}

/// Classes of different sizes, the head, and what is best and enough.
void take_balance_and_end(keywords& from, train::fine_tune_options& into) {
  std::string sampling = "shuffled", best_by = "top1";
  from.take("class_weights", into.class_weights);
  from.take("sampling", sampling);
  from.take("keep_head", into.keep_head);
  from.take("best_by", best_by);
  from.take("patience", into.patience);
  from.take("max_seconds", into.max_seconds);
  into.sampling = choose<train::sample_order>(
      "fine_tune", "sampling", sampling,
      {{"shuffled", train::sample_order::shuffled}, {"balanced", train::sample_order::balanced}});
  into.best_by = choose<train::best_metric>("fine_tune", "best_by", best_by,
                                            {{"top1", train::best_metric::top1},
                                             {"balanced_accuracy", train::best_metric::balanced_accuracy},
                                             {"macro_f1", train::best_metric::macro_f1},
                                             {"auroc", train::best_metric::auroc},
                                             {"loss", train::best_metric::loss}});
}

/// What a run does, and the dtype that its model computes in.
std::pair<train::fine_tune_options, bit::dtype> options_of(const py::kwargs& how) {
  keywords given("fine_tune", how);
  train::fine_tune_options options;
  std::string dtype = "float32";
  take_recipe(given, options);
  given.take("dtype", dtype);
  take_optimizer_and_loss(given, options);
  given.take("label_smoothing", options.label_smoothing);
  take_balance_and_end(given, options);
  given.take("eval_every", options.eval_every);
  given.take("eval_batch", options.eval_batch);
  given.take("save_every", options.save_every);
  given.take("save_seconds", options.save_seconds);
  given.take("folder", options.folder);
  given.take("flags", options.flags);
  given.take("model_name", options.name);
  given.take("workers", options.loader.threads);
  given.take("skip_corrupt", options.loader.skip_corrupt);
  given.take("threads", options.threads);
  given.finish();
  options.threads = threads_or_default(options.threads);
  return {options, training_dtype("fine_tune", dtype)};
}

py::dict as_dict(const train::evaluation& e) {
  using namespace py::literals;
  return py::dict("examples"_a = e.examples, "loss"_a = e.loss, "top1"_a = e.top1, "top5"_a = e.top5);
}

/// A Python function, called with the GIL; nothing for None. Borrowed: copies of the hook are made without the GIL, when
/// no count may change.
template <class... Args, class Call>
std::function<void(Args...)> hook(const py::dict& callbacks, const char* name, Call call) {
  if (!callbacks.contains(name) || callbacks[name].is_none()) return nullptr;
  const py::handle f = callbacks[name];
  return [f, call](Args... args) {
    std::optional<py::gil_scoped_acquire> gil;
    take_gil([&] { gil.emplace(); });
    call(f, args...);
  };
}

train::fine_tune_callbacks callbacks_of(const py::dict& from) {
  train::fine_tune_callbacks to;
  to.on_part = hook<const train::part_report&>(
      from, "on_part", [](const py::handle& f, const auto& r) { f(r.step, r.part, r.parts, r.loss, r.rate); });
  to.on_step = hook<const train::update_report&>(from, "on_step", [](const py::handle& f, const auto& r) {
    f(r.step, r.loss, r.rate, r.images, r.seconds.load, r.seconds.gradients, r.seconds.update);
  });
  to.on_evaluation = hook<std::size_t, const train::evaluation&>(
      from, "on_evaluation", [](const py::handle& f, std::size_t step, const auto& e) {
        using namespace py::literals;
        f(step, as_dict(e),
          py::dict("balanced_accuracy"_a = e.balanced_accuracy, "macro_f1"_a = e.macro_f1, "auroc"_a = e.auroc));
      });
  to.on_best = hook<std::size_t>(from, "on_best", [](const py::handle& f, std::size_t step) { f(step); });
  to.on_checkpoint = hook<std::size_t, const std::filesystem::path&>(
      from, "on_checkpoint",
      [](const py::handle& f, std::size_t step, const auto& path) { f(step, path_text(path.string())); });
  to.on_skipped = hook<const train::skipped_example&>(
      from, "on_skipped", [](const py::handle& f, const auto& e) { f(message_text(e.name), message_text(e.reason)); });
  const py::handle stop = from.contains("should_stop") ? py::handle(from["should_stop"]) : py::handle(Py_None);
  to.should_stop = [stop] {
    std::optional<py::gil_scoped_acquire> gil;
    take_gil([&] { gil.emplace(); });
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return !stop.is_none() && stop().cast<bool>();
  };
  return to;
}

py::dict as_dict(const train::training_result& r) {
  using namespace py::literals;
  const auto& s = r.seconds;
  constexpr const char* ends[] = {"none", "patience", "time"};
  return py::dict("interrupted"_a = r.interrupted, "ended"_a = ends[static_cast<std::size_t>(r.ended)],
                  "first_step"_a = r.first_step, "step"_a = r.step, "loss"_a = r.loss,
                  "evaluation"_a = r.last_evaluation ? py::object(as_dict(*r.last_evaluation)) : py::object(py::none()),
                  "best"_a = r.best, "best_step"_a = r.best_step,
                  "seconds"_a = py::dict("load"_a = s.load, "gradients"_a = s.gradients, "update"_a = s.update,
                                         "evaluate"_a = s.evaluate, "save"_a = s.save));
}

/// Model, sets and recipe of one run.
class fine_tuning {
 public:
  fine_tuning(const bit::io::checkpoint& from, const dataset_handle& images, const dataset_handle* validation,
              const py::kwargs& how)
      : split_{images.images, validation ? validation->images : nullptr} {
    bit::dtype dtype{};
    std::tie(options_, dtype) = options_of(how);
    const released_gil release;
    const auto& classes = split_.train->class_names();
    model_ = std::make_unique<train::tunable_model>(options_.keep_head
                                                        ? bit::train::make_tunable(from.config, from.tensors, dtype)
                                                        : train::with_new_head(from, classes.size(), dtype));
    plan_ = train::resolve(options_, *split_.train, *model_);
  }
  const train::recipe& plan() const { return plan_; }
  py::dict estimate() {
    using namespace py::literals;
    {
      const released_gil release;
      plan_.time = train::estimate_time(plan_, options_, *model_, split_.validation ? split_.validation->size() : 0);
    }
    return py::dict("step"_a = plan_.time->step, "evaluation"_a = plan_.time->evaluation,
                    "total"_a = plan_.time->total);
  }
  const bit::resnet_config& config() const { return model_->config(); }

  py::dict run(const py::kwargs& callbacks) {
    const auto hooks = callbacks_of(callbacks);
    train::training_result result;
    {
      const released_gil release;
      result = train::fine_tune(*model_, split_, options_, plan_, hooks);
      model_->release();  // what comes next copies the values
    }
    return as_dict(result);
  }
  py::list tensors() const { return arrays_of<float>(model_->parameters(), bit::parameter_array::values); }

 private:
  train::fine_tune_options options_;
  data::dataset_split split_;
  std::unique_ptr<train::tunable_model> model_;
  train::recipe plan_;
};

py::dict evaluate(const bit::io::checkpoint& from, const bit::resnet_config& config, const dataset_handle& images,
                  const data::preprocess_spec& how, std::size_t batch, std::size_t workers, bool skip_corrupt,
                  std::size_t threads, bool keep_pairs, const py::object& on_batch, const py::object& on_skipped) {
  using namespace py::literals;
  if (how.height != how.width)
    throw bit::config_error("[evaluate] expected a square input size, got " + std::to_string(how.height) + " x " +
                            std::to_string(how.width) + "; give one side");
  const data::augment_spec spec{.resize = how.height,
                                .crop = how.height,
                                .flip = data::flip_mode::never,
                                .filter = how.filter,
                                .method = how.method,
                                .mode = how.mode,
                                .crop_pct = how.crop_pct};
  const py::dict given("on_batch"_a = on_batch, "on_skipped"_a = on_skipped);
  const train::evaluation_callbacks callbacks{
      .on_batch = hook<const train::labelled_batch&, std::span<const float>>(
          given, "on_batch",
          [&](const py::handle& f, const train::labelled_batch& b, std::span<const float> logits) {
            const std::vector<std::int64_t> indices(b.indices.begin(), b.indices.end());
            f(py::array_t<std::int64_t>(static_cast<py::ssize_t>(indices.size()), indices.data()),
              py::array_t<float>({b.labels.size(), config.num_classes}, logits.data()));
          }),
      .on_skipped = hook<const train::skipped_example&>(given, "on_skipped", [](const py::handle& f, const auto& e) {
        f(e.index, message_text(e.name), message_text(e.reason));
      })};
  train::evaluation found;
  call_interruptibly(threads, bit::layout::nchw, [&](const bit::run_options& run) {
    const auto model = bit::resnet_v2<bit::cpu<float>>(config, from.tensors).freeze();
    const std::vector<std::string> logits{"logits"};
    found = train::evaluate(
        [&](const bit::image_view<float>& x, float* out) {
          // Between batches, too: loading may take longer than computing.
          if (run.interrupted()) throw bit::interrupted_error("[evaluate] interrupted");
          model.run(x, logits, std::vector<float*>{out}, run);
        },
        config.num_classes, images.images, spec, batch, {.threads = workers, .skip_corrupt = skip_corrupt}, keep_pairs,
        callbacks);
  });
  py::dict all = as_dict(found);
  if (keep_pairs) {
    py::array_t<std::int64_t> pairs({found.pairs.size(), std::size_t{2}});
    for (std::size_t i = 0; i < found.pairs.size(); ++i) {
      pairs.mutable_at(i, 0) = found.pairs[i].label;
      pairs.mutable_at(i, 1) = found.pairs[i].predicted;
    }
    all["pairs"] = pairs;
  }
  return all;
}

}  // namespace

void register_fine_tune(py::module_& m) {
  py::class_<fine_tuning>(m, "FineTuning", "A run: its recipe, decided when it is made, and its steps.")
      .def(py::init<const bit::io::checkpoint&, const dataset_handle&, const dataset_handle*, const py::kwargs&>(),
           py::arg("checkpoint"), py::arg("images"), py::arg("validation"))
      .def("run", &fine_tuning::run,
           "Train to the end. Callbacks: on_part, on_step, on_evaluation, on_checkpoint, on_skipped, on_best, "
           "should_stop.")
      .def("estimate", &fine_tuning::estimate, "Measures the machine; seconds, which the recipe tells from then on.")
      .def("tensors", &fine_tuning::tensors, "(official name, copy of the values) of every parameter.")
      .def_property_readonly("config", &fine_tuning::config)
      .def_property_readonly("recipe", [](const fine_tuning& f) { return to_string(f.plan()); })
      .def_property_readonly("departures", [](const fine_tuning& f) { return f.plan().departures; })
      .def_property_readonly("steps", [](const fine_tuning& f) { return f.plan().steps; })
      .def_property_readonly("batch", [](const fine_tuning& f) { return f.plan().batch; })
      .def_property_readonly("batch_split", [](const fine_tuning& f) { return f.plan().batch_split; })
      .def_property_readonly("recompute",
                             [](const fine_tuning& f) { return train::to_string(f.plan().training.recompute); })
      .def_property_readonly("crop", [](const fine_tuning& f) { return f.plan().rule.resolution.crop; })
      .def_property_readonly("memory_bytes", [](const fine_tuning& f) { return f.plan().memory.total(); });
  m.def(
      "usable_memory", [] { return train::usable_memory(); }, "Bytes that this process may use in all.");
  m.def("evaluate", &evaluate, py::arg("checkpoint"), py::arg("config"), py::arg("images"), py::arg("how"),
        py::arg("batch"), py::arg("workers"), py::arg("skip_corrupt"), py::arg("threads"), py::arg("keep_pairs"),
        py::arg("on_batch") = py::none(), py::arg("on_skipped") = py::none());
}
