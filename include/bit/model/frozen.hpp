// A network prepared for inference: parameters standardised and packed once, plans made once per input shape.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/error.hpp>
#include <bit/model/network.hpp>
#include <memory>
#include <mutex>

namespace bit::inline v0 {

/// An immutable model. Every member may be called by any number of threads at once: each call runs in a workspace of
/// its own. The first call of a shape makes a plan and a workspace; later ones allocate nothing but what they return.
/// Copies share everything.
template <backend Backend>
class frozen_resnet_v2 {
 public:
  using value_type = typename Backend::value_type;

  /// Standardises and packs all parameters of `net`; see resnet_v2::freeze.
  explicit frozen_resnet_v2(bit::network net, const freeze_options& options = {});

  const resnet_config& config() const { return net_.config(); }
  const bit::network& network() const { return net_; }
  const freeze_options& options() const { return options_; }

  /// Logits (n,classes) of images in [-1,1], (n,c,h,w) or (n,h,w,c) as `order` says; pooled features (n,c) if the
  /// model has no head. Throws shape_error if the channels differ or a side is 0; n may be 0.
  matrix<value_type> operator()(const tensor4<value_type>& images, layout order = layout::nchw,
                                const run_options& options = {}) const;

  /// One feature map or table by name (network::output_names), tables as (n,c,1,1); maps in the images' layout.
  tensor4<value_type> features(const tensor4<value_type>& images, const std::string& name, layout order = layout::nchw,
                               const run_options& options = {}) const;

  /// The general form: images at any strides, several outputs at once into the caller's memory, row-major;
  /// `outputs[i]` has the size of output_dims(names[i], ...). Throws interrupted_error if options.interrupted said so.
  void run(const image_view<value_type>& images, std::span<const std::string> names,
           std::span<value_type* const> outputs, const run_options& options = {}) const;

  /// The classifier alone on the caller's feature maps or pooled features (h = w = 1); `pre_logits` stops after the
  /// mean. `out` has n·classes or n·features values.
  void run_head(const image_view<value_type>& features, bool pre_logits, value_type* out,
                const run_options& options = {}) const;

  /// Logical size of an output for a batch of images.
  dims4 output_dims(const std::string& name, const dims4& images) const;

  /// Bytes of the packed parameters.
  std::size_t parameter_bytes() const { return shared_->weights->bytes(); }
  /// Where every value of the logits' program lies in the arena for this batch.
  memory_plan plan(const dims4& images) const;
  /// What each step of the logits' program is, how it is computed for this batch and what it moves.
  std::vector<step_profile> report(const dims4& images) const;
  /// The same with the least and the median seconds of `runs` runs on `images`, after one run that is not counted.
  /// Throws config_error for 0 runs and what run throws.
  std::vector<step_profile> profile(const image_view<value_type>& images, std::size_t runs,
                                    const run_options& options = {}) const;
  /// Images per call that are best where many images of this size (image.n does not matter) are to be worked through:
  /// the smallest of 1, 2, 4, .. 32 whose predicted time per image is within 2 % of the best, and whose maps take at
  /// most `max_bytes` (but at least 1). By the cost model alone: nothing is run, and every call gives the same.
  std::size_t throughput_batch(const dims4& image, std::size_t max_bytes = std::size_t{512} << 20) const;
  /// Arena and scratch bytes of one call with `threads` threads.
  std::size_t workspace_bytes(const dims4& images, std::size_t threads = 0) const;

 private:
  using plan_type = typename Backend::plan;
  struct planned {
    dims4 dims;
    std::vector<std::string> names;  ///< {"", ...}: the classifier alone
    std::vector<dims4> outputs;
    std::shared_ptr<const plan_type> plan;
  };
  struct shared_state {
    std::shared_ptr<const typename Backend::weights> weights;
    std::mutex mutex;
    std::vector<planned> plans;  ///< most recently used last
    std::vector<std::pair<std::size_t, std::unique_ptr<typename Backend::workspace>>> workspaces;
  };
  /// Plans of this many shapes are kept; the one not used for longest goes first.
  static constexpr std::size_t max_plans = 64;

  template <class Emit>
  std::shared_ptr<const plan_type> find_plan(const dims4& dims, std::span<const std::string> names, Emit emit) const;
  void execute(const plan_type& plan, const image_view<value_type>& images, std::span<value_type* const> outputs,
               run_options options) const;
  std::shared_ptr<const plan_type> default_plan(const dims4& images) const;
  std::string default_output() const { return config().num_classes > 0 ? "logits" : "pooled"; }

  bit::network net_;
  freeze_options options_;
  std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
};

}  // namespace bit::inline v0

#include <bit/model/frozen.ipp>
