// SPDX-License-Identifier: Apache-2.0
// Images: decoding, resizing and preprocessing on arrays. Shapes are checked here, everything else in bit/data; the GIL
// is released while pixels are worked on.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <bit/data.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "choose.hpp"
#include "gil.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace data = bit::data;

namespace {

template <class T>
using pixel_array = py::array_t<T, py::array::c_style>;

/// The array over an image's pixels, which it owns from now on.
template <class T>
py::array_t<T> to_array(xt::xtensor<T, 3> image) {
  auto* owned = new xt::xtensor<T, 3>(std::move(image));
  py::capsule owner(owned, [](void* p) { delete static_cast<xt::xtensor<T, 3>*>(p); });
  return py::array_t<T>({owned->shape(0), owned->shape(1), owned->shape(2)}, owned->data(), owner);
}

template <class T>
data::pixel_view<T> view_of(const pixel_array<T>& image) {
  if (image.ndim() != 3 || image.shape(2) != 3)
    throw bit::shape_error("[image] expected an array of shape (height,width,3), got " +
                           py::cast<std::string>(py::str(image.attr("shape"))));
  return {image.data(), static_cast<std::size_t>(image.shape(0)), static_cast<std::size_t>(image.shape(1))};
}

std::span<float> span_of(pixel_array<float>& out) {
  return {out.mutable_data(), static_cast<std::size_t>(out.size())};  // mutable_data refuses read-only arrays
}

data::interpolation parse_interpolation(const std::string& text) {
  return choose<data::interpolation>(
      "image", "interpolation", text,
      {{"bilinear", data::interpolation::bilinear}, {"bicubic", data::interpolation::bicubic}});
}

data::resampling parse_resampling(const std::string& text) {
  return choose<data::resampling>(
      "image", "resampling", text,
      {{"pillow", data::resampling::pillow}, {"pillow12", data::resampling::pillow12}, {"tf", data::resampling::tf}});
}

data::preprocess_spec make_spec(std::size_t height, std::size_t width, const std::string& mode, double crop_pct,
                                const std::string& interpolation, const std::string& resampling,
                                const std::string& layout) {
  data::preprocess_spec spec;
  spec.height = height;
  spec.width = width;
  spec.mode = choose<data::crop_mode>(
      "image", "mode", mode, {{"squash", data::crop_mode::squash}, {"center_crop", data::crop_mode::center_crop}});
  spec.crop_pct = crop_pct;
  spec.filter = parse_interpolation(interpolation);
  spec.method = parse_resampling(resampling);
  spec.order =
      choose<bit::layout>("image", "layout", layout, {{"nchw", bit::layout::nchw}, {"nhwc", bit::layout::nhwc}});
  data::validate(spec);
  return spec;
}

std::span<const std::byte> bytes_of(const py::buffer_info& info) {
  if (info.itemsize != 1 || info.ndim != 1 || info.strides[0] != 1)
    throw bit::shape_error("[image] expected encoded bytes: bytes, bytearray or a contiguous memoryview of them");
  return {static_cast<const std::byte*>(info.ptr), static_cast<std::size_t>(info.size)};
}

py::dict to_dict(const data::image_info& info) {
  using namespace py::literals;
  return py::dict("format"_a = data::to_string(info.format), "height"_a = info.height, "width"_a = info.width,
                  "orientation"_a = info.orientation);
}

/// `max_pixels` is None for the default.
data::decode_options decode_options_of(bool apply_orientation, std::optional<std::size_t> max_pixels) {
  data::decode_options options;
  options.apply_orientation = apply_orientation;
  if (max_pixels) options.max_pixels = *max_pixels;
  return options;
}

void register_decoders(py::module_& m) {
  m.def("default_max_pixels", &data::default_max_pixels);
  m.def("raised_limit", &data::raised_limit, py::arg("pixels"));
  m.def(
      "decode_image",
      [](const py::buffer& encoded, bool apply_orientation, std::optional<std::size_t> max_pixels,
         const std::string& name) {
        const py::buffer_info info = encoded.request();
        const auto bytes = bytes_of(info);
        const auto options = decode_options_of(apply_orientation, max_pixels);
        bit::rgb_image image;
        {
          const released_gil release;
          image = data::decode(bytes, options, name);
        }
        return to_array(std::move(image));
      },
      py::arg("data"), py::arg("apply_orientation"), py::arg("max_pixels"), py::arg("name"));
  m.def(
      "read_image",
      [](const std::filesystem::path& path, bool apply_orientation, std::optional<std::size_t> max_pixels) {
        const auto options = decode_options_of(apply_orientation, max_pixels);
        bit::rgb_image image;
        {
          const released_gil release;
          image = data::read_image(path, options);
        }
        return to_array(std::move(image));
      },
      py::arg("path"), py::arg("apply_orientation"), py::arg("max_pixels"));
  m.def(
      "read_image_info",
      [](const std::filesystem::path& path, std::optional<std::size_t> max_pixels) {
        return to_dict(data::read_image_info(path, decode_options_of(true, max_pixels)));
      },
      py::arg("path"), py::arg("max_pixels"));
  m.def("image_formats", [] {
    py::list names;
    for (auto format :
         {data::image_format::jpeg, data::image_format::png, data::image_format::bmp, data::image_format::webp})
      if (data::can_decode(format)) names.append(data::to_string(format));
    return names;
  });
}

template <class T>
void register_preprocess(py::module_& m) {
  m.def(
      "preprocess_array",
      [](const pixel_array<T>& image, const data::preprocess_spec& spec, pixel_array<float>& out) {
        const auto pixels = view_of(image);
        const auto target = span_of(out);
        const released_gil release;
        data::preprocess(pixels, spec, target);
      },
      py::arg("image").noconvert(), py::arg("spec"), py::arg("out").noconvert());
}

void register_transforms(py::module_& m) {
  py::class_<data::preprocess_spec>(m, "PreprocessSpec")
      .def(py::init(&make_spec), py::kw_only(), py::arg("height"), py::arg("width"), py::arg("mode"),
           py::arg("crop_pct"), py::arg("interpolation"), py::arg("resampling"), py::arg("layout"));
  register_preprocess<std::uint8_t>(m);
  register_preprocess<float>(m);
  m.def(
      "preprocess_file",
      [](const std::filesystem::path& path, std::optional<std::size_t> max_pixels, const data::preprocess_spec& spec,
         pixel_array<float>& out) {
        const auto target = span_of(out);
        const auto options = decode_options_of(true, max_pixels);
        const released_gil release;
        data::preprocess(data::read_image(path, options), spec, target);
      },
      py::arg("path"), py::arg("max_pixels"), py::arg("spec"), py::arg("out").noconvert());
  m.def(
      "resize_image",
      [](const pixel_array<std::uint8_t>& image, std::size_t height, std::size_t width,
         const std::string& interpolation, const std::string& resampling) {
        const auto pixels = view_of(image);
        const auto filter = parse_interpolation(interpolation);
        const auto method = parse_resampling(resampling);
        bit::rgb_image result;
        {
          const released_gil release;
          result = data::resize(pixels, height, width, filter, method);
        }
        return to_array(std::move(result));
      },
      py::arg("image").noconvert(), py::arg("height"), py::arg("width"), py::arg("interpolation"),
      py::arg("resampling"));
  m.def(
      "resize_float_image",
      [](const pixel_array<float>& image, std::size_t height, std::size_t width, const std::string& interpolation,
         const std::string& resampling) {
        const auto pixels = view_of(image);
        const auto filter = parse_interpolation(interpolation);
        const auto method = parse_resampling(resampling);
        data::float_image result;
        {
          const released_gil release;
          result = data::resize(pixels, height, width, filter, method);
        }
        return to_array(std::move(result));
      },
      py::arg("image").noconvert(), py::arg("height"), py::arg("width"), py::arg("interpolation"),
      py::arg("resampling"));
}

}  // namespace

void register_data(py::module_& m) {
  register_decoders(m);
  register_transforms(m);
}
