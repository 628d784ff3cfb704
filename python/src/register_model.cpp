// pybit._core.Network: a frozen model of any policy behind one class; and what tells about the build.
#include <omp.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <bit/io.hpp>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>
#include <chrono>

#include "register.hpp"

namespace py = pybind11;

namespace {

/// Threads of calls that name none; 0 lets the library decide. The one setting that Python keeps for the process.
std::atomic<std::size_t> default_threads{0};

/// Asks Python for signals (Ctrl-C) at most twenty times a second: taking the GIL between all steps would make a call
/// wait for other threads' bytecode.
class signal_check {
 public:
  bool operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    const py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

bit::layout layout_of(const std::string& name) {
  if (name == "nchw") return bit::layout::nchw;
  if (name == "nhwc") return bit::layout::nhwc;
  throw bit::config_error("[layout] expected \"nchw\" or \"nhwc\", got \"" + name + "\"");
}

/// What all policies' models offer to Python.
class any_network {
 public:
  virtual ~any_network() = default;
  virtual const bit::network& network() const = 0;
  virtual std::string dtype() const = 0;
  virtual std::string backend() const = 0;
  virtual py::dict run(const py::array& x, bit::layout order, const std::vector<std::string>& outputs,
                       std::size_t threads) const = 0;
  virtual py::array head(const py::array& features, bit::layout order, bool pre_logits, std::size_t threads) const = 0;
  virtual py::list tensors() const = 0;
  virtual py::dict memory_plan(const bit::dims4& images, std::size_t threads) const = 0;
};

/// Logical size and strides of a 4-D array of T, read where it lies.
template <class T>
bit::image_view<T> view_of(const py::array& x, bit::layout order, const char* what) {
  if (x.ndim() != 4)
    throw bit::shape_error("[" + std::string(what) + "] expected a 4-D array " +
                           (order == bit::layout::nchw ? "(N,C,H,W)" : "(N,H,W,C)") + ", got " +
                           std::to_string(x.ndim()) + " dimensions");
  if (!py::isinstance<py::array_t<T>>(x))
    throw bit::shape_error("[" + std::string(what) + "] expected dtype " +
                           py::str(py::dtype::of<T>()).template cast<std::string>() + ", got " +
                           py::str(x.dtype()).cast<std::string>());
  const int c = order == bit::layout::nchw ? 1 : 3, h = order == bit::layout::nchw ? 2 : 1, w = h + 1;
  const auto size = [&](int axis) { return static_cast<std::size_t>(x.shape(axis)); };
  const auto stride = [&](int axis) { return x.strides(axis) / static_cast<py::ssize_t>(sizeof(T)); };
  for (int axis = 0; axis < 4; ++axis)
    if (x.strides(axis) % static_cast<py::ssize_t>(sizeof(T)) != 0)
      throw bit::shape_error("[" + std::string(what) + "] expected aligned strides; pass a contiguous copy");
  return {static_cast<const T*>(x.data()),
          {size(0), size(c), size(h), size(w)},
          stride(0),
          stride(c),
          stride(h),
          stride(w)};
}

template <bit::backend Backend>
class network_of final : public any_network {
 public:
  using T = typename Backend::value_type;

  network_of(bit::network net, std::string backend)
      : model_([&] {
          const py::gil_scoped_release release;
          return bit::frozen_resnet_v2<Backend>(std::move(net));
        }()),
        backend_(std::move(backend)) {}

  const bit::network& network() const override { return model_.network(); }
  std::string dtype() const override { return py::str(py::dtype::of<T>()); }
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
    call(threads, order, [&](const bit::run_options& options) { model_.run(images, outputs, pointers, options); });
    return results;
  }

  py::array head(const py::array& features, bit::layout order, bool pre_logits, std::size_t threads) const override {
    const auto view = view_of<T>(features, order, "head");
    const auto& config = model_.config();
    const bool stop = pre_logits || config.num_classes == 0;
    py::array_t<T> y({view.dims.n, stop ? config.num_features() : config.num_classes});
    T* out = y.mutable_data();
    call(threads, order, [&](const bit::run_options& options) { model_.run_head(view, stop, out, options); });
    return y;
  }

  py::list tensors() const override {
    py::list all;
    for (const bit::named_tensor& t : model_.network().parameters()) {
      py::array_t<T> values(t.shape);
      const std::span<T> out(values.mutable_data(), static_cast<std::size_t>(values.size()));
      {
        const py::gil_scoped_release release;
        t.data->read(out);
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

 private:
  template <class Work>
  static void call(std::size_t threads, bit::layout order, Work work) {
    signal_check check;
    bit::run_options options;
    options.threads = threads > 0 ? threads : default_threads.load();
    options.output_layout = order;
    options.interrupted = std::ref(check);
    try {
      const py::gil_scoped_release release;
      work(options);
    } catch (const bit::interrupted_error&) {
      throw py::error_already_set();  // PyErr_CheckSignals has set it
    }
  }

  bit::frozen_resnet_v2<Backend> model_;
  std::string backend_;
};

using network_pointer = std::shared_ptr<const any_network>;

network_pointer make_network(bit::network net, const std::string& dtype, const std::string& backend) {
  if (dtype == "float32" && (backend == "auto" || backend == "cpu"))
    return std::make_shared<network_of<bit::cpu<float>>>(std::move(net), "cpu");
  if (dtype == "float32" && backend == "reference")
    return std::make_shared<network_of<bit::reference<float>>>(std::move(net), "reference");
  if (dtype == "float64" && (backend == "auto" || backend == "reference"))
    return std::make_shared<network_of<bit::reference<double>>>(std::move(net), "reference");
  throw bit::config_error(
      "[network] expected dtype \"float32\" (backend \"cpu\" or \"reference\") or \"float64\" "
      "(backend \"reference\"), got dtype \"" +
      dtype + "\", backend \"" + backend + "\"");
}

py::dict build_info() {
  py::dict info;
  info["version"] = BIT_VERSION;
#if defined(__clang__)
  info["compiler"] = "clang " __clang_version__;
#else
  info["compiler"] = "gcc " __VERSION__;
#endif
#ifdef NDEBUG
  info["optimised"] = true;
#else
  info["optimised"] = false;
#endif
  info["isa"] = bit::detail::default_kernels().name;
  info["isas"] = bit::available_isas();
  info["openmp"] = _OPENMP;
  info["threads"] = bit::cpu<float>::threads(default_threads.load());
  py::dict libraries;
  libraries["zlib"] = BIT_HAS_ZLIB != 0;
  libraries["jpeg"] = BIT_HAS_JPEG != 0;
  libraries["png"] = BIT_HAS_PNG != 0;
  libraries["webp"] = BIT_HAS_WEBP != 0;
  info["libraries"] = libraries;
  return info;
}

}  // namespace

void register_model(py::module_& m) {
  py::class_<any_network, std::shared_ptr<any_network>>(
      m, "Network", "A frozen model: immutable, usable by many threads at once; calls release the GIL.")
      .def_static(
          "random",
          [](const bit::resnet_config& config, const std::string& dtype, std::uint64_t seed,
             const std::string& backend) {
            return std::const_pointer_cast<any_network>(
                make_network({config, bit::random_tensors(config, seed)}, dtype, backend));
          },
          py::arg("config"), py::arg("dtype") = "float32", py::arg("seed") = 0, py::arg("backend") = "auto",
          "Seeded random parameters: the same values on every machine.")
      .def_static(
          "from_checkpoint",
          [](const bit::io::checkpoint& checkpoint, const std::string& dtype,
             const std::optional<bit::resnet_config>& config, const std::string& backend) {
            return std::const_pointer_cast<any_network>(
                make_network({config.value_or(checkpoint.config), checkpoint.tensors}, dtype, backend));
          },
          py::arg("checkpoint"), py::arg("dtype") = "float32", py::arg("config") = py::none(),
          py::arg("backend") = "auto",
          "The network in a checkpoint; `config` may change what shapes do not fix (output_stride, eps).")
      .def_property_readonly("config", [](const any_network& net) { return net.network().config(); })
      .def_property_readonly("dtype", &any_network::dtype)
      .def_property_readonly("backend", &any_network::backend)
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
      .def("tensors", &any_network::tensors, "(official name, array in the official layout) of every parameter.")
      .def(
          "summary",
          [](const any_network& net, std::size_t n, std::size_t h, std::size_t w) {
            return summary_of(net.network(), n, h, w, net.dtype() == "float64" ? sizeof(double) : sizeof(float));
          },
          py::arg("n"), py::arg("h"), py::arg("w"), "One dict per step.")
      .def(
          "memory_plan",
          [](const any_network& net, std::size_t n, std::size_t h, std::size_t w, std::size_t threads) {
            return net.memory_plan({n, net.network().config().in_channels, h, w}, threads);
          },
          py::arg("n"), py::arg("h"), py::arg("w"), py::arg("threads") = 0,
          "Bytes of weights, arena and workspace, and where every value lies.");

  m.def(
      "set_num_threads", [](std::size_t n) { default_threads = n; }, py::arg("n"),
      "Threads of calls that name none; 0 restores the library's own choice.");
  m.def("get_num_threads", [] { return bit::cpu<float>::threads(default_threads.load()); });
  m.def(
      "after_fork", [] { omp_set_num_threads(1); },
      "To be called in a forked child: Eigen's products (probes) use one thread there, as networks do by themselves.");
  m.def("build_info", &build_info);
}
