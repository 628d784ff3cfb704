// SPDX-License-Identifier: Apache-2.0
// Stochastic gradient descent with momentum, as torch.optim.SGD computes it: what BiT-HyperRule trains with.
#pragma once

#include <bit/config.hpp>
#include <bit/train/optimizer.hpp>

namespace bit::inline BIT_ABI::train {

struct sgd_options {
  double momentum = 0.9;  ///< bit_pytorch/train.py; 0 keeps no state
  bool nesterov = false;
  double clip_norm = 0;  ///< of all gradients together; 0: none
  parameter_options parameters = {};

  /// Buffers of state that each parameter has.
  std::size_t state_buffers() const { return momentum == 0 ? 0 : 1; }
};

/// Throws config_error for a momentum outside [0,1) or Nesterov without one.
BIT_FUNC void check(const sgd_options& options);

/// g = gradient + weight_decay·value; buffer = momentum·buffer + g; value -= rate·buffer, with Nesterov
/// value -= rate·(g + momentum·buffer). A fresh buffer is 0, which makes the first one g as PyTorch has it.
template <class T>
class basic_sgd final : public basic_optimizer<T> {
 public:
  /// Throws what basic_optimizer's constructor and check() throw.
  explicit basic_sgd(trainable_parameters<T>& parameters, const sgd_options& options = {});
  std::string name() const override { return "sgd"; }

 private:
  void update(trainable_parameters<T>& parameters, optimizer_state<T>& state, double rate, double gradient_scale,
              std::size_t threads) override;
  double momentum_;
  bool nesterov_;
};

using sgd = basic_sgd<float>;

#if !BIT_HEADER_ONLY
extern template class basic_sgd<float>;
extern template class basic_sgd<double>;
#endif

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/sgd.ipp>
#endif
