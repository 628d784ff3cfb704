// SPDX-License-Identifier: Apache-2.0
// Batches of preprocessed images from a list of files, decoded ahead by threads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/image.hpp>
#include <bit/data/ordered_tasks.hpp>
#include <bit/data/preprocess.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data {

struct loader_options {
  std::size_t batch_size = 32;
  std::size_t threads = 0;    ///< that decode; 0: as many as the machine has processors, at most 8
  std::size_t prefetch = 2;   ///< batches that may be ready or in work beyond the one handed out; at least 1
  bool skip_corrupt = false;  ///< leave out files that cannot be read or decoded and list them in skipped()
  decode_options decode = {};
};

/// Some preprocessed images and which of the files they are.
struct image_batch {
  tensor4<float> images;             ///< in the layout of the spec
  std::vector<std::size_t> indices;  ///< position of each image's file in the list, increasing
};

/// A file that was left out.
struct skipped_image {
  std::size_t index;
  std::filesystem::path path;
  std::string reason;
};

/// Walks a list of image files once, in order. The result does not depend on the number of threads. Memory: at most
/// (prefetch + 1) x batch_size preprocessed images, besides those in decoding. Calls of next() and skipped() must come
/// from one thread at a time; the destructor joins the threads.
class image_loader {
 public:
  /// Starts the threads. Throws config_error for an impossible spec or a batch_size or prefetch of zero.
  BIT_FUNC image_loader(std::vector<std::filesystem::path> paths, const preprocess_spec& spec,
                        const loader_options& options = {});
  image_loader(const image_loader&) = delete;
  image_loader& operator=(const image_loader&) = delete;

  /// The next batch, full but for the last one; nothing at the end. Without skip_corrupt a file that fails throws what
  /// read_image threw when its turn comes, and the walk is over.
  BIT_FUNC std::optional<image_batch> next();

  /// Files left out so far, in order; only with skip_corrupt.
  const std::vector<skipped_image>& skipped() const { return skipped_; }
  /// Number of files in the list.
  std::size_t size() const { return paths_.size(); }

 private:
  BIT_FUNC void fill();

  const std::vector<std::filesystem::path> paths_;
  const preprocess_spec spec_;
  const loader_options options_;
  std::vector<skipped_image> skipped_;
  std::optional<detail::ordered_tasks> tasks_;  // its threads read what stands above
};

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/loader.ipp>
#endif
