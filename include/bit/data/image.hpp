// Encoded images (JPEG, PNG, BMP, WebP) to 8-bit RGB, equal to Pillow's Image.open(...).convert("RGB") where Pillow's
// conversion loses nothing it need not lose. No colour management: embedded ICC profiles are ignored, as Pillow does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include <bit/config.hpp>
#include <bit/error.hpp>
#include <bit/tensor.hpp>

namespace bit::inline v0::data {

/// Row-major pixels (height,width,3) that someone else owns; made implicitly from an image.
template <class T>
struct pixel_view {
  const T* data = nullptr;
  std::size_t height = 0, width = 0;

  pixel_view(const T* pixels, std::size_t h, std::size_t w) : data(pixels), height(h), width(w) {}
  /// Throws shape_error unless the last dimension is 3.
  pixel_view(const xt::xtensor<T, 3>& image) : data(image.data()), height(image.shape(0)), width(image.shape(1)) {
    if (image.shape(2) != 3)
      throw shape_error("[image] expected shape (height,width,3), got " + std::to_string(image.shape(2)) + " channels");
  }
};

using rgb_view = pixel_view<std::uint8_t>;

/// One float RGB image (h,w,3).
using float_image = xt::xtensor<float, 3>;

enum class image_format { jpeg, png, bmp, webp };

/// "JPEG", "PNG", "BMP" or "WebP".
BIT_FUNC const char* to_string(image_format format);

/// True if this build can decode the format (BIT_HAS_JPEG, BIT_HAS_PNG, BIT_HAS_WEBP; BMP always).
BIT_FUNC bool can_decode(image_format format);

struct decode_options {
  /// Turn the image upright by its EXIF orientation, as PIL.ImageOps.exif_transpose (EXIF only, XMP is not read).
  bool apply_orientation = true;
  /// Larger images are refused before any pixel is allocated. Pillow's limit: twice PIL.Image.MAX_IMAGE_PIXELS.
  std::size_t max_pixels = 178'956'970;
  /// Scans of a progressive JPEG; encoders write about ten, each can cost a pass over the whole image.
  std::size_t max_scans = 100;
};

/// What a file's header says; height and width as stored, before the EXIF orientation (1..8) turns them.
struct image_info {
  image_format format = image_format::jpeg;
  std::size_t height = 0, width = 0;
  int orientation = 1;
  friend bool operator==(const image_info&, const image_info&) = default;
};

/// Decodes one image to (h,w,3), 0..255. Grey is repeated, alpha dropped, palettes looked up, 16-bit samples keep
/// their high byte (Pillow clips 16-bit grey at 255 instead, which turns most of it white), CMYK and YCCK follow Adobe's
/// inverted convention. `name` stands in messages. Throws format_error for anything truncated, damaged, unknown or too
/// large, config_error if this build lacks the decoder. Thread-safe.
BIT_FUNC rgb_image decode(std::span<const std::byte> bytes, const decode_options& options = {},
                          const std::string& name = "image data");

/// Reads and decodes a file, as decode(); throws also io_error if the file cannot be read. Thread-safe.
BIT_FUNC rgb_image read_image(const std::filesystem::path& path, const decode_options& options = {});

/// Format, size and orientation of an encoded image without decoding its pixels. Throws as decode(). Thread-safe.
BIT_FUNC image_info probe(std::span<const std::byte> bytes, const decode_options& options = {},
                          const std::string& name = "image data");

/// probe() of a file.
BIT_FUNC image_info read_image_info(const std::filesystem::path& path, const decode_options& options = {});

}  // namespace bit::inline v0::data

#if BIT_HEADER_ONLY
#include <bit/data/image.ipp>
#endif
