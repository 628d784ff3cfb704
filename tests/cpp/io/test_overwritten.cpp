// SPDX-License-Identifier: Apache-2.0
// A checkpoint file that is overwritten in place while a model that was loaded from it is in use.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <bit/resnet.hpp>
#include <numeric>

#include "fixture.hpp"

namespace {

/// Writes other bytes over a file, as `cp` and `rsync --inplace` do: the same file, mapped as it may be.
void overwrite(const std::filesystem::path& path) {
  const std::string other(std::filesystem::file_size(path), '\x3f');
  const int file = ::open(path.c_str(), O_WRONLY);
  REQUIRE(file >= 0);
  CHECK(::pwrite(file, other.data(), other.size(), 0) == static_cast<ssize_t>(other.size()));
  ::close(file);
}

bit::tensor4<float> ramp(std::size_t side) {
  auto x = bit::tensor4<float>::from_shape({1, 3, side, side});
  std::iota(x.begin(), x.end(), 0.0f);
  for (float& v : x) v = v / static_cast<float>(x.size()) * 2 - 1;
  return x;
}

}  // namespace

TEST_CASE("a model that keeps its values outlives its file, and one that does not says what happened") {
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};
  const auto tensors = bit::random_tensors(config, 1);
  const auto expected = bit::resnet_v2<>(config, 1).freeze();
  const scratch_folder folder;
  bit::io::write_npz(folder / "net.npz", tensors);
  const auto source = bit::load(folder / "net.npz");
  const auto keeping = source.freeze({.keep_values = true}), reading = source.freeze();
  CHECK(keeping(ramp(32)) == expected(ramp(32)));
  CHECK(reading(ramp(32)) == expected(ramp(32)));
  overwrite(folder / "net.npz");
  keeping.release();
  reading.release();
  for (const std::size_t side : {32u, 64u, 96u}) CHECK(keeping(ramp(side)) == expected(ramp(side)));
  CHECK_THROWS_AS(reading(ramp(32)), bit::format_error);
}
