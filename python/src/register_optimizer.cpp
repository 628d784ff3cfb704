#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit/error.hpp>
#include <bit/train/loss.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gil.hpp"
#include "optimizer_options.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace train = bit::train;

namespace {

using float_array = py::array_t<float, py::array::c_style>;
template <class T>
using table = py::array_t<T, py::array::c_style | py::array::forcecast>;
using labels = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

/// An optimizer over NumPy arrays, which it keeps alive and changes in place.
class array_optimizer {
 public:
  array_optimizer(const std::string& name, const std::vector<std::tuple<std::string, py::array, py::array>>& parameters,
                  const py::kwargs& how) {
    std::vector<bit::trainable_parameter<float>> views;
    for (const auto& [parameter, value, gradient] : parameters) {
      arrays_.push_back(checked(parameter, value));
      const auto values = span_of(arrays_.back());
      arrays_.push_back(checked(parameter, gradient));
      views.push_back({parameter, {value.shape(), value.shape() + value.ndim()}, values, span_of(arrays_.back())});
    }
    by_ = make_optimizer<float>(name, std::span<const bit::trainable_parameter<float>>(views), how);
  }

  std::optional<double> step(double rate, std::size_t threads) {
    const released_gil release;
    return by_->step(rate, threads_or_default(threads));
  }
  py::dict buffers() {
    py::dict all;
    for (const auto& b : by_->buffers()) {
      const std::vector<py::ssize_t> shape(b.shape.begin(), b.shape.end());
      all[py::str(b.buffer + "/" + b.parameter)] = py::array_t<float>(shape, b.values.data());
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
                             ": expected writable C-contiguous float32 arrays, which are "
                             "changed in place");
    return py::reinterpret_borrow<float_array>(array);
  }
  static std::span<float> span_of(float_array& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
  }

  std::vector<float_array> arrays_;
  std::unique_ptr<train::optimizer> by_;
};

template <class T>
std::span<const T> view(const table<T>& a) {
  return {a.data(), static_cast<std::size_t>(a.size())};
}

/// Loss and gradient for logits (n,classes).
template <class T>
py::tuple apply(const py::array& logits, const bit::loss_function<T>& loss) {
  if (logits.ndim() != 2)
    throw bit::shape_error("[loss] expected logits (n, classes), got " + std::to_string(logits.ndim()) +
                           " dimension(s)");
  const table<T> x(logits);
  py::array_t<T> gradient({x.shape(0), x.shape(1)});
  const std::span<T> out(gradient.mutable_data(), static_cast<std::size_t>(gradient.size()));
  const double value =
      loss(view<T>(x), out, static_cast<std::size_t>(x.shape(0)), static_cast<std::size_t>(x.shape(1)));
  return py::make_tuple(value, gradient);
}

/// The same in float or double, as the logits are; `make(T{})` makes the loss.
template <class Make>
py::tuple apply_any(const py::array& logits, const Make& make) {
  if (py::isinstance<py::array_t<double>>(logits)) return apply<double>(logits, make(double{}));
  return apply<float>(logits, make(float{}));
}

/// The same for a loss that compares with a table in the logits' dtype.
template <template <class> class Loss, class... Args>
py::tuple apply_to(const py::array& logits, const py::array& targets, Args... args) {
  const auto run = [&]<class T>(T) {
    const table<T> wanted(targets);
    return apply<T>(logits, Loss<T>(view<T>(wanted), args...));
  };
  return py::isinstance<py::array_t<double>>(logits) ? run(double{}) : run(float{});
}

}  // namespace

void register_optimizer(py::module_& m) {
  py::class_<array_optimizer>(m, "Optimiser", "SGD, Adam or AdamW over NumPy arrays, which are changed in place.")
      .def(py::init<const std::string&, const std::vector<std::tuple<std::string, py::array, py::array>>&,
                    const py::kwargs&>(),
           py::arg("name"), py::arg("parameters"))
      .def("step", &array_optimizer::step, py::arg("rate"), py::arg("threads") = 0,
           "One update; the gradients' norm if clip_norm is given.")
      .def("buffers", &array_optimizer::buffers, "Copies of the state by name.")
      .def_property_readonly("rules", &array_optimizer::rules, "(frozen, rate scale, weight decay) of each parameter.")
      .def_property_readonly("updates", &array_optimizer::updates);
  m.def(
      "cross_entropy",
      [](const py::array& logits, const labels& y, const std::optional<labels>& partners, double weight,
         double smoothing) {
        const auto other = partners ? view<std::int64_t>(*partners) : std::span<const std::int64_t>{};
        return apply_any(logits, [&]<class T>(T) {
          return train::cross_entropy<T>(view<std::int64_t>(y), other, weight, smoothing);
        });
      },
      py::arg("logits"), py::arg("labels"), py::arg("partners") = py::none(), py::arg("weight") = 1.0,
      py::arg("smoothing") = 0.0, "Mean softmax cross-entropy and its gradient.");
  m.def(
      "soft_cross_entropy",
      [](const py::array& logits, const table<double>& p, double smoothing) {
        return apply_any(
            logits, [&]<class T>(T) { return train::cross_entropy<T>::of_probabilities(view<double>(p), smoothing); });
      },
      py::arg("logits"), py::arg("probabilities"), py::arg("smoothing") = 0.0);
  m.def(
      "sigmoid_cross_entropy",
      [](const py::array& logits, const py::array& t) { return apply_to<train::sigmoid_cross_entropy>(logits, t); },
      py::arg("logits"), py::arg("targets"));
  m.def(
      "distillation",
      [](const py::array& logits, const py::array& teacher, double t) {
        return apply_to<train::distillation>(logits, teacher, t);
      },
      py::arg("logits"), py::arg("teacher"), py::arg("temperature") = 1.0);
  m.def(
      "squared_error",
      [](const py::array& logits, const py::array& t) { return apply_to<train::squared_error>(logits, t); },
      py::arg("logits"), py::arg("targets"));
}
