// SPDX-License-Identifier: Apache-2.0
// resnet_v2<Backend>: a BiT ResNetV2 whose steps run under a backend.
#pragma once

#include <bit/backend/cpu.hpp>
#include <bit/model/frozen.hpp>
#include <bit/model/random.hpp>
#include <memory>

namespace bit::inline BIT_ABI {

/// A BiT ResNetV2 (arXiv:1912.11370) with its parameters; freeze() makes it fit for inference.
/// `Backend` is one of cpu<float>, cpu<bfloat16>, reference<float>, reference<double>.
/// The parameters never change: values that may (of a model in training, of arrays that others may write) are copied.
/// Copies share them, and a model that has been moved from is a copy of the other. Any number of threads may use it.
template <backend Backend = cpu<float>>
class resnet_v2 {
 public:
  using value_type = typename Backend::value_type;

  /// Takes parameters from a checkpoint or elsewhere, by their official names; throws what bit::network throws, and
  /// what reading values that have to be copied throws.
  resnet_v2(const resnet_config& config, const std::vector<named_tensor>& tensors)
      : net_(std::make_shared<const bit::network>(snapshot_of<value_type>(bit::network(config, tensors)))) {}
  /// Takes random parameters, a function of config and seed alone: the values that training starts from
  /// (random_tensors).
  explicit resnet_v2(const resnet_config& config, std::uint64_t seed = 0)
      : resnet_v2(config, random_tensors(config, seed)) {}
  resnet_v2(const resnet_v2&) noexcept = default;
  resnet_v2& operator=(const resnet_v2&) noexcept = default;

  const resnet_config& config() const { return net_->config(); }
  const bit::network& network() const { return *net_; }
  std::vector<named_tensor> parameters() const { return net_->parameters(); }

  /// Standardises and packs every parameter for inference, one tensor at a time. The handles stay, so a model read
  /// from a mapped file keeps the file open but holds no second copy of its values, unless `options` ask for one.
  /// Throws what reading the tensors throws, and memory_error.
  frozen_resnet_v2<Backend> freeze(const freeze_options& options = {}) const {
    return frozen_resnet_v2<Backend>(*net_, options);
  }

 private:
  std::shared_ptr<const bit::network> net_;
};

#if !BIT_HEADER_ONLY
extern template class frozen_resnet_v2<cpu<float>>;
extern template class frozen_resnet_v2<cpu<bfloat16>>;
extern template class resnet_v2<cpu<float>>;
extern template class resnet_v2<cpu<bfloat16>>;
#endif

}  // namespace bit::inline BIT_ABI
