// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary layout: "cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz", or
// the folders that they unpack to. Each record is its label bytes and 3072 bytes of red, green and blue planes of 32 x 32.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/dataset.hpp>

namespace bit::inline BIT_ABI::data {

/// Which labels of CIFAR-100 are meant; CIFAR-10 has one kind.
enum class cifar_labels {
  fine,    ///< 100 classes
  coarse,  ///< 20 superclasses
};

/// True if `path` looks like a CIFAR archive or folder in the binary layout, or a folder that holds one.
BIT_FUNC bool is_cifar_binary(const std::filesystem::path& path);

/// Training (50,000) and validation (10,000) images of CIFAR-10 or CIFAR-100, found by the files' names: data_batch_1.bin
/// .. 5 and test_batch.bin, or train.bin and test.bin, with batches.meta.txt or fine_label_names.txt for the class names
/// where they are there. `path` is a .tar or .tar.gz, a folder with the files, or one that holds either. Takes 184 MB.
/// Files with fewer records than the original are read, too. Throws io_error if a file cannot be read, format_error if
/// one is missing, is not a whole number of records or has a label out of range.
BIT_FUNC dataset_split open_cifar_binary(const std::filesystem::path& path, cifar_labels labels = cifar_labels::fine);

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/cifar.ipp>
#endif
