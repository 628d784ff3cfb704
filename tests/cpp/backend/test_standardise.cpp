// SPDX-License-Identifier: Apache-2.0
// The standardisation of one kernel: its definition, and the vectorised form that the CPU packs by.
#include <doctest/doctest.h>
#include <bit/backend/cpu.hpp>
#include <bit/detail/standardise.hpp>
#include <bit/resnet.hpp>
#include <cmath>

#include "random_networks.hpp"

TEST_CASE("a standardised kernel has mean 0 and variance v / (v + eps) over (h,w,i), by two digits that say so") {
  // Two taps of two channels, two output channels: 1, 3, 5, 7 and a constant.
  const std::vector<double> w{1, 4, 3, 4, 5, 4, 7, 4};
  std::vector<double> y(w.size());
  bit::detail::standardise_kernel<double>(w, 1, 2, 2, 2, 0.0 + 1e-10, y);
  const double deviation = std::sqrt(5.0 + 1e-10);
  CHECK(y == std::vector<double>{-3 / deviation, 0, -1 / deviation, 0, 1 / deviation, 0, 3 / deviation, 0});
  const auto moments = bit::detail::moments_of_kernel<double>(w, 1, 2, 2, 2, 4.0);
  CHECK(moments.mean == std::vector<double>{4, 4});
  CHECK(moments.deviation == std::vector<double>{3, 2});
  std::vector<double> in_place(w);
  bit::detail::standardise_kernel<double>(in_place, 1, 2, 2, 2, 1e-10, in_place);
  CHECK(in_place == y);
}

TEST_CASE("the CPU packs every kernel as the definition has it, on every instruction set") {
  // Both compute in double and round once, the CPU by sums in one pass and by a product with 1/sqrt: measured, one number
  // in a million is a neighbour in float, so the bound is one unit in the last place, 2^-23 relative.
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 20, .num_classes = 7, .groups = 4};
  const auto tensors = test::random_parameters(config, 1);
  const bit::network net(config, tensors);
  const std::string logits = "logits";
  const bit::program p = net.emit({1, 3, 32, 32}, std::span(&logits, 1));
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const test::pinned_isa pin(isa);
    const bit::cpu<float>::weights weights(p, {.algorithm = bit::algorithm::direct});
    const std::size_t width = weights.microkernels().tile_columns;
    for (const bit::step& s : p.steps)
      for (const auto& [id, eps] : bit::standardised_kernels(s)) {
        const bit::named_tensor& t = p[id];
        CAPTURE(t.name);
        std::vector<float> values(t.size()), exact(values.size()), other(values.size());
        t.data->read(std::span<float>(values));
        const std::size_t in = t.shape[2], out = t.shape[3];
        const auto standardise = [&](double by, std::vector<float>& to) {
          bit::detail::standardise_kernel<float>(values, t.shape[0], t.shape[1], in, out, by, to);
        };
        standardise(eps, exact);
        standardise(eps + 1e-4, other);
        const auto packed = weights.at(t);
        const bool stem = bit::convolution_of(s) == nullptr;  // k without padding
        const std::size_t padded = stem ? in : (in + 15) / 16 * 16;
        double worst = 0, negative_control = 0;
        for (std::size_t k = 0; k < t.shape[0] * t.shape[1] * in; ++k)
          for (std::size_t o = 0; o < out; ++o) {
            const std::size_t row = k / in * padded + k % in;
            const auto got = static_cast<double>(packed->panel<float>(o / width)[row * width + o % width]);
            const auto relative = [&](float value) {
              return std::abs(got - static_cast<double>(value)) / (1e-7 + std::abs(static_cast<double>(value)));
            };
            worst = std::max(worst, relative(exact[k * out + o]));
            negative_control = std::max(negative_control, relative(other[k * out + o]));
          }
        CHECK(worst < 1.2e-7);
        CHECK(negative_control > 1e-3);
      }
  }
}
