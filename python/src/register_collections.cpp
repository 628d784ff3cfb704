// SPDX-License-Identifier: Apache-2.0
// Where labelled images come from: folders as the reader of collections understands them, lists, archives, and images
// that Python holds. The GIL is released while files are listed and read.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <bit/data.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "choose.hpp"
#include "dataset_handle.hpp"
#include "gil.hpp"
#include "labels.hpp"
#include "python_reader.hpp"
#include "register.hpp"
#include "text.hpp"

namespace py = pybind11;
namespace data = bit::data;

namespace {

py::tuple pair_of(const data::dataset_split& split) {
  return py::make_tuple(dataset_handle{split.train}, dataset_handle{split.validation});
}

data::class_order order_of(const std::string& text) {
  return choose<data::class_order>("data", "order", text,
                                   {{"natural", data::class_order::natural}, {"lexical", data::class_order::lexical}});
}

data::image_collection collection_of(const std::filesystem::path& folder, const std::string& order,
                                     const std::vector<std::string>& other_suffixes) {
  const data::collection_options options{.order = order_of(order), .other_suffixes = other_suffixes};
  const released_gil release;
  return data::read_collection(folder, options);
}

/// How many images were taken, by split and by class, what was left out with its reason, notes, and the line that sums it
/// up: no object for each image, of which there may be millions.
py::tuple report_of(const data::image_collection& found) {
  py::dict splits, classes;
  const auto count = [](const py::dict& into, const char* name, std::size_t more) {
    const py::str key(name);
    into[key] = (into.contains(key) ? into[key].cast<std::size_t>() : 0) + more;
  };
  for (const auto split :
       {data::split_name::whole, data::split_name::train, data::split_name::validation, data::split_name::test})
    if (const std::size_t images = found.count(split); images > 0) count(splits, data::to_string(split), images);
  std::vector<std::size_t> of_class(found.classes.size());
  for (const data::collected_image& image : found.images)
    if (image.label) ++of_class[*image.label];
  for (std::size_t c = 0; c < of_class.size(); ++c) count(classes, found.classes[c].c_str(), of_class[c]);
  py::list left_out;
  for (const data::left_out_entry& e : found.left_out)
    left_out.append(py::make_tuple(path_text(e.path.string()), data::to_string(e.reason)));
  return py::make_tuple(found.images.size(), splits, classes, left_out, found.notes, found.summary());
}

/// Paths, splits, labels or None, positions in natural order of the paths, class names, and the report.
py::tuple as_tuple(const data::image_collection& found, const std::filesystem::path& folder) {
  py::list paths, splits, labels;
  for (const data::collected_image& image : found.images) {
    paths.append(image.path);
    splits.append(data::to_string(image.split));
    labels.append(image.label ? py::object(py::int_(*image.label)) : py::object(py::none()));
  }
  return py::make_tuple(paths, splits, labels, found.by_path(folder), found.classes, report_of(found));
}

/// `max_pixels` is None for the default.
data::decode_options decode_options_of(std::optional<std::size_t> max_pixels) {
  data::decode_options options;
  if (max_pixels) options.max_pixels = *max_pixels;
  return options;
}

/// The training and the validation set, and the report of the collection that they are of.
py::tuple open_image_folder(const std::filesystem::path& folder, const std::string& order, double validation_fraction,
                            std::uint64_t seed, const std::vector<std::string>& other_suffixes,
                            const py::object& fallback, bool needs_train, std::optional<std::size_t> max_pixels) {
  const data::image_collection found = collection_of(folder, order, other_suffixes);
  const data::split_options options{.order = order_of(order),
                                    .validation_fraction = validation_fraction,
                                    .seed = seed,
                                    .needs_train = needs_train,
                                    .decode = decode_options_of(max_pixels),
                                    .fallback = fallback_of(fallback)};
  const data::dataset_split split = data::open_collection(found, folder, options);
  return py::make_tuple(dataset_handle{split.train}, dataset_handle{split.validation}, report_of(found));
}

dataset_handle open_csv(const std::filesystem::path& list, const std::vector<std::string>& classes,
                        const std::string& path_column, const std::string& label_column, const std::string& separator,
                        const std::string& encoding, const py::object& fallback,
                        std::optional<std::size_t> max_pixels) {
  if (separator.size() > 1)
    throw bit::config_error("[data] expected a separator of one character, got '" + separator + "'");
  const data::csv_options options{.classes = classes,
                                  .path_column = path_column,
                                  .label_column = label_column,
                                  .separator = separator.empty() ? '\0' : separator[0],
                                  .encoding = encoding,
                                  .decode = decode_options_of(max_pixels),
                                  .fallback = fallback_of(fallback)};
  const released_gil release;
  return {data::open_csv(list, options)};
}

py::tuple open_cifar_binary(const std::filesystem::path& path, const std::string& labels) {
  const auto kind = choose<data::cifar_labels>(
      "data", "cifar_labels", labels, {{"fine", data::cifar_labels::fine}, {"coarse", data::cifar_labels::coarse}});
  data::dataset_split split;
  {
    const released_gil release;
    split = data::open_cifar_binary(path, kind);
  }
  return pair_of(split);
}

}  // namespace

void register_collections(py::module_& m) {
  m.def(
      "read_collection",
      [](const std::filesystem::path& folder, const std::string& order,
         const std::vector<std::string>& other_suffixes) {
        return as_tuple(collection_of(folder, order, other_suffixes), folder);
      },
      py::arg("folder"), py::arg("order"), py::arg("other_suffixes"));
  m.def(
      "list_images",
      [](const std::filesystem::path& folder, const std::vector<std::string>& other_suffixes) {
        const released_gil release;
        return data::list_images(folder, {.other_suffixes = other_suffixes});
      },
      py::arg("folder"), py::arg("other_suffixes"));
  m.def("open_image_folder", &open_image_folder, py::arg("folder"), py::arg("order"), py::arg("validation_fraction"),
        py::arg("seed"), py::arg("other_suffixes"), py::arg("fallback"), py::arg("needs_train"), py::arg("max_pixels"));
  m.def("open_csv", &open_csv, py::arg("path"), py::arg("classes"), py::kw_only(), py::arg("path_column"),
        py::arg("label_column"), py::arg("separator"), py::arg("encoding"), py::arg("fallback"), py::arg("max_pixels"));
  m.def("is_cifar_binary", &data::is_cifar_binary, py::arg("path"));
  m.def("open_cifar_binary", &open_cifar_binary, py::arg("path"), py::arg("labels"));
  m.def(
      "open_files",
      [](std::vector<std::filesystem::path> paths, const label_array& labels, std::vector<std::string> classes,
         const py::object& fallback, std::optional<std::size_t> max_pixels) {
        return dataset_handle{std::make_shared<data::file_dataset>(std::move(paths), from_array(labels, "labels"),
                                                                   std::move(classes), decode_options_of(max_pixels),
                                                                   fallback_of(fallback))};
      },
      py::arg("paths"), py::arg("labels"), py::arg("classes"), py::arg("fallback"), py::arg("max_pixels"));
  m.def(
      "open_images",
      [](py::object read, const label_array& labels, std::vector<std::string> classes, std::vector<std::string> names) {
        return dataset_handle{std::make_shared<python_dataset>(std::move(read), from_array(labels, "labels"),
                                                               std::move(classes), std::move(names))};
      },
      py::arg("read"), py::arg("labels"), py::arg("classes"), py::arg("names"));
  m.def(
      "natural_sorted",
      [](std::vector<std::string> names) {
        std::ranges::stable_sort(names, data::natural_less);
        return names;
      },
      py::arg("names"));
}
