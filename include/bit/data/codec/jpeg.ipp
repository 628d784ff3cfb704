// SPDX-License-Identifier: Apache-2.0
// JPEG through libjpeg-turbo: baseline, progressive, arithmetic; grey, YCbCr, RGB, CMYK, YCCK; 8 bits per sample.
// libjpeg reports errors by longjmp: every call to it stands in a function below that opens with setjmp and holds no
// object with a destructor, so the jump skips none; jpeg_session's destructor frees what libjpeg holds.
#pragma once

#include <bit/data/codec/codec.hpp>
#include <bit/data/codec/exif.hpp>

#if BIT_HAS_JPEG
#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE and size_t declared before it
#include <span>
#include <string_view>
#include <vector>

#include <jpeglib.h>

#include <jerror.h>
#endif

namespace bit::inline BIT_ABI::data::detail {

#if BIT_HAS_JPEG

struct jpeg_session {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr reader{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  int max_scans = 0;

  jpeg_session() = default;
  jpeg_session(const jpeg_session&) = delete;
  jpeg_session& operator=(const jpeg_session&) = delete;
  ~jpeg_session() { jpeg_destroy_decompress(&info); }  // safe also if creation failed: `info` is zeroed
};

inline jpeg_session& jpeg_session_of(j_common_ptr info) { return *static_cast<jpeg_session*>(info->client_data); }

[[noreturn]] inline void jpeg_on_error(j_common_ptr info) {
  jpeg_session& session = jpeg_session_of(info);
  session.errors.format_message(info, session.message);
  std::longjmp(session.escape, 1);
}

[[noreturn]] inline void jpeg_stop(j_decompress_ptr info, const char* message) {
  jpeg_session& session = jpeg_session_of(reinterpret_cast<j_common_ptr>(info));
  set_message(session.message, message);
  std::longjmp(session.escape, 1);
}

/// Warnings are what libjpeg mends as Pillow lets it: a wrong field of a header, bytes too many or too few before a
/// restart marker, a wrong Huffman code. Only data that end before the last pixel are refused, whose rest would be grey.
inline void jpeg_on_message(j_common_ptr common, int level) {
  if (level >= 0 || common->err->msg_code != JWRN_HIT_MARKER) return;
  const auto info = reinterpret_cast<j_decompress_ptr>(common);
  if (info->unread_marker < JPEG_RST0 || info->unread_marker > JPEG_RST0 + 7)
    jpeg_stop(info, "is truncated or damaged: its data end before its last pixel");
}

/// libjpeg then returns "suspended", which is an error only if it needed the bytes.
inline boolean jpeg_at_end(j_decompress_ptr) { return FALSE; }

inline constexpr const char* jpeg_truncated = "is truncated: its end-of-image marker is missing";

inline void jpeg_skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<std::size_t>(count) > info->src->bytes_in_buffer) jpeg_stop(info, jpeg_truncated);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
}

inline void jpeg_count_scans(j_common_ptr common) {
  const auto info = reinterpret_cast<j_decompress_ptr>(common);
  if (info->input_scan_number > jpeg_session_of(common).max_scans)
    jpeg_stop(info, "has more scans than decode_options::max_scans allows");
}

/// Reads the header and chooses the output colours; false: session.message says why not.
inline bool jpeg_open(jpeg_session& session, const unsigned char* data, std::size_t size) {
  session.info.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = &jpeg_on_error;
  session.errors.emit_message = &jpeg_on_message;
  session.info.client_data = &session;
  if (setjmp(session.escape) != 0) return false;
  jpeg_create_decompress(&session.info);
  session.reader.next_input_byte = data;
  session.reader.bytes_in_buffer = size;
  session.reader.init_source = [](j_decompress_ptr) {};
  session.reader.fill_input_buffer = &jpeg_at_end;
  session.reader.skip_input_data = &jpeg_skip;
  session.reader.resync_to_restart = &jpeg_resync_to_restart;
  session.reader.term_source = [](j_decompress_ptr) {};
  session.info.src = &session.reader;
  session.progress.progress_monitor = &jpeg_count_scans;
  session.info.progress = &session.progress;
  jpeg_save_markers(&session.info, JPEG_APP0 + 1, 0xffff);  // EXIF and XMP
  if (jpeg_read_header(&session.info, TRUE) == JPEG_SUSPENDED) jpeg_stop(&session.info, jpeg_truncated);
  session.info.out_color_space = session.info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  return true;
}

/// Decodes all rows; `cmyk_row` holds 4 x width bytes if the file has four components.
inline bool jpeg_read_pixels(jpeg_session& session, unsigned char* out, unsigned char* cmyk_row) {
  if (setjmp(session.escape) != 0) return false;
  jpeg_decompress_struct& info = session.info;
  if (jpeg_start_decompress(&info) == FALSE) jpeg_stop(&info, jpeg_truncated);
  while (info.output_scanline < info.output_height) {
    unsigned char* row = out + std::size_t{3} * info.output_width * info.output_scanline;
    JSAMPROW target = cmyk_row != nullptr ? cmyk_row : row;
    if (jpeg_read_scanlines(&info, &target, 1) == 0) jpeg_stop(&info, jpeg_truncated);
    if (cmyk_row == nullptr) continue;
    // Adobe stores ink inverted, so the samples are paper white minus ink: colour = c * k / 255, rounded as Pillow
    // rounds its two steps (invert, then 255 - k minus the product).
    for (std::size_t x = 0; x < info.output_width; ++x) {
      const int light = cmyk_row[4 * x + 3];
      for (std::size_t c = 0; c < 3; ++c) {
        const int product = (255 - cmyk_row[4 * x + c]) * light + 128;
        row[3 * x + c] = static_cast<unsigned char>(light - ((product >> 8) + product) / 256);
      }
    }
  }
  jpeg_finish_decompress(&info);  // suspended without an end-of-image marker, which no pixel needs any more
  return true;
}

inline image_info jpeg_header(jpeg_session& session, const encoded_image& input) {
  session.max_scans = static_cast<int>(std::min<std::size_t>(input.options.max_scans, 1'000'000));
  if (!jpeg_open(session, input.data(), input.bytes.size())) input.fail(image_format::jpeg, session.message);
  image_info info{image_format::jpeg, session.info.image_height, session.info.image_width, 1};
  std::span<const unsigned char> exif;
  std::string_view xmp;
  using namespace std::string_view_literals;
  constexpr std::string_view exif_name = "Exif\0\0"sv, xmp_name = "http://ns.adobe.com/xap/1.0/\0"sv;
  for (jpeg_saved_marker_ptr m = session.info.marker_list; m != nullptr; m = m->next) {
    const std::string_view data(reinterpret_cast<const char*>(m->data), m->data_length);
    if (exif.empty() && data.starts_with(exif_name)) exif = {m->data, data.size()};
    if (data.starts_with(xmp_name)) xmp = data.substr(xmp_name.size());
  }
  info.orientation = orientation_of(exif, xmp);
  // One bit is the least that a block of 64 pixels costs with Huffman codes; arithmetic codes can cost less.
  input.check_size(info, session.info.arith_code ? std::uint64_t{1} << 20 : 64 * 8);
  return info;
}

BIT_FUNC image_info probe_jpeg(const encoded_image& input) {
  jpeg_session session;
  return jpeg_header(session, input);
}

BIT_FUNC rgb_image decode_jpeg(const encoded_image& input, image_info& info) {
  jpeg_session session;
  info = jpeg_header(session, input);
  rgb_image image = make_image(info);
  std::vector<unsigned char> cmyk_row(session.info.num_components == 4 ? 4 * info.width : 0);
  if (!jpeg_read_pixels(session, image.data(), cmyk_row.empty() ? nullptr : cmyk_row.data()))
    input.fail(image_format::jpeg, session.message);
  return image;
}

#else

[[noreturn]] inline void no_jpeg(const encoded_image& input) {
  throw config_error("[image] " + input.name +
                     ": this build cannot decode JPEG; install libjpeg-turbo and let CMake find it, or compile with "
                     "-DBIT_HAS_JPEG=1 and link with -ljpeg");
}
BIT_FUNC image_info probe_jpeg(const encoded_image& input) { no_jpeg(input); }
BIT_FUNC rgb_image decode_jpeg(const encoded_image& input, image_info&) { no_jpeg(input); }

#endif

}  // namespace bit::inline BIT_ABI::data::detail
