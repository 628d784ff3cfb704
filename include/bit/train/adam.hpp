// SPDX-License-Identifier: Apache-2.0
// Adam (arXiv:1412.6980) and AdamW (arXiv:1711.05101), as torch.optim computes them. Distillation uses them.
#pragma once

#include <bit/config.hpp>
#include <bit/train/optimizer.hpp>

namespace bit::inline BIT_ABI::train {

struct adam_options {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  ///< torch.optim.Adam; arXiv:1412.6980, algorithm 1
  bool decoupled = false;                         ///< AdamW: value shrinks by rate·weight_decay, the gradient stays
  double clip_norm = 0;                           ///< of all gradients together; 0: none
  parameter_options parameters = {};

  /// Buffers of state that each parameter has.
  std::size_t state_buffers() const { return 2; }
};

/// Throws config_error for betas outside [0,1) or a negative eps.
BIT_FUNC void check(const adam_options& options);

/// mean and square are running averages of g and g²; value -= rate·mean' / (sqrt(square') + eps), both corrected for
/// their start at 0 by 1 - beta^update.
template <class T>
class basic_adam final : public basic_optimizer<T> {
 public:
  /// Throws what basic_optimizer's constructor and check() throw.
  explicit basic_adam(trainable_parameters<T>& parameters, const adam_options& options = {});
  std::string name() const override { return options_.decoupled ? "adamw" : "adam"; }

 private:
  void update(trainable_parameters<T>& parameters, optimizer_state<T>& state, double rate, double gradient_scale,
              std::size_t threads) override;
  adam_options options_;
};

using adam = basic_adam<float>;

#if !BIT_HEADER_ONLY
extern template class basic_adam<float>;
extern template class basic_adam<double>;
#endif

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/adam.ipp>
#endif
