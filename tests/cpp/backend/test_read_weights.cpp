// SPDX-License-Identifier: Apache-2.0
// Reading tensors in parts by all threads: every piece sees every value, and what goes wrong is told.
#include <doctest/doctest.h>
#include <atomic>
#include <bit/backend/cpu/read_weights.hpp>
#include <bit/error.hpp>
#include <mutex>

#include "random_data.hpp"

namespace {

/// Values i, i + 1, ... whose parts' checksums are their first values; optionally damaged.
class counted_values final : public bit::tensor_data {
 public:
  counted_values(std::size_t start, std::size_t size, bool parts) : start_(start), size_(size), parts_(parts) {}

  void read(std::span<float> out) const override { fill(0, out); }
  void read(std::span<double>) const override {}
  bool has_parts() const override { return parts_; }
  std::uint32_t read_part(std::size_t first, std::span<float> out) const override {
    fill(first, out);
    if (fail_at <= first) throw bit::io_error("the disk is gone", 5);
    return static_cast<std::uint32_t>(start_ + first);
  }
  void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const override {
    for (std::size_t i = 0; i < checksums.size(); ++i)
      if (checksums[i] != start_ + i * part) throw bit::format_error("parts out of order");
    if ((checksums.size() - 1) * part >= size_ || checksums.size() * part < size_)
      throw bit::format_error("too many parts or too few");
    if (damaged) throw bit::format_error("damaged");
    ++checks;
  }

  std::size_t fail_at = SIZE_MAX;
  bool damaged = false;
  mutable std::atomic<int> checks{0};

 private:
  void fill(std::size_t first, std::span<float> out) const {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>((start_ + first + i) % 65521);
  }

  std::size_t start_, size_;
  bool parts_;
};

struct sample {
  bit::named_tensor tensor;
  std::shared_ptr<counted_values> values;
  std::atomic<int> right{0};
};

/// Jobs of three pieces that compare all values.
std::vector<bit::detail::weight_job> comparisons(std::vector<std::unique_ptr<sample>>& samples, bool parts) {
  // Around a part (65,536 values) and a group (2,097,152), with many small ones in between.
  std::vector<std::size_t> sizes{1, 65535, 65536, 65537, 131072, 2097151, 2097152, 2097153, 3000001};
  for (std::size_t i = 0; i < 50; ++i) sizes.push_back(64 + i);
  std::vector<bit::detail::weight_job> jobs;
  std::size_t start = 0;
  for (const std::size_t size : sizes) {
    auto values = std::make_shared<counted_values>(start, size, parts);
    samples.push_back(std::make_unique<sample>());
    sample& s = *samples.back();
    s.tensor = {"t", {size}, values};
    s.values = values;
    jobs.push_back({&s.tensor, 3, [&s, size, start](std::size_t, const float* x) {
                      bool same = true;
                      for (std::size_t i = 0; i < size; ++i) same &= x[i] == static_cast<float>((start + i) % 65521);
                      s.right += same;
                    }});
    start += size;
  }
  return jobs;
}

}  // namespace

TEST_CASE("every piece of every tensor sees its values, read in parts or in one go, and each is verified once") {
  for (const bool parts : {true, false}) {
    std::vector<std::unique_ptr<sample>> samples;
    bit::detail::read_weights(comparisons(samples, parts));
    for (const auto& s : samples) {
      CHECK(s->right == 3);
      CHECK(s->values->checks == (parts ? 1 : 0));
    }
  }
  bit::detail::read_weights({});
}

TEST_CASE("an error of any thread reaches the caller with its type") {
  std::vector<std::unique_ptr<sample>> samples;
  const auto jobs = comparisons(samples, true);
  samples[8]->values->damaged = true;
  CHECK_THROWS_WITH_AS(bit::detail::read_weights(jobs), "damaged", bit::format_error);
  samples[8]->values->damaged = false;
  samples[4]->values->fail_at = 65536;
  CHECK_THROWS_WITH_AS(bit::detail::read_weights(jobs), "the disk is gone", bit::io_error);
}
