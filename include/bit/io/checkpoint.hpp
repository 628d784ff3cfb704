// SPDX-License-Identifier: Apache-2.0
// Opening a checkpoint: what it holds is found from its tensors, checked as a whole, and read only when asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/file.hpp>
#include <bit/io/names.hpp>
#include <bit/io/raw_tensor.hpp>
#include <bit/model/config.hpp>
#include <bit/program/parameter.hpp>

namespace bit::inline BIT_ABI::io {

/// How strict open_checkpoint() and recognise() are. The defaults refuse whatever is not exactly one BiT network.
struct open_options {
  read_mode mode = read_mode::map;
  bool allow_extra_tensors = false;  ///< note tensors that are no BiT parameter in `problems` instead of refusing them
  bool allow_name_mismatch = false;  ///< note a file name that contradicts the content instead of refusing it
  bool check_values = false;         ///< read everything at once and refuse NaN and infinite values
};

/// A recognised checkpoint. Copies share the file; `tensors` may be read by several threads at once.
struct checkpoint {
  std::string source;                           ///< path, or the label given to recognise()
  std::string format;                           ///< "npz", "safetensors", or "memory"; the Python package adds its own
  std::uint64_t file_size = 0;                  ///< bytes; 0 for tensors in memory
  naming names = naming::official;              ///< as stored; `tensors` is official whatever this is
  resnet_config config;                         ///< found from the tensors' shapes and `metadata`
  std::vector<named_tensor> tensors;            ///< official names and layout, in the order of tensor_specs(config)
  std::vector<dtype> stored;                    ///< dtype of each of `tensors` in the file
  std::map<std::string, std::string> metadata;  ///< of a safetensors file
  std::vector<std::string> problems;            ///< sentences about what was tolerated, for `pybit inspect`

  /// Number of values in all tensors.
  std::size_t num_parameters() const;
};

/// Opens an npz or safetensors file by its first bytes, reads its headers and recognises the network in it.
/// Thread-safe. Throws io_error if the system refuses the file, format_error if it breaks its format's rules, is no
/// checkpoint, is of a kind that only the Python package reads, holds missing, unexpected or mis-shaped tensors (all
/// listed at once), or contradicts its own name.
BIT_FUNC checkpoint open_checkpoint(const std::filesystem::path& path, const open_options& options = {});

/// The same for tensors that were read elsewhere; `source` is a file name or label, checked like a file's name.
BIT_FUNC checkpoint recognise(std::vector<raw_tensor> tensors, const std::string& source,
                              const open_options& options = {});

/// One tensor as a parameter under its official name and layout. Throws config_error if `stored.name` is no parameter
/// in `names`, its rank fits none of its layouts, or it does not hold floating numbers.
BIT_FUNC named_tensor to_parameter(raw_tensor stored, naming names);

/// Reads all tensors and returns one sentence for each that has NaN or infinite values, or a convolution filter without
/// variance (which weight standardisation turns to zeros).
BIT_FUNC std::vector<std::string> find_bad_values(const checkpoint& from);

/// What shapes cannot tell about a configuration, as metadata for write_safetensors(): groups, eps values, stride.
BIT_FUNC std::map<std::string, std::string> config_metadata(const resnet_config& config);

}  // namespace bit::inline BIT_ABI::io

#if BIT_HEADER_ONLY
#include <bit/io/checkpoint.ipp>
#endif
