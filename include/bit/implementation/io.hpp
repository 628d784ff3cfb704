// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: checkpoint files, and what only they use.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/detail/crc32.ipp>
#include <bit/detail/json.ipp>
#include <bit/io/checkpoint.ipp>
#include <bit/io/convert.ipp>
#include <bit/io/file.ipp>
#include <bit/io/head.ipp>
#include <bit/io/metadata.ipp>
#include <bit/io/names.ipp>
#include <bit/io/npy.ipp>
#include <bit/io/npz.ipp>
#include <bit/io/recognise.ipp>
#include <bit/io/safetensors.ipp>
#include <bit/io/sniff.ipp>
#include <bit/io/source_name.ipp>
#include <bit/io/values.ipp>
#include <bit/io/write.ipp>
#include <bit/io/zip.ipp>
#include <bit/io/zip_directory.ipp>
