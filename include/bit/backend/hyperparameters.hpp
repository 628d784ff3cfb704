// SPDX-License-Identifier: Apache-2.0
// What an optimizer's update is told, as plain records that every backend can read.
#pragma once

#include <bit/config.hpp>

namespace bit::inline BIT_ABI {

/// What an update does to one parameter.
struct parameter_rule {
  bool frozen = false;    ///< the update leaves the parameter as it is
  double rate_scale = 1;  ///< multiplies the learning rate
  double weight_decay = 0;
  friend bool operator==(const parameter_rule&, const parameter_rule&) = default;
};

/// One update by stochastic gradient descent with PyTorch's names and order of operations (torch.optim.SGD, dampening 0):
/// g = gradient_scale·gradient + weight_decay·value, buffer = momentum·buffer + g, and value -= rate·rate_scale·buffer,
/// with Nesterov (g + momentum·buffer) in place of the buffer. State of no buffers stands for a momentum of 0.
struct sgd_hyperparameters {
  double rate = 0, momentum = 0;
  bool nesterov = false;
  double gradient_scale = 1;  ///< below 1 if gradients are clipped
};

/// One update of Adam or AdamW as torch.optim computes them: state buffer 0 is the running mean of g, buffer 1 that of g².
struct adam_hyperparameters {
  double rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  bool decoupled = false;                   ///< weight decay shrinks the value instead of joining the gradient (AdamW)
  double correction1 = 1, correction2 = 1;  ///< 1 - beta^t of update t, from 1 on
  double gradient_scale = 1;                ///< below 1 if gradients are clipped
};

}  // namespace bit::inline BIT_ABI
