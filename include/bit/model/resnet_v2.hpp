// resnet_v2<Backend>: a BiT ResNetV2 whose steps run under a backend.
#pragma once

#include <bit/backend/cpu.hpp>
#include <bit/model/frozen.hpp>
#include <bit/model/random.hpp>

namespace bit::inline v0 {

/// A BiT ResNetV2 (arXiv:1912.11370) with its parameters; freeze() makes it fit for inference.
/// `Backend` is a backend: cpu<float>, cpu<bfloat16>, reference<float>, reference<double>.
template <backend Backend = cpu<float>>
class resnet_v2 {
 public:
  using value_type = typename Backend::value_type;

  /// Parameters from a checkpoint or elsewhere, by their official names; throws as bit::network does.
  resnet_v2(const resnet_config& config, const std::vector<named_tensor>& tensors) : net_(config, tensors) {}
  /// Random parameters, a function of config and seed alone: the values that training starts from (random_tensors).
  explicit resnet_v2(const resnet_config& config, std::uint64_t seed = 0)
      : net_(config, random_tensors(config, seed)) {}

  const resnet_config& config() const { return net_.config(); }
  const bit::network& network() const { return net_; }
  std::vector<named_tensor> parameters() const { return net_.parameters(); }

  /// Standardises and packs every parameter for inference, one tensor at a time. The handles stay, so a model read
  /// from a mapped file keeps the file open but holds no second copy of its values.
  /// Throws what reading the tensors throws.
  frozen_resnet_v2<Backend> freeze(const freeze_options& options = {}) const {
    return frozen_resnet_v2<Backend>(net_, options);
  }

 private:
  bit::network net_;
};

#if !BIT_HEADER_ONLY
extern template class frozen_resnet_v2<cpu<float>>;
extern template class frozen_resnet_v2<cpu<bfloat16>>;
extern template class resnet_v2<cpu<float>>;
extern template class resnet_v2<cpu<bfloat16>>;
#endif

}  // namespace bit::inline v0
