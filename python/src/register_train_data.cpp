// SPDX-License-Identifier: Apache-2.0
// Data sets and the training loader. Arrays are checked here, everything else in bit/data and bit/train; the GIL is
// released while files are read and images decoded.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <bit/data.hpp>
#include <bit/train/loader.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "choose.hpp"
#include "dataset_handle.hpp"
#include "gil.hpp"
#include "labels.hpp"
#include "register.hpp"
#include "text.hpp"

namespace py = pybind11;
namespace data = bit::data;
namespace train = bit::train;

namespace {

/// The array over a batch's images, which it owns from now on.
py::array_t<float> images_array(bit::tensor4<float> images) {
  auto* owned = new bit::tensor4<float>(std::move(images));
  py::capsule owner(owned, [](void* p) { delete static_cast<bit::tensor4<float>*>(p); });
  const auto& shape = owned->shape();
  return py::array_t<float>({shape[0], shape[1], shape[2], shape[3]}, owned->data(), owner);
}

std::size_t checked_index(const data::dataset& images, std::int64_t i) {
  if (i < 0 || static_cast<std::size_t>(i) >= images.size())
    throw py::index_error("[data] expected an index below " + std::to_string(images.size()) + ", got " +
                          std::to_string(i));
  return static_cast<std::size_t>(i);
}

py::tuple pair_of(const data::dataset_split& split) {
  return py::make_tuple(dataset_handle{split.train}, dataset_handle{split.validation});
}

dataset_handle dataset_of_array(const py::array_t<std::uint8_t, py::array::c_style>& pixels, const label_array& labels,
                                std::vector<std::string> classes, std::string source) {
  if (pixels.ndim() != 4 || pixels.shape(3) != 3)
    throw bit::shape_error("[data] expected images (n,height,width,3), got " +
                           py::cast<std::string>(py::str(pixels.attr("shape"))));
  return {std::make_shared<data::memory_dataset>(
      std::vector<std::uint8_t>(pixels.data(), pixels.data() + pixels.size()),
      static_cast<std::size_t>(pixels.shape(1)), static_cast<std::size_t>(pixels.shape(2)),
      from_array(labels, "labels"), std::move(classes), std::move(source))};
}

void register_dataset(py::module_& m) {
  py::class_<dataset_handle>(m, "Dataset")
      .def_static("from_array", &dataset_of_array, py::arg("pixels").noconvert(), py::arg("labels"), py::arg("classes"),
                  py::arg("source"))
      .def("__len__", [](const dataset_handle& d) { return d.images->size(); })
      .def_property_readonly("labels", [](const dataset_handle& d) { return to_array(data::labels_of(*d.images)); })
      .def_property_readonly("class_names", [](const dataset_handle& d) { return d.images->class_names(); })
      .def_property_readonly("counts", [](const dataset_handle& d) { return to_array(data::class_counts(*d.images)); })
      .def(
          "image",
          [](const dataset_handle& d, std::int64_t i) {
            const std::size_t index = checked_index(*d.images, i);
            bit::rgb_image image;
            {
              const released_gil release;
              image = d.images->image(index);
            }
            py::array_t<std::uint8_t> array({image.shape(0), image.shape(1), image.shape(2)});
            std::copy_n(image.data(), image.size(), array.mutable_data());
            return array;
          },
          py::arg("index"))
      .def(
          "name",
          [](const dataset_handle& d, std::int64_t i) {
            return path_text(d.images->name(checked_index(*d.images, i)));
          },
          py::arg("index"))
      .def(
          "subset",
          [](const dataset_handle& d, const label_array& chosen) {
            return dataset_handle{std::make_shared<data::subset>(d.images, from_array(chosen, "indices"))};
          },
          py::arg("indices"))
      .def(
          "relabelled",
          [](const dataset_handle& d, const label_array& numbers, std::vector<std::string> classes) {
            return dataset_handle{
                std::make_shared<data::relabelled>(d.images, from_array(numbers, "numbers"), std::move(classes))};
          },
          py::arg("numbers"), py::arg("classes"))
      .def(
          "split",
          [](const dataset_handle& d, double fraction, std::uint64_t seed) {
            return pair_of(data::stratified_split(d.images, fraction, seed));
          },
          py::arg("fraction"), py::arg("seed"))
      .def("typical_size",
           [](const dataset_handle& d) {
             const released_gil release;
             const auto size = data::typical_image_size(*d.images);
             return std::pair(size[0], size[1]);
           })
      .def(
          "check_trainable",
          [](const dataset_handle& d, const std::string& source) { data::check_trainable(*d.images, source); },
          py::arg("source"));
}

data::augment_spec make_augmentation(std::size_t resize, std::size_t crop, const std::string& flip,
                                     const std::string& resampling, const std::string& layout) {
  data::augment_spec spec{.resize = resize, .crop = crop};
  spec.flip = choose<data::flip_mode>(
      "data", "flip", flip,
      {{"random", data::flip_mode::random}, {"always", data::flip_mode::always}, {"never", data::flip_mode::never}});
  spec.method = choose<data::resampling>(
      "data", "resampling", resampling,
      {{"pillow", data::resampling::pillow}, {"pillow12", data::resampling::pillow12}, {"tf", data::resampling::tf}});
  spec.order =
      choose<bit::layout>("data", "layout", layout, {{"nchw", bit::layout::nchw}, {"nhwc", bit::layout::nhwc}});
  return spec;
}

train::sampler make_sampler(std::size_t examples, std::size_t batch_size, std::uint64_t seed, const std::string& order,
                            const std::string& epoch_end) {
  train::sampler_options options;
  options.order = choose<train::sample_order>(
      "data", "order", order,
      {{"shuffled", train::sample_order::shuffled}, {"sequential", train::sample_order::sequential}});
  options.end = choose<train::epoch_end>(
      "data", "epoch_end", epoch_end,
      {{"short_batch", train::epoch_end::short_batch}, {"carry_over", train::epoch_end::carry_over}});
  return {examples, batch_size, seed, options};
}

/// The loader's threads may wait for the GIL, to call what reads an image in Python, while its destructor waits for them.
struct ends_without_gil {
  void operator()(train::batch_loader* loader) const {
    const released_gil release;
    delete loader;
  }
};

void register_loader(py::module_& m) {
  py::class_<train::sampler>(m, "Sampler")
      .def(py::init(&make_sampler), py::kw_only(), py::arg("examples"), py::arg("batch_size"), py::arg("seed"),
           py::arg("order"), py::arg("epoch_end"))
      .def(
          "batch", [](train::sampler& s, std::uint64_t number) { return to_array(s.batch(number)); }, py::arg("number"))
      .def_property_readonly("batches_per_epoch", &train::sampler::batches_per_epoch)
      .def_property_readonly("replaces", &train::sampler::replaces);
  py::class_<data::augment_spec>(m, "Augmentation")
      .def(py::init(&make_augmentation), py::kw_only(), py::arg("resize"), py::arg("crop"), py::arg("flip"),
           py::arg("resampling"), py::arg("layout"));
  py::class_<train::batch_loader, std::unique_ptr<train::batch_loader, ends_without_gil>>(m, "BatchLoader")
      .def(py::init([](const dataset_handle& images, const train::sampler& order, const data::augment_spec& spec,
                       std::uint64_t seed, std::uint64_t first, std::uint64_t last, std::size_t threads,
                       std::size_t prefetch, bool skip_corrupt) {
             const released_gil release;  // a constructor that fails waits for its threads
             return std::unique_ptr<train::batch_loader, ends_without_gil>(new train::batch_loader(
                 images.images, order, spec, seed, first, last,
                 train::batch_loader_options{.threads = threads, .prefetch = prefetch, .skip_corrupt = skip_corrupt}));
           }),
           py::arg("dataset"), py::arg("sampler"), py::arg("augmentation"), py::kw_only(), py::arg("seed"),
           py::arg("first"), py::arg("last"), py::arg("threads"), py::arg("prefetch"), py::arg("skip_corrupt"))
      .def("next",
           [](train::batch_loader& loader) -> py::object {
             std::optional<train::labelled_batch> batch;
             {
               const released_gil release;
               batch = loader.next();
             }
             if (!batch) return py::none();
             return py::make_tuple(batch->number, images_array(std::move(batch->images)), to_array(batch->labels),
                                   to_array(batch->indices));
           })
      .def("stop", &train::batch_loader::stop, py::call_guard<released_gil>())
      .def_property_readonly("waited_seconds", &train::batch_loader::waited_seconds)
      .def_property_readonly("skipped", [](const train::batch_loader& loader) {
        py::list list;
        for (const auto& s : loader.skipped())
          list.append(py::make_tuple(s.batch, s.index, path_text(s.name), message_text(s.reason)));
        return list;
      });
}

}  // namespace

void register_train_data(py::module_& m) {
  register_dataset(m);
  register_loader(m);
}
