// SPDX-License-Identifier: Apache-2.0
// A network for automatic differentiation: forward passes that hand out any of its values, and backward passes that
// begin at the gradients of all of them, at another time.
#pragma once

#include <bit/backend/training.hpp>
#include <bit/model/network.hpp>
#include <bit/model/workspace_pool.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// A network in training that leaves the loss to its caller. It owns a copy of every parameter and its gradient, in the
/// backend's memory. Each forward pass is a recording with a workspace of its own, so that any number of them may wait for
/// their backward pass; workspaces are used again. One thread at a time may use a recorder and its recordings.
template <recording_backend Backend>
class recorder {
 public:
  using T = typename Backend::value_type;
  using parameters_type = typename training_of<Backend>::parameters;
  class recording;

  /// Copies the tensors, official names and layouts. Throws what `network` throws, and what reading them throws.
  recorder(const resnet_config& config, const std::vector<named_tensor>& tensors);

  const resnet_config& config() const { return net_->config(); }
  /// Every parameter, in the order of execution. Values that are changed through it count from the next pass on.
  parameters_type& parameters() { return *parameters_; }
  /// What passes from now on recompute, and which parameters get no gradient. Recordings made before keep their way, and
  /// may not go back once other parameters learn. Throws config_error for a frozen name that is no parameter.
  void set_training(const training_options& options);

  /// Runs the forward pass for images (n,c,h,w), n >= 1, and writes the values of these names (network::output_names) to
  /// outputs[i]: matrices (n,c), row-major, feature maps in options.output_layout. `image_gradient`: whether the backward
  /// pass will be asked for it. The images must be there, unchanged, until then. Throws config_error for names that are
  /// not outputs, that stand for one value twice or for the stem's map alone, shape_error for images of another shape,
  /// memory_error, and interrupted_error if options.interrupted said so.
  recording record(const image_view<T>& images, std::span<const std::string> names, std::span<T* const> outputs,
                   bool image_gradient, const run_options& options = {});
  /// Sizes of the values that record() would write. Throws as it does.
  std::vector<dims4> output_dims(const dims4& images, std::span<const std::string> names, bool image_gradient);

 private:
  using plan_type = typename training_of<Backend>::plan;
  using workspace = typename training_of<Backend>::workspace;
  using pool = detail::workspace_pool<workspace>;
  struct planned {
    dims4 dims;
    std::vector<std::string> names;
    bool image_gradient;
    training_options options;
    std::vector<dims4> output_dims;
    std::vector<value_id> taps;
    std::unique_ptr<plan_type> plan;
  };
  /// Sizes and outputs of a training loop and its evaluation; the one not used for longest goes first.
  static constexpr std::size_t max_plans = 8;

  std::shared_ptr<const planned> find_plan(const dims4& images, std::span<const std::string> names,
                                           bool image_gradient);

  std::shared_ptr<parameters_type> parameters_;
  std::unique_ptr<bit::network> net_;
  std::shared_ptr<typename training_of<Backend>::weights> weights_;
  training_options options_;
  std::vector<std::shared_ptr<const planned>> plans_;  ///< most recently used last
  std::shared_ptr<pool> workspaces_ = std::make_shared<pool>();
};

/// A forward pass that may go back once. It keeps the feature maps that the backward pass reads.
template <recording_backend Backend>
class recorder<Backend>::recording {
 public:
  /// Adds the gradient of every parameter that learns, from the gradients of the outputs as record() has written them
  /// (null stands for zeros), and writes that of the images to `image_gradient` if it is not null, in
  /// options.output_layout. Throws config_error if the pass has gone back before, if parameters have been changed since
  /// the forward pass, or if the image's gradient was not announced; interrupted_error, after which gradients are
  /// unspecified.
  void backward(std::span<const T* const> gradients, T* image_gradient, const run_options& options = {});
  const dims4& images() const { return images_.dims; }
  const std::vector<dims4>& output_dims() const { return plan_->output_dims; }

 private:
  friend class recorder;
  recording(std::shared_ptr<const planned> plan, std::shared_ptr<pool> workspaces, std::size_t bytes,
            std::shared_ptr<const parameters_type> parameters, const image_view<T>& images)
      : plan_(std::move(plan)),
        workspaces_(std::move(workspaces)),
        parameters_(std::move(parameters)),
        images_(images),
        memory_(new typename pool::lease(workspaces_->take(bytes))),
        version_(parameters_->version()),
        gradient_version_(parameters_->gradient_version()) {}

  std::shared_ptr<const planned> plan_;
  std::shared_ptr<pool> workspaces_;
  std::shared_ptr<const parameters_type> parameters_;
  image_view<T> images_;
  std::unique_ptr<typename pool::lease> memory_;  ///< null once the pass has gone back
  std::uint64_t version_, gradient_version_;
};

}  // namespace bit::inline BIT_ABI

#include <bit/model/recorder.ipp>
