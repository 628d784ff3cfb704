// SPDX-License-Identifier: Apache-2.0
// pybit._core.Network: a frozen model of any backend behind one class.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit/io.hpp>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>
#include <type_traits>

#include "calls.hpp"
#include "gil.hpp"
#include "gradients.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace {

/// What all backends' models offer to Python.
class any_network {
 public:
  virtual ~any_network() = default;
  virtual const bit::network& network() const = 0;
  /// Dtype of products: "float32", "float64", "bfloat16".
  virtual std::string dtype() const = 0;
  /// Dtype of images and results at the door.
  virtual std::string array_dtype() const = 0;
  virtual bit::algorithm algorithm() const = 0;
  virtual std::string backend() const = 0;
  virtual py::dict run(const py::array& x, bit::layout order, const std::vector<std::string>& outputs,
                       std::size_t threads) const = 0;
  virtual py::array head(const py::array& features, bit::layout order, bool pre_logits, std::size_t threads) const = 0;
  virtual py::tuple gradients(const py::array& x, bit::layout order, const py::array_t<double>& targets,
                              std::size_t threads) const = 0;
  virtual py::list tensors() const = 0;
  virtual py::dict memory_plan(const bit::dims4& images, std::size_t threads) const = 0;
  virtual std::size_t throughput_batch(const bit::dims4& image, std::size_t max_bytes) const = 0;
  virtual py::list report(const bit::dims4& images) const = 0;
  virtual py::list profile(const py::array& x, bit::layout order, std::size_t runs, std::size_t threads) const = 0;
};

template <bit::backend Backend>
class network_of final : public any_network {
 public:
  using T = typename Backend::value_type;

  network_of(bit::network net, const std::string& algorithm, std::string dtype, std::string backend)
      : model_([&] {
          const bit::freeze_options options{.algorithm = bit::algorithm_of(algorithm)};
          const released_gil release;
          return bit::frozen_resnet_v2<Backend>(std::move(net), options);
        }()),
        dtype_(std::move(dtype)),
        backend_(std::move(backend)) {}

  const bit::network& network() const override { return model_.network(); }
  std::string dtype() const override { return dtype_; }
  std::string array_dtype() const override { return py::str(py::dtype::of<T>()); }
  bit::algorithm algorithm() const override { return model_.options().algorithm; }
  std::string backend() const override { return backend_; }

  py::dict run(const py::array& x, bit::layout order, const std::vector<std::string>& outputs,
               std::size_t threads) const override {
    const auto images = view_of<T>(x, order, "network");
    py::dict results;
    std::vector<T*> pointers;
    for (const std::string& name : outputs) {
      const bit::dims4 d = model_.output_dims(name, images.dims);
      const bool table = name == "pooled" || name == "logits";
      py::array_t<T> y(table                        ? std::vector<std::size_t>{d.n, d.c}
                       : order == bit::layout::nchw ? std::vector<std::size_t>{d.n, d.c, d.h, d.w}
                                                    : std::vector<std::size_t>{d.n, d.h, d.w, d.c});
      pointers.push_back(y.mutable_data());
      results[py::str(name)] = y;
    }
    call_interruptibly(threads, order,
                       [&](const bit::run_options& options) { model_.run(images, outputs, pointers, options); });
    return results;
  }

  py::array head(const py::array& features, bit::layout order, bool pre_logits, std::size_t threads) const override {
    const auto view = view_of<T>(features, order, "head");
    const auto& config = model_.config();
    const bool stop = pre_logits || config.num_classes == 0;
    py::array_t<T> y({view.dims.n, stop ? config.num_features() : config.num_classes});
    T* out = y.mutable_data();
    call_interruptibly(threads, order,
                       [&](const bit::run_options& options) { model_.run_head(view, stop, out, options); });
    return y;
  }

  py::tuple gradients(const py::array& x, bit::layout order, const py::array_t<double>& targets,
                      std::size_t threads) const override {
    const auto images = view_of<T>(x, order, "gradients");
    const auto rows = py::array_t<double, py::array::c_style>::ensure(targets);
    std::optional<batch_gradients<Backend>> result;
    call_interruptibly(threads, order, [&](const bit::run_options& options) {
      result.emplace(model_.network(), images, std::span(rows.data(), static_cast<std::size_t>(rows.size())), options);
    });
    return py::make_tuple(result->loss, result->list());
  }

  py::list tensors() const override {
    py::list all;
    for (const bit::named_tensor& t : model_.network().parameters()) {
      py::array_t<T> values(t.shape);
      const std::span<T> out(values.mutable_data(), static_cast<std::size_t>(values.size()));
      {
        const released_gil release;
        t.data->read(out);
        t.data->release();  // mapped pages of the file
      }
      all.append(py::make_tuple(t.name, values));
    }
    return all;
  }

  py::dict memory_plan(const bit::dims4& images, std::size_t threads) const override {
    const std::string output = last_output(model_.config());
    const bit::program p = model_.network().emit(images, {&output, 1});
    const bit::memory_plan plan = model_.plan(images);
    py::list values;
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      if (plan.bytes[v] == 0) continue;
      py::dict row;
      row["name"] = p.values[v].name;
      row["bytes"] = plan.bytes[v];
      row["offset"] = plan.offsets[v];
      row["first_step"] = plan.ranges[v].first;
      row["last_step"] = plan.ranges[v].last;
      values.append(row);
    }
    py::dict result;
    result["weights_bytes"] = model_.parameter_bytes();
    result["arena_bytes"] = plan.total;
    result["workspace_bytes"] = model_.workspace_bytes(images, threads);
    result["values"] = values;
    return result;
  }

  std::size_t throughput_batch(const bit::dims4& image, std::size_t max_bytes) const override {
    return model_.throughput_batch(image, max_bytes);
  }

  py::list report(const bit::dims4& images) const override { return rows_of(model_.report(images)); }

  py::list profile(const py::array& x, bit::layout order, std::size_t runs, std::size_t threads) const override {
    const auto images = view_of<T>(x, order, "network");
    std::vector<bit::step_profile> rows;
    call_interruptibly(threads, order,
                       [&](const bit::run_options& options) { rows = model_.profile(images, runs, options); });
    return rows_of(rows);
  }

 private:
  bit::frozen_resnet_v2<Backend> model_;
  std::string dtype_, backend_;
};

using network_pointer = std::shared_ptr<const any_network>;

/// How a model is frozen, as Python names it.
struct freezing {
  std::string dtype, backend, algorithm;
};

network_pointer make_network(bit::network net, const freezing& how) {
  const auto make = [&]<class Backend>(std::type_identity<Backend>, const char* backend) -> network_pointer {
    if (backend == std::string("reference") && how.algorithm != "auto" && how.algorithm != "direct")
      throw bit::config_error(
          "[network] the reference backend has direct products only: expected algorithm \"auto\" or \"direct\", got "
          "\"" +
          how.algorithm + "\"");
    return std::make_shared<network_of<Backend>>(std::move(net), how.algorithm, how.dtype, backend);
  };
  const bool cpu = how.backend == "auto" || how.backend == "cpu";
  const bool reference = how.backend == "reference";
  if (how.dtype == "float32" && cpu) return make(std::type_identity<bit::cpu<float>>{}, "cpu");
  if (how.dtype == "bfloat16" && cpu) return make(std::type_identity<bit::cpu<bit::bfloat16>>{}, "cpu");
  if (how.dtype == "float32" && reference) return make(std::type_identity<bit::reference<float>>{}, "reference");
  if (how.dtype == "float64" && (reference || how.backend == "auto"))
    return make(std::type_identity<bit::reference<double>>{}, "reference");
  throw bit::config_error(
      "[network] expected dtype \"float32\" (backend \"cpu\" or \"reference\"), \"bfloat16\" (backend \"cpu\") or "
      "\"float64\" (backend \"reference\"), got dtype \"" +
      how.dtype + "\", backend \"" + how.backend + "\"");
}

}  // namespace

void register_model(py::module_& m) {
  py::class_<any_network, std::shared_ptr<any_network>>(
      m, "Network", "A frozen model: immutable, usable by many threads at once; calls release the GIL.")
      .def_static(
          "random",
          [](const bit::resnet_config& config, const std::string& dtype, std::uint64_t seed, const std::string& backend,
             const std::string& algorithm) {
            return std::const_pointer_cast<any_network>(
                make_network({config, bit::random_tensors(config, seed)}, {dtype, backend, algorithm}));
          },
          py::arg("config"), py::arg("dtype") = "float32", py::arg("seed") = 0, py::arg("backend") = "auto",
          py::arg("algorithm") = "auto", "Seeded random parameters: the same values on every machine.")
      .def_static(
          "from_checkpoint",
          [](const bit::io::checkpoint& checkpoint, const std::string& dtype,
             const std::optional<bit::resnet_config>& config, const std::string& backend,
             const std::string& algorithm) {
            return std::const_pointer_cast<any_network>(
                make_network({config.value_or(checkpoint.config), checkpoint.tensors}, {dtype, backend, algorithm}));
          },
          py::arg("checkpoint"), py::arg("dtype") = "float32", py::arg("config") = py::none(),
          py::arg("backend") = "auto", py::arg("algorithm") = "auto",
          "The network in a checkpoint; `config` may change what shapes do not fix (output_stride, eps).")
      .def_property_readonly("config", [](const any_network& net) { return net.network().config(); })
      .def_property_readonly("dtype", &any_network::dtype)
      .def_property_readonly("array_dtype", &any_network::array_dtype, "Dtype of images and results.")
      .def_property_readonly("backend", &any_network::backend)
      .def_property_readonly("algorithm",
                             [](const any_network& net) { return std::string(bit::name_of(net.algorithm())); })
      .def("output_names", [](const any_network& net) { return net.network().output_names(); })
      .def(
          "run",
          [](const any_network& net, const py::array& x, const std::string& order,
             const std::vector<std::string>& outputs,
             std::size_t threads) { return net.run(x, layout_of(order), outputs, threads); },
          py::arg("x"), py::arg("layout"), py::arg("outputs"), py::arg("threads") = 0,
          "Named outputs for a batch of images; maps come back in the images' layout, tables as (N,C).")
      .def(
          "head",
          [](const any_network& net, const py::array& features, const std::string& order, bool pre_logits,
             std::size_t threads) { return net.head(features, layout_of(order), pre_logits, threads); },
          py::arg("features"), py::arg("layout"), py::arg("pre_logits"), py::arg("threads") = 0,
          "Mean over rows and columns, then the classifier unless pre_logits.")
      .def(
          "gradients",
          [](const any_network& net, const py::array& x, const std::string& order, const py::array_t<double>& targets,
             std::size_t threads) { return net.gradients(x, layout_of(order), targets, threads); },
          py::arg("x"), py::arg("layout"), py::arg("targets"), py::arg("threads") = 0,
          "Mean softmax cross-entropy of probabilities (N,classes), and the gradients as `tensors` lists parameters.")
      .def(
          "checkpoint",
          [](const any_network& net) {
            bit::io::checkpoint own;
            own.source = "model";
            own.format = "memory";
            own.config = net.network().config();
            own.tensors = net.network().parameters();
            own.stored.assign(own.tensors.size(), bit::io::dtype::float32);
            return own;
          },
          "The parameters as a checkpoint, without a copy: they are read from where the network has read them.")
      .def("tensors", &any_network::tensors, "(official name, array in the official layout) of every parameter.")
      .def(
          "summary",
          [](const any_network& net, std::size_t n, std::size_t h, std::size_t w) {
            return summary_of(net.network(), n, h, w, net.array_dtype() == "float64" ? sizeof(double) : sizeof(float));
          },
          py::arg("n"), py::arg("h"), py::arg("w"), "One dict per step.")
      .def(
          "memory_plan",
          [](const any_network& net, std::size_t n, std::size_t h, std::size_t w, std::size_t threads) {
            return net.memory_plan({n, net.network().config().in_channels, h, w}, threads);
          },
          py::arg("n"), py::arg("h"), py::arg("w"), py::arg("threads") = 0,
          "Bytes of weights, arena and workspace, and where every value lies.")
      .def(
          "throughput_batch",
          [](const any_network& net, std::size_t h, std::size_t w, std::size_t max_bytes) {
            return net.throughput_batch({1, net.network().config().in_channels, h, w}, max_bytes);
          },
          py::arg("h"), py::arg("w"), py::arg("max_bytes") = std::size_t{512} << 20,
          "Images per call that serve many images of this size best, by the cost model; maps within max_bytes.")
      .def(
          "report",
          [](const any_network& net, std::size_t n, std::size_t h, std::size_t w) {
            return net.report({n, net.network().config().in_channels, h, w});
          },
          py::arg("n"), py::arg("h"), py::arg("w"), "One dict per step: what it is, its algorithm and bytes.")
      .def(
          "profile",
          [](const any_network& net, const py::array& x, const std::string& order, std::size_t runs,
             std::size_t threads) { return net.profile(x, layout_of(order), runs, threads); },
          py::arg("x"), py::arg("layout"), py::arg("runs"), py::arg("threads") = 0,
          "The same with min_seconds and median_seconds of `runs` runs.");
}
