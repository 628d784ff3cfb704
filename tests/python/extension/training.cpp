// SPDX-License-Identifier: Apache-2.0
// _core_testing: losses, optimizers over arrays and mixup as Python's tests compare them with torch's. Not installed.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <bit/backend/cpu/parameters.hpp>
#include <bit/backend/loss.hpp>
#include <bit/error.hpp>
#include <bit/train/mixup.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gil.hpp"
#include "labels.hpp"
#include "optimizer_options.hpp"

namespace py = pybind11;
namespace train = bit::train;

namespace {

using float_array = py::array_t<float, py::array::c_style>;
template <class T>
using table = py::array_t<T, py::array::c_style | py::array::forcecast>;

/// Values of an array as a parameter's first ones.
class array_values final : public bit::tensor_data {
 public:
  explicit array_values(std::span<const float> values) : values_(values) {}
  void read(std::span<float> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  void read(std::span<double> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }

 private:
  std::span<const float> values_;
};

/// An optimizer over NumPy arrays, which it keeps alive and changes in place.
class array_optimizer {
 public:
  array_optimizer(const std::string& name, const std::vector<std::tuple<std::string, py::array, py::array>>& parameters,
                  const py::kwargs& how) {
    std::vector<bit::named_tensor> tensors;
    for (const auto& [parameter, value, gradient] : parameters) {
      values_.push_back(checked(parameter, value));
      gradients_.push_back(checked(parameter, gradient));
      tensors.push_back({parameter,
                         {value.shape(), value.shape() + value.ndim()},
                         std::make_shared<array_values>(span_of(values_.back()))});
    }
    parameters_ = std::make_shared<bit::detail::host_parameters<float>>(std::span<const bit::named_tensor>(tensors));
    by_ = make_optimizer<float>(*parameters_, optimizer_options_of(name, how));
  }

  std::optional<double> step(double rate, std::size_t threads) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      parameters_->write(bit::parameter_array::values, i, span_of(values_[i]));
      parameters_->write(bit::parameter_array::gradients, i, span_of(gradients_[i]));
    }
    const auto norm = by_->step(rate, threads);
    for (std::size_t i = 0; i < values_.size(); ++i)
      parameters_->read(bit::parameter_array::values, i, span_of(values_[i]));
    return norm;
  }
  py::dict buffers() {
    py::dict all;
    for (const auto& b : by_->buffers()) {
      const bit::tensor_spec& of = parameters_->specs()[b.parameter];
      all[py::str(b.name + "/" + of.name)] = py::array_t<float>(of.shape, by_->values(b).data());
    }
    return all;
  }
  std::uint64_t updates() const { return by_->updates(); }
  std::vector<std::tuple<bool, double, double>> rules() const {
    std::vector<std::tuple<bool, double, double>> all;
    for (const auto& r : by_->rules()) all.emplace_back(r.frozen, r.rate_scale, r.weight_decay);
    return all;
  }

 private:
  static float_array checked(const std::string& name, const py::array& array) {
    if (!py::isinstance<float_array>(array) || !array.writeable())
      throw bit::shape_error("[optimizer] " + name +
                             ": expected writable C-contiguous float32 arrays, which are changed in place");
    return py::reinterpret_borrow<float_array>(array);
  }
  static std::span<float> span_of(float_array& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
  }

  std::vector<float_array> values_, gradients_;
  std::shared_ptr<bit::detail::host_parameters<float>> parameters_;
  std::unique_ptr<train::optimizer> by_;
};

template <class T>
std::span<const T> view(const table<T>& a) {
  return {a.data(), static_cast<std::size_t>(a.size())};
}

/// Loss and gradient for logits (n,classes) in T.
template <class T>
py::tuple apply_in(const py::array& logits, const bit::loss& loss) {
  const table<T> x(logits);
  py::array_t<T> gradient({x.shape(0), x.shape(1)});
  const std::span<T> out(gradient.mutable_data(), static_cast<std::size_t>(gradient.size()));
  const double value = bit::evaluate_loss<T>(loss, view<T>(x), out, static_cast<std::size_t>(x.shape(0)),
                                             static_cast<std::size_t>(x.shape(1)));
  return py::make_tuple(value, gradient);
}

/// The same in float or double, as the logits are.
py::tuple apply(const py::array& logits, const bit::loss& loss) {
  if (logits.ndim() != 2)
    throw bit::shape_error("[loss] expected logits (n, classes), got " + std::to_string(logits.ndim()) +
                           " dimension(s)");
  return py::isinstance<py::array_t<double>>(logits) ? apply_in<double>(logits, loss) : apply_in<float>(logits, loss);
}

void register_losses(py::module_& m) {
  m.def(
      "cross_entropy",
      [](const py::array& logits, const label_array& y, const std::optional<label_array>& partners, double weight,
         double smoothing) {
        const auto other = partners ? view<std::int64_t>(*partners) : std::span<const std::int64_t>{};
        return apply(logits, bit::cross_entropy{view<std::int64_t>(y), other, weight, smoothing});
      },
      py::arg("logits"), py::arg("labels"), py::arg("partners") = py::none(), py::arg("weight") = 1.0,
      py::arg("smoothing") = 0.0, "Mean softmax cross-entropy and its gradient.");
  m.def(
      "soft_cross_entropy",
      [](const py::array& logits, const table<double>& p, double smoothing) {
        return apply(logits, bit::cross_entropy{.smoothing = smoothing, .probabilities = view<double>(p)});
      },
      py::arg("logits"), py::arg("probabilities"), py::arg("smoothing") = 0.0);
  m.def(
      "sigmoid_cross_entropy",
      [](const py::array& logits, const table<double>& t) {
        return apply(logits, bit::sigmoid_cross_entropy{.targets = view<double>(t)});
      },
      py::arg("logits"), py::arg("targets"));
  m.def(
      "distillation",
      [](const py::array& logits, const table<double>& teacher, double t) {
        return apply(logits, bit::distillation{view<double>(teacher), t});
      },
      py::arg("logits"), py::arg("teacher"), py::arg("temperature") = 1.0);
}

void register_mixup(py::module_& m) {
  m.def("mixup_lambda", &train::mixup_lambda, py::arg("alpha"), py::arg("seed"), py::arg("step"));
  m.def(
      "mixup_partners",
      [](std::size_t n, const std::string& order, std::uint64_t seed, std::uint64_t micro_batch) {
        return to_array(train::mixup_partners(n, train::parse_mixup_partner(order), seed, micro_batch));
      },
      py::arg("n"), py::arg("order"), py::arg("seed"), py::arg("micro_batch"));
  m.def(
      "mix_images",
      [](py::array_t<float, py::array::c_style>& images, const label_array& partners, double lambda) {
        if (images.ndim() == 0 || partners.ndim() != 1 || images.shape(0) != partners.size())
          throw bit::shape_error("[mixup] expected one partner per image, got " + std::to_string(partners.size()) +
                                 " for images " + py::cast<std::string>(py::str(images.attr("shape"))));
        const indices chosen = from_array(partners, "partners");
        const std::span<float> values(images.mutable_data(), static_cast<std::size_t>(images.size()));
        const released_gil release;
        train::mix_images(values, std::span<const std::size_t>(chosen), lambda);
      },
      py::arg("images").noconvert(), py::arg("partners"), py::arg("weight"));
  m.def(
      "mixed_probabilities",
      [](const label_array& labels, const label_array& partners, double lambda, std::size_t classes) {
        if (labels.ndim() != 1)
          throw bit::shape_error("[mixup] expected labels (n,), got " + std::to_string(labels.ndim()) + " dimensions");
        const std::span<const std::int64_t> given(labels.data(), static_cast<std::size_t>(labels.size()));
        const auto mixed = train::mix_labels(given, from_array(partners, "partners"), lambda);
        const auto rows = train::to_probabilities(mixed, classes);
        py::array_t<double> array({mixed.first.size(), classes});
        std::copy(rows.begin(), rows.end(), array.mutable_data());
        return array;
      },
      py::arg("labels"), py::arg("partners"), py::arg("weight"), py::arg("classes"));
}

}  // namespace

PYBIND11_MODULE(_core_testing, m) {
  m.doc() = "Parts of the library that pybit does not show by themselves. Import pybit first: it has the exceptions.";
  py::class_<array_optimizer>(m, "Optimizer", "SGD, Adam or AdamW over NumPy arrays, which are changed in place.")
      .def(py::init<const std::string&, const std::vector<std::tuple<std::string, py::array, py::array>>&,
                    const py::kwargs&>(),
           py::arg("name"), py::arg("parameters"))
      .def("step", &array_optimizer::step, py::arg("rate"), py::arg("threads") = 0,
           "One update; the gradients' norm if clip_norm is given.")
      .def("buffers", &array_optimizer::buffers, "Copies of the state by name.")
      .def_property_readonly("rules", &array_optimizer::rules, "(frozen, rate scale, weight decay) of each parameter.")
      .def_property_readonly("updates", &array_optimizer::updates);
  register_losses(m);
  register_mixup(m);
}
