// SPDX-License-Identifier: Apache-2.0
// A network whose parameters may change: forward, loss and backward for a batch. model/trainable_cpu.hpp adds the CPU.
#pragma once

#include <bit/backend/training.hpp>
#include <bit/error.hpp>
#include <bit/model/loss_function.hpp>
#include <bit/model/network.hpp>
#include <bit/model/resnet_v2.hpp>
#include <bit/model/taps.hpp>
#include <cstdint>
#include <memory>
#include <vector>

namespace bit::inline BIT_ABI {

/// Bytes of a training step by what they are for; the optimizer's state and the images come on top.
struct training_memory {
  std::size_t values = 0, gradients = 0;  ///< of the parameters; a frozen one has no gradient
  std::size_t packed = 0;                 ///< parameters in the forms that the steps read
  std::size_t arena = 0;                  ///< maps, their gradients, statistics: whatever lives at the same time
  std::size_t scratch = 0;                ///< of all threads
  std::size_t total() const { return values + gradients + packed + arena + scratch; }
};

/// A BiT ResNetV2 that learns. It owns a copy of every parameter and its gradient, and one workspace, all in the backend's
/// memory, so one thread may use it at a time; the work itself is shared by run_options::threads. Results do not depend on
/// their number.
template <trainable_backend Backend>
class trainable_resnet_v2 {
 public:
  using T = typename Backend::value_type;
  using parameters_type = typename training_of<Backend>::parameters;

  /// Copies the tensors, official names and layouts. Throws what `network` throws, and what reading them throws.
  trainable_resnet_v2(const resnet_config& config, const std::vector<named_tensor>& tensors);
  /// Random parameters, a function of config and seed alone (random_tensors), as resnet_v2's.
  explicit trainable_resnet_v2(const resnet_config& config, std::uint64_t seed = 0)
      : trainable_resnet_v2(config, random_tensors(config, seed)) {}
  /// Copies the parameters of a model for any backend, one that has been loaded for instance. Throws what reading them
  /// throws.
  template <backend Other>
  explicit trainable_resnet_v2(const resnet_v2<Other>& model)
      : trainable_resnet_v2(model.config(), model.parameters()) {}
  /// A model that has been moved from may be assigned to or destroyed, and nothing else.
  trainable_resnet_v2(trainable_resnet_v2&&) noexcept = default;
  trainable_resnet_v2& operator=(trainable_resnet_v2&&) noexcept = default;

  /// A model for inference with a copy of the present values: training may go on, in another thread too, without
  /// changing its results. It takes the packed weights and, of each parameter, 4 bytes a value (8 in double precision).
  frozen_resnet_v2<Backend> freeze(const freeze_options& options = {}) const {
    return frozen_resnet_v2<Backend>(*net_, options);
  }

  const resnet_config& config() const { return net_->config(); }
  /// The network over the present values: its tensors read this model's parameters, which they keep alive.
  const bit::network& network() const { return *net_; }
  /// Every parameter, in the order of execution: values, gradients, and what optimizers need. Values that are changed
  /// through it count from the next step on.
  parameters_type& parameters() { return *parameters_; }
  const parameters_type& parameters() const { return *parameters_; }
  /// How steps are taken from now on; by default nothing is recomputed and everything learns. Other frozen parameters
  /// make all gradients anew, as zeros; optimizers made before go on with what still learns. Throws config_error for a
  /// frozen name that is no parameter.
  void set_training(const training_options& options);
  training_options training() const { return {options_.recompute, parameters_->frozen()}; }
  void zero_gradients() { parameters_->zero_gradients(); }

  /// Adds scale·weight·dloss/dparameter to every gradient, for images (n,c,h,w) in [-1,1] with n >= 1; returns the loss,
  /// not scaled or weighted. The weight multiplies dloss/dlogits, the scale what is added to gradients; they round
  /// differently. `taps` receive weight·dloss/dvalue of feature maps, pooled features or the image; the pass goes back as
  /// far as a parameter learns or a tap lies.
  /// Throws shape_error for images or a tap's memory of another size, config_error for a network without a head and for
  /// names that cannot be tapped, what the loss and options.interrupted throw, and interrupted_error; gradients are then
  /// unspecified if the loss had been evaluated, values are as they were.
  double accumulate(const image_view<T>& images, const loss& what, double scale = 1,
                    std::span<const named_tap<T>> taps = {}, const run_options& options = {}, double weight = 1);
  /// The same for a loss of the caller's own, which sees the logits in host memory.
  double accumulate(const image_view<T>& images, const loss_function<T>& own, double scale = 1,
                    std::span<const named_tap<T>> taps = {}, const run_options& options = {}, double weight = 1);

  /// Logits (n,classes) with the present values, row-major to `out`; n may be 0.
  void logits(const image_view<T>& images, T* out, const run_options& options = {});

  /// Pooled features (n,c) with the present values, row-major to `out`; n may be 0.
  void features(const image_view<T>& images, T* out, const run_options& options = {});
  /// accumulate() and logits() of the head alone, on pooled features (n,c,1,1) in place of images.
  double accumulate_head(const image_view<T>& features, const loss& what, double scale = 1,
                         const run_options& options = {}, double weight = 1);
  double accumulate_head(const image_view<T>& features, const loss_function<T>& own, double scale = 1,
                         const run_options& options = {}, double weight = 1);
  void head_logits(const image_view<T>& features, T* out, const run_options& options = {});

  /// Where every value of a training step lies in the arena for this batch.
  memory_plan plan(const dims4& images) { return find_plan(images, pass::training).plan->memory(); }
  /// What a step with these options would take, and between steps the logits of `evaluated` images (n may be 0). Costs
  /// the time of making a plan. Throws as accumulate() does.
  static training_memory memory_of(const resnet_config& config, const dims4& images,
                                   const training_options& options = {}, std::size_t threads = 0,
                                   const dims4& evaluated = {});
  /// The same for this model, with its options.
  training_memory memory(const dims4& images, std::size_t threads = 0) const {
    return memory_of(config(), images, training(), threads);
  }
  /// Predicted seconds of steps and evaluations with images of this size on this machine, as the backend estimates them.
  training_speed speed(std::size_t height, std::size_t width, std::size_t threads = 0) const;
  /// Gives back workspace, plans and packed forms; the next step makes them again.
  void release();

 private:
  enum class pass { logits, training, features, head_logits, head_training };
  using plan_type = typename training_of<Backend>::plan;
  using workspace = typename training_of<Backend>::workspace;
  using logits_type = typename training_of<Backend>::logits;
  struct planned {
    dims4 dims;
    pass what;
    std::vector<std::string> taps;  ///< names
    std::vector<value_id> tapped;   ///< the same as values
    std::vector<dims4> tap_dims;
    std::unique_ptr<plan_type> plan;
  };
  /// A step, a short last batch and their like in evaluation; the one not used for longest goes first.
  static constexpr std::size_t max_plans = 8;

  static training_program emit(const bit::network& net, const dims4& images, pass what,
                               const training_options& options);
  /// Drops plans that add to gradients where they no longer are.
  void follow_gradients();
  planned& find_plan(const dims4& images, pass what, std::span<const named_tap<T>> taps = {});
  workspace& memory_for(const plan_type& plan, std::size_t threads);
  template <class Evaluate>
  double accumulate(pass what, const image_view<T>& images, const Evaluate& evaluate, double scale,
                    std::span<const named_tap<T>> taps, run_options options);
  /// Evaluates the caller's own loss in host memory.
  double evaluate_on_host(const loss_function<T>& own, std::size_t n, double weight);
  void run_forward(pass what, const image_view<T>& images, T* out, run_options options);

  std::shared_ptr<parameters_type> parameters_;
  std::uint64_t gradient_version_ = 0;  ///< of the gradients that plans add to
  training_options options_;
  std::unique_ptr<bit::network> net_;
  std::shared_ptr<typename training_of<Backend>::weights> weights_;
  std::vector<planned> plans_;  ///< most recently used last
  std::unique_ptr<workspace> memory_;
  std::size_t memory_bytes_ = 0;
  logits_type logits_;
  std::vector<T> host_logits_, host_gradient_;  ///< for losses of the caller's own
};

}  // namespace bit::inline BIT_ABI

#include <bit/model/trainable.ipp>
