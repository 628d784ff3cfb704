// SPDX-License-Identifier: Apache-2.0
// Gradients of a frozen model: of a logit, or of anything that is computed from the logits, with respect to feature maps
// and the image. Grad-CAM (arXiv:1610.02391), saliency maps and adversarial examples are made of them.
#pragma once

#include <bit/backend/gradients.hpp>
#include <bit/error.hpp>
#include <bit/model/frozen.hpp>
#include <bit/model/plan_cache.hpp>
#include <bit/model/taps.hpp>
#include <bit/model/workspace_pool.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// Receives the logits (n,classes) of a batch and writes the gradient, with respect to each of them, of what is to be
/// differentiated: 1 for a logit and 0 elsewhere gives that logit's gradients. What it throws comes out of the call.
template <class T>
using logits_gradient_function = std::function<void(std::span<const T> logits, std::span<T> gradient)>;

/// Computes gradients of a frozen model, which it shares. No parameter is copied and none gets a gradient: the forward
/// pass reads the frozen model's packed weights, and the backward pass makes each kernel transposed right before it is
/// read. Beside the feature maps that the backward pass reads (workspace_bytes() says how much) a call holds one kernel at a
/// time. Logits are the same bits as the frozen model's.
///
/// Every member may be called by any number of threads at once: each call runs in a workspace of its own. Copies share
/// everything. The first call for a size of images and set of taps makes a plan.
template <gradient_backend Backend>
class frozen_gradients {
 public:
  using T = typename Backend::value_type;

  explicit frozen_gradients(frozen_resnet_v2<Backend> model)
      : model_(std::move(model)), shared_(std::make_shared<state>()) {}

  const frozen_resnet_v2<Backend>& model() const { return model_; }

  /// Writes to `taps` the gradients, with respect to what they name, of what `of_logits` differentiates, for images in
  /// [-1,1]; n may be 0. `logits`, if it is not empty, receives the logits (n,classes).
  /// Throws shape_error for images the model does not take and for memory of another size than a tap's value or the
  /// logits; config_error for a network without a head and for names that cannot be tapped; what `of_logits` and
  /// options.interrupted throw; interrupted_error; io_error and format_error if a kernel cannot be read again from its
  /// file; memory_error if there is no memory for a workspace.
  void operator()(const image_view<T>& images, const logits_gradient_function<T>& of_logits,
                  std::span<const named_tap<T>> taps, std::span<T> logits = {}, const run_options& options = {}) const;
  /// The same for a gradient that is known beforehand, (n,classes), row-major.
  void operator()(const image_view<T>& images, std::span<const T> gradient_of_logits,
                  std::span<const named_tap<T>> taps, std::span<T> logits = {}, const run_options& options = {}) const;

  /// Arena and scratch bytes of one call with `threads` threads: all that it takes beside the frozen model.
  std::size_t workspace_bytes(const dims4& images, std::span<const std::string> taps, std::size_t threads = 0) const;
  /// Gives back plans and idle workspaces. Calls that are running end undisturbed.
  void release() const {
    shared_->plans.clear();
    shared_->workspaces.clear();
  }

 private:
  /// A compiled program with what its taps are.
  struct planned {
    planned(const training_program& p, std::shared_ptr<const typename Backend::weights> weights)
        : taps(p.taps), plan(p, std::move(weights)) {
      for (const value_id id : taps) dims.push_back(p.forward[id].dims);
    }
    std::vector<value_id> taps;
    std::vector<dims4> dims;
    typename gradients_of<Backend>::plan plan;
  };
  struct state {
    detail::plan_cache<planned> plans;
    detail::workspace_pool<typename gradients_of<Backend>::workspace> workspaces;
  };

  std::shared_ptr<const planned> find_plan(const dims4& images, std::span<const std::string> names) const;

  frozen_resnet_v2<Backend> model_;
  std::shared_ptr<state> shared_;
};

}  // namespace bit::inline BIT_ABI

#include <bit/model/gradients.ipp>
