// SPDX-License-Identifier: Apache-2.0
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit/error.hpp>
#include <bit/eval/knn.hpp>
#include <bit/eval/ridge.hpp>
#include <string>
#include <vector>

#include "gil.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace eval = bit::eval;

namespace {

using float_array = py::array_t<float, py::array::c_style | py::array::forcecast>;
using label_array = py::array_t<py::ssize_t, py::array::c_style | py::array::forcecast>;

eval::feature_view view(const float_array& x, const char* name) {
  if (x.ndim() != 2)
    throw bit::shape_error(std::string(name) + ": expected a table (rows, features), got " + std::to_string(x.ndim()) +
                           " dimension(s)");
  return {std::span(x.data(), static_cast<std::size_t>(x.size())), static_cast<std::size_t>(x.shape(0)),
          static_cast<std::size_t>(x.shape(1))};
}

/// Labels as the library counts them.
std::vector<std::size_t> labels_of(const label_array& labels) {
  if (labels.ndim() != 1)
    throw bit::shape_error("labels: expected one dimension, got " + std::to_string(labels.ndim()));
  for (py::ssize_t i = 0; i < labels.size(); ++i)
    if (labels.at(i) < 0) throw bit::shape_error("labels: expected 0 or more, got " + std::to_string(labels.at(i)));
  return {labels.data(), labels.data() + labels.size()};
}

template <class T>
py::array_t<T> to_array(const bit::matrix<T>& m) {
  return py::array_t<T>({static_cast<py::ssize_t>(m.shape(0)), static_cast<py::ssize_t>(m.shape(1))}, m.data());
}

py::dict fit(const float_array& x, const label_array& y, std::size_t classes, const std::vector<double>& lambdas) {
  const auto table = view(x, "features");
  const auto labels = labels_of(y);
  eval::ridge_classifier model;
  {
    const released_gil release;
    model = eval::fit_ridge(table, labels, classes, lambdas);
  }
  py::list candidates;
  for (const auto& c : model.candidates) candidates.append(py::make_tuple(c.lambda, c.error));
  py::dict out;
  out["weights"] = to_array(model.weights);
  out["bias"] = py::array_t<double>(static_cast<py::ssize_t>(model.bias.size()), model.bias.data());
  out["strength"] = model.lambda;
  out["candidates"] = py::tuple(candidates);
  return out;
}

py::tuple nearest(const float_array& train, const float_array& queries, std::size_t k) {
  const auto table = view(train, "features"), wanted = view(queries, "queries");
  eval::neighbours found;
  {
    const released_gil release;
    found = eval::nearest_neighbours(table, wanted, k);
  }
  return py::make_tuple(to_array(found.rows), to_array(found.similarities));
}

py::array_t<py::ssize_t> classify(const float_array& train, const label_array& y, std::size_t classes,
                                  const float_array& queries, std::size_t k) {
  const auto table = view(train, "features"), wanted = view(queries, "queries");
  const auto labels = labels_of(y);
  std::vector<std::size_t> answer;
  {
    const released_gil release;
    answer = eval::knn_classify(table, labels, classes, wanted, k);
  }
  py::array_t<py::ssize_t> out(static_cast<py::ssize_t>(answer.size()));
  std::copy(answer.begin(), answer.end(), out.mutable_data());
  return out;
}

}  // namespace

void register_eval(py::module_& m) {
  m.def("ridge_fit", &fit, py::arg("features"), py::arg("labels"), py::arg("classes"),
        py::arg("lambdas") = std::vector<double>{},
        "Fits the ridge probe of bit/eval/ridge.hpp; a dict with weights, bias, strength and the tried candidates.");
  m.def("nearest_neighbours", &nearest, py::arg("features"), py::arg("queries"), py::arg("k"),
        "Rows and cosines of the k most similar rows of each query, the most similar first.");
  m.def("knn_classify", &classify, py::arg("features"), py::arg("labels"), py::arg("classes"), py::arg("queries"),
        py::arg("k"), "The majority class of the k most similar rows of each query.");
}
