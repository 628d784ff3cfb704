// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: image files to the network's input.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/data/codec/bmp.ipp>
#include <bit/data/codec/exif.ipp>
#include <bit/data/codec/jpeg.ipp>
#include <bit/data/codec/png.ipp>
#include <bit/data/codec/png_orientation.ipp>
#include <bit/data/codec/webp.ipp>
#include <bit/data/decode_options.ipp>
#include <bit/data/image.ipp>
#include <bit/data/preprocess.ipp>
#include <bit/data/resize.ipp>
