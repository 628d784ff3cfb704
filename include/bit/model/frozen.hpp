// SPDX-License-Identifier: Apache-2.0
// A network prepared for inference: parameters standardised and packed once, plans made once per input shape.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/device.hpp>
#include <bit/error.hpp>
#include <bit/model/network.hpp>
#include <bit/model/plan_cache.hpp>
#include <bit/model/workspace_pool.hpp>
#include <concepts>
#include <memory>

namespace bit::inline BIT_ABI {

/// A model for inference that never changes. Every member may be called by any number of threads at once: each call
/// runs in a workspace of its own. The first call of a shape makes a plan and a workspace, while calls of other shapes
/// go on; later ones allocate nothing but what they return. Plans of the 64 shapes used last are kept, and as many idle
/// workspaces as the last 64 to 128 calls used at once; release() gives back both.
///
/// Copies share everything, and a model that has been moved from is a copy of the other.
///
/// Every member that takes images or their size may throw
///  - shape_error if the channels differ from the model's, a side is 0, or the images are too large for the machine;
///  - memory_error if the system does not give the memory that the call needs;
///  - io_error or format_error if a 3x3 kernel that this shape needs in another layout cannot be read again from the
///    checkpoint file. With freeze_options::keep_values nothing is read after the model has been made.
template <backend Backend>
class frozen_resnet_v2 {
 public:
  using value_type = typename Backend::value_type;

  /// Standardises and packs all parameters of `net`, see resnet_v2::freeze. Values that may change or disappear (of a
  /// model in training, of arrays that others may write) are copied, so that the model depends on nothing outside it
  /// but files. Throws what reading the tensors throws, memory_error, and config_error for a device that the backend
  /// lacks.
  explicit frozen_resnet_v2(const bit::network& net, const freeze_options& options = {});
  frozen_resnet_v2(const frozen_resnet_v2&) noexcept = default;
  frozen_resnet_v2& operator=(const frozen_resnet_v2&) noexcept = default;

  const resnet_config& config() const { return shared_->net.config(); }
  const bit::network& network() const { return shared_->net; }
  const freeze_options& options() const { return shared_->options; }
  /// The packed weights, for what else works on them: see model/gradients.hpp.
  const std::shared_ptr<const typename Backend::weights>& weights() const { return shared_->weights; }

  /// Returns logits (n,classes) of images in [-1,1], (n,c,h,w) or (n,h,w,c) as `order` says; pooled features (n,c) if
  /// the model has no head. n may be 0. Throws interrupted_error if options.interrupted said so.
  matrix<value_type> operator()(const tensor4<value_type>& images, layout order = layout::nchw,
                                const run_options& options = {}) const;
  /// Returns the same for images at any strides, which are read where they lie.
  matrix<value_type> operator()(const image_view<value_type>& images, const run_options& options = {}) const;

  /// Returns one feature map or matrix by its name (network::output_names), a matrix as (n,c,1,1) and a feature map in
  /// the images' layout. Throws config_error for an unknown name, and what operator() throws.
  tensor4<value_type> features(const tensor4<value_type>& images, const std::string& name, layout order = layout::nchw,
                               const run_options& options = {}) const;

  /// Runs the model on images at any strides and writes several outputs at once to the caller's memory, row-major;
  /// `outputs[i]` has the size of output_dims(names[i], ...). Throws shape_error for another number of outputs than
  /// names and for null pointers, config_error for unknown names, and interrupted_error if options.interrupted said so.
  void run(const image_view<value_type>& images, std::span<const std::string> names,
           std::span<value_type* const> outputs, const run_options& options = {}) const;

  /// Runs the model on a device: images and outputs lie in its memory, at any strides, and the work is put into the
  /// caller's queue without waiting for it; see device_backend for how long they must live. Throws shape_error as run
  /// does and for outputs of another size, and device_error for tensors on another device than the model's.
  template <class B = Backend>
  requires device_backend<B> && std::same_as<B, Backend>
  void run(const device_tensor& images, std::span<const std::string> names, std::span<const device_tensor> outputs,
           typename B::queue queue) const;

  /// Runs the classifier alone on the caller's feature maps or pooled features (h = w = 1); `pre_logits` stops after
  /// the mean. `out` has n·classes or n·features values. Throws what run throws.
  void run_head(const image_view<value_type>& features, bool pre_logits, value_type* out,
                const run_options& options = {}) const;

  /// Returns the logical size of an output for a batch of images. Throws config_error for an unknown name.
  dims4 output_dims(const std::string& name, const dims4& images) const;

  /// Returns the bytes of the packed weights and of the values kept beside them.
  std::size_t parameter_bytes() const { return shared_->weights->bytes(); }
  /// Gives back idle workspaces, plans, and the layouts of 3x3 kernels that were made for them. Calls that are running
  /// end undisturbed, and the next one makes again what it needs.
  void release() const;
  /// Returns where every value of the logits' program lies in the arena for this batch.
  memory_plan plan(const dims4& images) const;
  /// Returns what each step of the logits' program is, how it is computed for this batch and what it moves.
  std::vector<step_profile> report(const dims4& images) const;
  /// Returns the same with the least and the median seconds of `runs` runs on `images`, after one run that is not
  /// counted. Throws config_error for 0 runs and what run throws.
  std::vector<step_profile> profile(const image_view<value_type>& images, std::size_t runs,
                                    const run_options& options = {}) const;
  /// Returns the images per call that are best where many images of this size (image.n does not matter) are to be
  /// worked through: the smallest of 1, 2, 4, .. Backend::largest_batch whose predicted time per image is within 2 % of
  /// the best, and whose maps take at most `max_bytes` (but at least 1). It is by the cost model alone: nothing is run,
  /// and every call gives the same.
  std::size_t throughput_batch(const dims4& image, std::size_t max_bytes = std::size_t{512} << 20) const;
  /// Returns the arena and scratch bytes of one call with `threads` threads.
  std::size_t workspace_bytes(const dims4& images, std::size_t threads = 0) const;

 private:
  using plan_type = typename Backend::plan;
  using cache = detail::plan_cache<plan_type>;
  struct state {
    state(const bit::network& from, const freeze_options& how) : net(snapshot_of<value_type>(from)), options(how) {}
    bit::network net;
    freeze_options options;
    std::shared_ptr<const typename Backend::weights> weights;
    cache plans;
    detail::workspace_pool<typename Backend::workspace> workspaces;
  };

  template <class Emit>
  std::shared_ptr<const plan_type> find_plan(const typename cache::key& what, Emit emit) const;
  std::shared_ptr<const plan_type> find_plan(const dims4& images, std::span<const std::string> names) const;
  std::shared_ptr<const plan_type> default_plan(const dims4& images) const;
  std::size_t map_bytes(const program& p) const;
  void execute(const plan_type& plan, const image_view<value_type>& images, std::span<value_type* const> outputs,
               run_options options) const;
  std::string default_output() const { return config().num_classes > 0 ? "logits" : "pooled"; }

  std::shared_ptr<state> shared_;
};

}  // namespace bit::inline BIT_ABI

#include <bit/model/frozen.ipp>
