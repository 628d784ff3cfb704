// SPDX-License-Identifier: Apache-2.0
// pybit._core.Recorder: forward passes whose backward pass comes later, for automatic differentiation.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit/backend/cpu/threads.hpp>
#include <bit/io/checkpoint.hpp>
#include <bit/model/recorder_cpu.hpp>
#include <bit/reference.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "calls.hpp"
#include "optimizer_options.hpp"
#include "register.hpp"
#include "strided_copy.hpp"
#include "training_backends.hpp"

namespace py = pybind11;

namespace {

class any_recording {
 public:
  virtual ~any_recording() = default;
  virtual py::object backward(const py::list& gradients, bool image, std::size_t threads) = 0;
};

class any_recorder {
 public:
  virtual ~any_recorder() = default;
  virtual py::list specs() const = 0;
  virtual void set_training(bit::recomputation how, const std::set<std::string>& frozen) = 0;
  virtual void write(const std::vector<std::size_t>& which, const py::list& arrays, std::size_t threads) = 0;
  virtual void read_gradients(const std::vector<std::size_t>& which, const py::list& arrays, std::size_t threads) = 0;
  virtual py::tuple record(const py::array& x, const std::vector<std::string>& names, bit::layout order,
                           bool image_gradient, std::size_t threads) = 0;
};

/// Calls work(i, part) for the `parts` parts of each of `count` arrays, with all threads and without the GIL.
template <class Work>
void for_parts(std::size_t count, std::size_t parts, std::size_t threads, const Work& work) {
  const released_gil release;
#pragma omp parallel for schedule(dynamic, 1) num_threads(bit::detail::region_threads(threads))
  for (std::size_t i = 0; i < count * parts; ++i) work(i / parts, i % parts);
}

template <class Backend>
class recording_of final : public any_recording {
 public:
  using T = typename Backend::value_type;
  using pass = typename bit::recorder<Backend>::recording;

  /// `images` is what the pass reads, which it keeps alive.
  recording_of(std::shared_ptr<bit::recorder<Backend>> recorder, pass&& made, py::array images, bit::layout order)
      : recorder_(std::move(recorder)), pass_(std::move(made)), images_(std::move(images)), order_(order) {}

  py::object backward(const py::list& gradients, bool image, std::size_t threads) override {
    std::vector<const T*> from;
    std::vector<py::array_t<T, py::array::c_style>> kept;
    if (gradients.size() != pass_.output_dims().size())
      throw bit::shape_error("[recorder] expected one gradient, or None, per output");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      from.push_back(nullptr);
      if (gradients[i].is_none()) continue;
      if (!py::isinstance<py::array_t<T, py::array::c_style>>(gradients[i]))
        throw bit::shape_error("[recorder] expected contiguous gradients of the outputs' dtype");
      kept.push_back(py::reinterpret_borrow<py::array_t<T, py::array::c_style>>(gradients[i]));
      if (static_cast<std::size_t>(kept.back().size()) != pass_.output_dims()[i].size())
        throw bit::shape_error("[recorder] expected gradients of the outputs' sizes");
      from.back() = kept.back().data();
    }
    const bit::dims4& d = pass_.images();
    py::object found = py::none();
    T* to = nullptr;
    if (image) {
      py::array_t<T> made(order_ == bit::layout::nchw ? std::vector<std::size_t>{d.n, d.c, d.h, d.w}
                                                      : std::vector<std::size_t>{d.n, d.h, d.w, d.c});
      to = made.mutable_data();
      found = std::move(made);
    }
    call_interruptibly(threads, order_, [&](const bit::run_options& options) {
      recorder_->parameters().zero_gradients();
      pass_.backward(from, to, options);
    });
    images_ = py::none();
    return found;
  }

 private:
  std::shared_ptr<bit::recorder<Backend>> recorder_;
  pass pass_;
  py::object images_;
  bit::layout order_;
};

template <class Backend>
class recorder_of final : public any_recorder {
 public:
  using T = typename Backend::value_type;

  recorder_of(const bit::resnet_config& config, const bit::io::checkpoint& from)
      : recorder_([&] {
          const released_gil release;
          return std::make_shared<bit::recorder<Backend>>(config, from.tensors);
        }()) {}

  py::list specs() const override {
    py::list all;
    for (const bit::tensor_spec& spec : recorder_->parameters().specs())
      all.append(py::make_tuple(spec.name, py::tuple(py::cast(spec.shape))));
    return all;
  }
  void set_training(bit::recomputation how, const std::set<std::string>& frozen) override {
    recorder_->set_training({how, frozen});
  }
  void write(const std::vector<std::size_t>& which, const py::list& arrays, std::size_t threads) override {
    auto& parameters = recorder_->parameters();
    std::vector<strided<const T>> from;
    std::vector<strided<T>> to;
    for (std::size_t i = 0; i < which.size(); ++i) {
      const bit::tensor_spec& spec = parameters.specs()[which[i]];
      from.push_back(strided_view<const T>(arrays[i].cast<py::array>(), spec.shape, spec.name));
      // Values are written where they lie; the last call below counts the change.
      parameters.change_values(which[i],
                               [&](std::span<T> values) { to.push_back(row_major(values.data(), spec.shape)); });
    }
    copy(from, to, threads);
    if (!which.empty()) parameters.change_values(which.front(), [](std::span<T>) {});
  }
  void read_gradients(const std::vector<std::size_t>& which, const py::list& arrays, std::size_t threads) override {
    const auto& parameters = recorder_->parameters();
    std::vector<strided<const T>> from;
    std::vector<strided<T>> to;
    for (std::size_t i = 0; i < which.size(); ++i) {
      const bit::tensor_spec& spec = parameters.specs()[which[i]];
      if (!parameters.learns(which[i])) throw bit::config_error("[recorder] " + spec.name + " is frozen");
      const std::span<const T> gradient = parameters[which[i]].gradient;
      from.push_back(row_major(gradient.data(), spec.shape));
      to.push_back(strided_view<T>(arrays[i].cast<py::array>(), spec.shape, spec.name));
    }
    copy(from, to, threads);
  }
  py::tuple record(const py::array& x, const std::vector<std::string>& names, bit::layout order, bool image_gradient,
                   std::size_t threads) override {
    const auto images = view_of<T>(x, bit::layout::nchw, "recorder");
    py::list arrays;
    std::vector<T*> outputs;
    for (const bit::dims4& d : recorder_->output_dims(images.dims, names, image_gradient)) {
      const bool matrix = names[outputs.size()] == "pooled" || names[outputs.size()] == "logits";
      py::array_t<T> made(matrix                       ? std::vector<std::size_t>{d.n, d.c}
                          : order == bit::layout::nchw ? std::vector<std::size_t>{d.n, d.c, d.h, d.w}
                                                       : std::vector<std::size_t>{d.n, d.h, d.w, d.c});
      outputs.push_back(made.mutable_data());
      arrays.append(made);
    }
    std::unique_ptr<any_recording> pass;
    std::optional<typename bit::recorder<Backend>::recording> made;
    call_interruptibly(threads, order, [&](const bit::run_options& options) {
      made.emplace(recorder_->record(images, names, outputs, image_gradient, options));
    });
    pass = std::make_unique<recording_of<Backend>>(recorder_, std::move(*made), x, order);
    return py::make_tuple(std::move(pass), arrays);
  }

 private:
  /// Large arrays are cut into 16 parts, so that threads have alike work.
  static void copy(const std::vector<strided<const T>>& from, const std::vector<strided<T>>& to, std::size_t threads) {
    constexpr std::size_t parts = 16;
    for_parts(from.size(), parts, Backend::threads(threads_or_default(threads)),
              [&](std::size_t i, std::size_t part) { copy_part<T>(from[i], to[i], part, parts); });
  }

  std::shared_ptr<bit::recorder<Backend>> recorder_;
};

std::unique_ptr<any_recorder> recorder_for(const bit::io::checkpoint& from, const bit::resnet_config& config,
                                           const std::string& dtype) {
  if (dtype == "float64") return std::make_unique<recorder_of<bit::reference<double>>>(config, from);
  if (training_dtype("recorder", dtype) == bit::dtype::bfloat16)
    return std::make_unique<recorder_of<bit::cpu<bit::bfloat16>>>(config, from);
  return std::make_unique<recorder_of<bit::cpu<float>>>(config, from);
}

}  // namespace

void register_recorder(py::module_& m) {
  py::class_<any_recording>(m, "Recording", "A forward pass that may go back once.")
      .def("backward", &any_recording::backward, py::arg("gradients"), py::arg("image"), py::arg("threads") = 0,
           "Makes all parameters' gradients anew, from the outputs' (None: zeros); the images' gradient, or None.");
  py::class_<any_recorder>(m, "Recorder", "Forward and backward passes at different times; one thread at a time.")
      .def(py::init(&recorder_for), py::arg("checkpoint"), py::arg("config"), py::arg("dtype"))
      .def("specs", &any_recorder::specs, "(official name, shape) of every parameter.")
      .def(
          "set_training",
          [](any_recorder& self, const std::string& recompute, const std::set<std::string>& frozen) {
            self.set_training(recomputation_of("recorder", recompute).value_or(bit::recomputation::none), frozen);
          },
          py::arg("recompute"), py::arg("frozen"))
      .def("write", &any_recorder::write, py::arg("which"), py::arg("arrays"), py::arg("threads") = 0,
           "Takes values of these parameters from arrays of the official shapes at any strides.")
      .def("read_gradients", &any_recorder::read_gradients, py::arg("which"), py::arg("arrays"), py::arg("threads") = 0,
           "Copies gradients of these parameters into such arrays.")
      .def(
          "record",
          [](any_recorder& self, const py::array& x, const std::vector<std::string>& names, const std::string& layout,
             bool image_gradient,
             std::size_t threads) { return self.record(x, names, layout_of(layout), image_gradient, threads); },
          py::arg("x"), py::arg("names"), py::arg("layout"), py::arg("image_gradient"), py::arg("threads") = 0,
          "A Recording of images (n,c,h,w) at any strides, and the outputs; maps in `layout`.");
}
