// SPDX-License-Identifier: Apache-2.0
// Writing checkpoints: npz and safetensors, under any naming, whole or not at all.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include <bit/config.hpp>
#include <bit/io/names.hpp>
#include <bit/program/parameter.hpp>

namespace bit::inline BIT_ABI::io {

/// Writes parameters (official names and layout) as a NumPy npz archive of stored float32 arrays, with names and axes
/// of `names`; ZIP64 where sizes need it. The file appears by a rename when all is written and synced, so a failure
/// leaves an old file as it was; a symbolic link is followed and an old file's mode kept. Needs memory for twice the
/// largest tensor. Throws io_error, config_error for a name that is no BiT parameter, and what reading the tensors
/// throws.
BIT_FUNC void write_npz(const std::filesystem::path& path, std::span<const named_tensor> tensors,
                        naming names = naming::official);

/// The same as a safetensors file of F32 tensors, with `metadata` (UTF-8) in its header.
BIT_FUNC void write_safetensors(const std::filesystem::path& path, std::span<const named_tensor> tensors,
                                naming names = naming::official,
                                const std::map<std::string, std::string>& metadata = {});

}  // namespace bit::inline BIT_ABI::io

#if BIT_HEADER_ONLY
#include <bit/io/write.ipp>
#endif
