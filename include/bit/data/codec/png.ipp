// SPDX-License-Identifier: Apache-2.0
// PNG through libpng, every colour type, depth and interlacing, to 8-bit RGB. The same setjmp rule as in jpeg.ipp.
#pragma once

#include <bit/data/codec/codec.hpp>
#include <bit/data/codec/png_orientation.hpp>

#if BIT_HAS_PNG
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <png.h>
#endif

namespace bit::inline BIT_ABI::data::detail {

#if BIT_HAS_PNG

struct png_session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::jmp_buf escape;
  const unsigned char* next = nullptr;
  std::size_t left = 0;
  char message[256] = "";

  png_session() = default;
  png_session(const png_session&) = delete;
  png_session& operator=(const png_session&) = delete;
  ~png_session() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] inline void png_on_error(png_structp png, png_const_charp message) {
  auto& session = *static_cast<png_session*>(png_get_error_ptr(png));
  set_message(session.message, "is damaged: ", message);
  std::longjmp(session.escape, 1);
}

/// Warnings concern metadata that is not used here, except for wrong checksums of the header and the palette. Pixels have
/// a checksum of their own behind the compressed data, besides those of their chunks.
inline void png_on_warning(png_structp png, png_const_charp message) {
  const std::string_view text(message);
  const bool needed = text.starts_with("IHDR") || text.starts_with("PLTE");
  if (needed && text.find("CRC error") != text.npos) png_on_error(png, message);
}

inline void png_read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto& session = *static_cast<png_session*>(png_get_io_ptr(png));
  if (count > session.left) png_on_error(png, "the file is truncated");
  std::memcpy(to, session.next, count);
  session.next += count;
  session.left -= count;
}

/// Reads everything before the pixels; false: session.message says why not.
inline bool png_open(png_session& session, const unsigned char* data, std::size_t size) {
  session.next = data;
  session.left = size;
  if (setjmp(session.escape) != 0) return false;
  session.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, &png_on_error, &png_on_warning);
  if (session.png != nullptr) session.info = png_create_info_struct(session.png);
  if (session.info == nullptr) {
    set_message(session.message, "decoder ran out of memory");
    return false;
  }
#ifdef PNG_HANDLE_AS_UNKNOWN_SUPPORTED
  // -1: all but IHDR, PLTE, tRNS, IDAT and IEND are skipped unread. They change no pixel, and libpng would allocate what
  // their headers claim.
  png_set_keep_unknown_chunks(session.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
#endif
  png_set_crc_action(session.png, PNG_CRC_WARN_USE, PNG_CRC_DEFAULT);  // png_on_warning() judges
  png_set_user_limits(session.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_size() judges
  png_set_read_fn(session.png, &session, &png_read_bytes);
  png_read_info(session.png, session.info);
  return true;
}

/// True once the last row of the last pass was read.
inline bool png_has_all_rows(const png_session& session) {
#ifdef PNG_USER_TRANSFORM_INFO_SUPPORTED
  const bool interlaced = png_get_interlace_type(session.png, session.info) != PNG_INTERLACE_NONE;
  return interlaced ? png_get_current_pass_number(session.png) >= 7
                    : png_get_current_row_number(session.png) >= png_get_image_height(session.png, session.info);
#else
  return false;
#endif
}

/// Decodes all rows into (h,w,3) and reads to the end. What is wrong behind the last row is no damage, as in Pillow,
/// unless it is the checksum of the pixels.
inline bool png_read_pixels(png_session& session, unsigned char* out, std::size_t height, std::size_t width) {
  if (setjmp(session.escape) != 0)
    return png_has_all_rows(session) && std::strstr(session.message, "incorrect data check") == nullptr;
  png_set_palette_to_rgb(session.png);
  png_set_expand_gray_1_2_4_to_8(session.png);
  png_set_strip_16(session.png);
  png_set_strip_alpha(session.png);
  png_set_gray_to_rgb(session.png);
  const int passes = png_set_interlace_handling(session.png);
  png_read_update_info(session.png, session.info);
  if (png_get_rowbytes(session.png, session.info) != 3 * width) png_on_error(session.png, "unexpected row size");
  for (int pass = 0; pass < passes; ++pass)
    for (std::size_t y = 0; y < height; ++y) png_read_row(session.png, out + 3 * width * y, nullptr);
  png_read_end(session.png, session.info);
  return true;
}

inline image_info png_header(png_session& session, const encoded_image& input) {
  if (!png_open(session, input.data(), input.bytes.size())) input.fail(image_format::png, session.message);
  const image_info info{image_format::png, png_get_image_height(session.png, session.info),
                        png_get_image_width(session.png, session.info),
                        png_orientation({input.data(), input.bytes.size()})};
  // Deflate makes at most 1032 bytes of one (zlib's technical notes); a byte holds up to eight one-bit pixels.
  const auto bits =
      std::uint64_t{png_get_bit_depth(session.png, session.info)} * png_get_channels(session.png, session.info);
  input.check_size(info, 1032 * 8 / bits);
  return info;
}

BIT_FUNC image_info probe_png(const encoded_image& input) {
  png_session session;
  return png_header(session, input);
}

BIT_FUNC rgb_image decode_png(const encoded_image& input, image_info& info) {
  png_session session;
  info = png_header(session, input);
  rgb_image image = make_image(info);
  if (!png_read_pixels(session, image.data(), info.height, info.width)) input.fail(image_format::png, session.message);
  return image;
}

#else

[[noreturn]] inline void no_png(const encoded_image& input) {
  throw config_error("[image] " + input.name +
                     ": this build cannot decode PNG; install libpng and let CMake find it, or compile with "
                     "-DBIT_HAS_PNG=1 and link with -lpng");
}
BIT_FUNC image_info probe_png(const encoded_image& input) { no_png(input); }
BIT_FUNC rgb_image decode_png(const encoded_image& input, image_info&) { no_png(input); }

#endif

}  // namespace bit::inline BIT_ABI::data::detail
