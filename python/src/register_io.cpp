// SPDX-License-Identifier: Apache-2.0
// pybit._core.Checkpoint and the functions that open, recognise, rename and write checkpoints.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <bit/error.hpp>
#include <bit/io.hpp>
#include <cstring>

#include "gil.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace io = bit::io;

namespace {

/// Bytes of a NumPy array, kept alive. The last reference may go away on any thread, so it is dropped under the GIL.
class array_data final : public io::raw_data {
 public:
  explicit array_data(py::array array)
      : bytes_(static_cast<const std::byte*>(array.data()), static_cast<std::size_t>(array.nbytes())),
        read_only_(is_read_only(array)),
        array_(new py::array(std::move(array)), [](py::array* p) {
          const py::gil_scoped_acquire gil;
          delete p;
        }) {}
  void read(std::span<std::byte> out) const override {
    if (!out.empty()) std::memcpy(out.data(), bytes_.data(), out.size());
  }
  std::span<const std::byte> bytes() const override { return bytes_; }
  bool is_snapshot() const override { return read_only_; }

 private:
  /// Whether no array can write the values: neither this one nor those that it is a view of.
  static bool is_read_only(py::object object) {
    for (; py::isinstance<py::array>(object); object = object.attr("base"))
      if (py::cast<py::array>(object).writeable()) return false;
    return true;
  }

  std::span<const std::byte> bytes_;
  bool read_only_;
  std::shared_ptr<py::array> array_;
};

io::dtype dtype_of(const py::dtype& type, const std::string& name) {
  const char kind = type.kind();
  const auto size = type.itemsize();
  if (kind == 'V' && size == 2) return io::dtype::bfloat16;  // ml_dtypes.bfloat16, or two raw bytes
  if (kind == 'b') return io::dtype::boolean;
  if (kind == 'f' && size <= 8)
    return size == 2 ? io::dtype::float16 : size == 4 ? io::dtype::float32 : io::dtype::float64;
  using enum io::dtype;
  if (kind == 'i') return size == 1 ? int8 : size == 2 ? int16 : size == 4 ? int32 : int64;
  if (kind == 'u') return size == 1 ? uint8 : size == 2 ? uint16 : size == 4 ? uint32 : uint64;
  throw bit::format_error("[recognise] " + name + ": expected an array of numbers, got dtype " +
                          py::str(type).cast<std::string>());
}

std::vector<std::size_t> shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

io::raw_tensor raw_tensor_of(const std::string& name, const py::array& given) {
  const py::array array = given.flags() & py::array::c_style
                              ? given
                              : py::module_::import("numpy").attr("ascontiguousarray")(given).cast<py::array>();
  io::raw_tensor raw;
  raw.name = name;
  raw.type = dtype_of(array.dtype(), name);
  raw.shape = shape_of(array);
  raw.big_endian = array.dtype().byteorder() == '>';
  raw.data = std::make_shared<array_data>(array);
  return raw;
}

using named_array = std::pair<std::string, py::array>;

/// Parameters under official names from arrays of any floating type.
std::vector<bit::named_tensor> parameters_of(const std::vector<named_array>& arrays) {
  std::vector<bit::named_tensor> tensors;
  for (const auto& [name, array] : arrays)
    tensors.push_back(io::to_parameter(raw_tensor_of(name, array), io::naming::official));
  return tensors;
}

template <class T>
py::array read_values(const bit::named_tensor& tensor) {
  py::array_t<T> values(std::vector<py::ssize_t>(tensor.shape.begin(), tensor.shape.end()));
  const std::span<T> out(values.mutable_data(), static_cast<std::size_t>(values.size()));
  const released_gil free;
  tensor.data->read(out);
  tensor.data->release();
  return values;
}

py::array read_tensor(const io::checkpoint& c, const std::string& name, const std::string& dtype) {
  if (dtype != "float32" && dtype != "float64")
    throw bit::config_error("[read] expected dtype float32 or float64, got " + dtype);
  for (const auto& tensor : c.tensors)
    if (tensor.name == name) return dtype == "float32" ? read_values<float>(tensor) : read_values<double>(tensor);
  throw py::key_error(name + " is no tensor of " + c.source);
}

py::list list_tensors(const io::checkpoint& c) {
  py::list list;
  for (std::size_t i = 0; i < c.tensors.size(); ++i)
    list.append(py::make_tuple(c.tensors[i].name, py::tuple(py::cast(c.tensors[i].shape)), io::to_string(c.stored[i])));
  return list;
}

io::checkpoint adapt_head(const io::checkpoint& c, const std::string& kind, std::size_t classes, std::uint64_t seed) {
  if (kind == "keep") return c;
  if (kind == "drop") return io::adapt_head(c, io::head::drop());
  if (kind == "zero") return io::adapt_head(c, io::head::zero(classes));
  if (kind == "new") return io::adapt_head(c, io::head::fresh(classes, seed));
  throw bit::config_error("[head] expected keep, zero, new or drop, got " + kind);
}

io::checkpoint with_config(io::checkpoint c, const bit::resnet_config& config) {
  const auto wanted = bit::tensor_specs(config);
  bool same = wanted.size() == c.tensors.size();
  for (std::size_t i = 0; same && i < wanted.size(); ++i)
    same = wanted[i].name == c.tensors[i].name && wanted[i].shape == c.tensors[i].shape;
  if (!same)
    throw bit::config_error("[with_config] expected a configuration with the checkpoint's tensors (" +
                            bit::architecture_name(c.config) + ", " + std::to_string(c.config.num_classes) +
                            " classes), got " + bit::architecture_name(config) + ", " +
                            std::to_string(config.num_classes) + " classes");
  c.config = config;
  return c;
}

io::open_options options_of(const std::string& mode, bool extra, bool mismatch, bool values) {
  if (mode != "map" && mode != "copy") throw bit::config_error("[open] expected mode map or copy, got " + mode);
  return {.mode = mode == "map" ? io::read_mode::map : io::read_mode::copy,
          .allow_extra_tensors = extra,
          .allow_name_mismatch = mismatch,
          .check_values = values};
}

void register_checkpoint(py::module_& m) {
  py::class_<io::checkpoint>(m, "Checkpoint", "A recognised checkpoint; tensors are read only when asked for.")
      .def_readonly("source", &io::checkpoint::source)
      .def_readonly("format", &io::checkpoint::format)
      .def_readonly("file_size", &io::checkpoint::file_size)
      .def_property_readonly("naming", [](const io::checkpoint& c) { return io::to_string(c.names); })
      .def_readonly("config", &io::checkpoint::config)
      .def_readonly("metadata", &io::checkpoint::metadata)
      .def_readonly("problems", &io::checkpoint::problems)
      .def_property_readonly("num_parameters", &io::checkpoint::num_parameters)
      .def_property_readonly("tensors", &list_tensors, "Official name, shape and stored dtype of every tensor.")
      .def("read", &read_tensor, py::arg("name"), py::arg("dtype") = "float32",
           "Values of one tensor in the official layout, as float32 or float64.")
      .def("find_bad_values", &io::find_bad_values, py::call_guard<released_gil>(),
           "Sentences on NaN, infinite values and constant filters; reads everything.")
      .def("adapt_head", &adapt_head, py::arg("kind"), py::arg("num_classes") = 0, py::arg("seed") = 0,
           "The checkpoint with its head kept, dropped, zero or new (seeded random).")
      .def("with_config", &with_config, py::arg("config"),
           "The checkpoint under another output stride, groups or eps values; shapes must stay.")
      .def("__repr__", [](const io::checkpoint& c) {
        return "<Checkpoint " + c.source + ": " + bit::architecture_name(c.config) + ", " +
               std::to_string(c.config.num_classes) + " classes, " + c.format + ", " + io::to_string(c.names) +
               " names>";
      });
}

}  // namespace

void register_io(py::module_& m) {
  register_checkpoint(m);
  m.def(
      "open_checkpoint",
      [](const std::filesystem::path& path, const std::string& mode, bool extra, bool mismatch, bool values) {
        const auto options = options_of(mode, extra, mismatch, values);
        const released_gil free;
        return io::open_checkpoint(path, options);
      },
      py::arg("path"), py::kw_only(), py::arg("mode") = "map", py::arg("allow_extra_tensors") = false,
      py::arg("allow_name_mismatch") = false, py::arg("check_values") = false,
      "Opens an npz or safetensors file and recognises its network. Raises OSError or FormatError.");
  m.def(
      "recognise",
      [](const std::vector<named_array>& arrays, const std::string& source, const std::string& format,
         std::uint64_t file_size, bool extra, bool mismatch, bool values) {
        std::vector<io::raw_tensor> raw;
        for (const auto& [name, array] : arrays) raw.push_back(raw_tensor_of(name, array));
        io::checkpoint found = io::recognise(std::move(raw), source, options_of("map", extra, mismatch, values));
        found.format = format;
        found.file_size = file_size;
        return found;
      },
      py::arg("tensors"), py::arg("source"), py::kw_only(), py::arg("format") = "memory", py::arg("file_size") = 0,
      py::arg("allow_extra_tensors") = false, py::arg("allow_name_mismatch") = false, py::arg("check_values") = false,
      "The same for (name, array) pairs read elsewhere. C-contiguous arrays are kept and not copied.");
  const auto write = [](const std::filesystem::path& path, const std::vector<bit::named_tensor>& tensors,
                        const std::string& names, const std::map<std::string, std::string>& metadata, bool npz) {
    const auto naming = io::naming_from_string(names);
    const released_gil free;
    if (npz) return io::write_npz(path, tensors, naming);
    io::write_safetensors(path, tensors, naming, metadata);
  };
  m.def(
      "write_npz",
      [write](const std::filesystem::path& path, const io::checkpoint& c, const std::string& names) {
        write(path, c.tensors, names, {}, true);
      },
      py::arg("path"), py::arg("tensors"), py::arg("names") = "official", "Writes a stored npz file atomically.");
  m.def(
      "write_npz",
      [write](const std::filesystem::path& path, const std::vector<named_array>& arrays, const std::string& names) {
        write(path, parameters_of(arrays), names, {}, true);
      },
      py::arg("path"), py::arg("tensors"), py::arg("names") = "official");
  m.def(
      "write_safetensors",
      [write](const std::filesystem::path& path, const io::checkpoint& c, const std::string& names,
              const std::map<std::string, std::string>& metadata) { write(path, c.tensors, names, metadata, false); },
      py::arg("path"), py::arg("tensors"), py::arg("names") = "official",
      py::arg("metadata") = std::map<std::string, std::string>{}, "Writes a safetensors file atomically.");
  m.def(
      "write_safetensors",
      [write](const std::filesystem::path& path, const std::vector<named_array>& arrays, const std::string& names,
              const std::map<std::string, std::string>& metadata) {
        write(path, parameters_of(arrays), names, metadata, false);
      },
      py::arg("path"), py::arg("tensors"), py::arg("names") = "official",
      py::arg("metadata") = std::map<std::string, std::string>{});
  m.def("config_metadata", &io::config_metadata, py::arg("config"),
        "What shapes cannot tell about a configuration, as metadata for write_safetensors.");
  m.def(
      "official_name",
      [](const std::string& name, const std::string& names) {
        return io::official_name(name, io::naming_from_string(names));
      },
      py::arg("name"), py::arg("names"), "Official name of a parameter, or None.");
  m.def(
      "name_in",
      [](const std::string& official, const std::string& names) {
        return io::name_in(io::naming_from_string(names), official);
      },
      py::arg("official"), py::arg("names"), "Name of an official parameter under another naming.");
  m.def(
      "axes_in",
      [](const std::string& official, std::size_t rank, const std::string& names) {
        return py::tuple(py::cast(io::axes_in(io::naming_from_string(names), official, rank)));
      },
      py::arg("official"), py::arg("rank"), py::arg("names"),
      "Axes of an official parameter in the order of another naming; axes of size 1 that are not named drop out.");
}
