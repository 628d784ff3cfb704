// SPDX-License-Identifier: Apache-2.0
// Images that Python functions read, for data sets whose images are asked for by threads without the GIL.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <bit/data/dataset.hpp>
#include <bit/error.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gil.hpp"
#include "text.hpp"

/// A Python function that returns pixels (H,W,3), uint8, to be called and dropped by any thread.
class python_reader {
 public:
  explicit python_reader(pybind11::object function)
      : function_(new pybind11::object(std::move(function)), [](pybind11::object* f) { with_gil([&] { delete f; }); }) {
  }

  /// function(argument). What it raises becomes io_error if the system refused a file, otherwise format_error: Pillow's
  /// plugins answer damaged files with errors of many kinds. `name` comes first where the message lacks it.
  template <class Argument>
  bit::rgb_image operator()(const Argument& argument, const std::string& name) const {
    bit::rgb_image image;
    with_gil([&] {
      try {
        const auto pixels = (*function_)(argument).template cast<pixel_array>();
        if (pixels.ndim() != 3 || pixels.shape(2) != 3)
          throw bit::format_error("[image] " + name + ": expected pixels of shape (H,W,3)");
        image = bit::rgb_image::from_shape(
            {static_cast<std::size_t>(pixels.shape(0)), static_cast<std::size_t>(pixels.shape(1)), std::size_t{3}});
        std::copy_n(pixels.data(), pixels.size(), image.data());
      } catch (const pybind11::error_already_set& e) {
        if (e.matches(PyExc_MemoryError)) throw bit::memory_error("[image] " + name + ": out of memory");
        std::string text = bytes_of_text(pybind11::str(e.value()));
        if (text.find(name) == std::string::npos) text = "[image] " + name + ": " + text;
        const auto code = pybind11::getattr(e.value(), "errno", pybind11::none());
        if (e.matches(PyExc_OSError) && pybind11::isinstance<pybind11::int_>(code))
          throw bit::io_error(text, code.cast<int>());
        throw bit::format_error(text);
      }
    });
    return image;
  }

 private:
  using pixel_array = pybind11::array_t<std::uint8_t, pybind11::array::c_style | pybind11::array::forcecast>;

  template <class Work>
  static void with_gil(const Work& work) {
    // Python ends this thread also where its functions take the GIL back, which they do while they decode.
    std::optional<pybind11::gil_scoped_acquire> gil;
    take_gil([&] {
      gil.emplace();
      work();
    });
  }

  std::shared_ptr<pybind11::object> function_;  // counted without the GIL, dropped with it
};

/// `read(path)` for the files that bit does not decode; nothing for None.
inline bit::data::image_fallback fallback_of(const pybind11::object& read) {
  if (read.is_none()) return nullptr;
  return [reader = python_reader(read)](const std::filesystem::path& path) { return reader(path, path.string()); };
}

/// Images of any sizes and kinds that Python holds.
class python_dataset final : public bit::data::dataset {
 public:
  python_dataset(pybind11::object read, std::vector<std::size_t> labels, std::vector<std::string> classes,
                 std::vector<std::string> names)
      : read_(std::move(read)), labels_(std::move(labels)), classes_(std::move(classes)), names_(std::move(names)) {
    if (names_.size() != labels_.size())
      throw bit::shape_error("[data] expected as many labels as images, got " + std::to_string(labels_.size()) +
                             " labels and " + std::to_string(names_.size()) + " images");
    for (std::size_t i = 0; i < labels_.size(); ++i)
      if (labels_[i] >= classes_.size())
        throw bit::shape_error("[data] expected labels below the number of classes, " +
                               std::to_string(classes_.size()) + ", got " + std::to_string(labels_[i]) + " for " +
                               names_[i]);
  }
  std::size_t size() const override { return labels_.size(); }
  std::size_t label(std::size_t i) const override { return labels_[i]; }
  const std::vector<std::string>& class_names() const override { return classes_; }
  bit::rgb_image image(std::size_t i) const override { return read_(i, names_[i]); }
  std::array<std::size_t, 2> image_size(std::size_t i) const override {
    const auto image = read_(i, names_[i]);
    return {image.shape(0), image.shape(1)};
  }
  std::string name(std::size_t i) const override { return names_[i]; }

 private:
  python_reader read_;
  std::vector<std::size_t> labels_;
  std::vector<std::string> classes_, names_;
};
