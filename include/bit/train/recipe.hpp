// SPDX-License-Identifier: Apache-2.0
// What a fine-tuning run will do, decided before its first step: BiT-HyperRule, what the caller changed of it, and a batch
// that fits the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/augment.hpp>
#include <bit/data/dataset.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/best_metric.hpp>
#include <bit/train/hyper_rule.hpp>
#include <bit/train/loader.hpp>
#include <bit/train/memory.hpp>
#include <bit/train/mixup.hpp>
#include <bit/train/sampler.hpp>
#include <bit/train/sgd.hpp>
#include <bit/train/training_loss.hpp>
#include <bit/train/tunable_model.hpp>

namespace bit::inline BIT_ABI::train {

/// Which program is followed where the reference's three programs differ from what was meant.
enum class compat_mode {
  none,     ///< random flips, short last batches weighted by their size
  pytorch,  ///< micro-batches drawn one by one, a short one weighted as a full one (bit_pytorch/train.py)
  jax,      ///< always flipped, mixed with the reversed batch, tf.image.resize, full batches through all epochs
  tf2,      ///< as jax; only whole multiples of eval_every are run
};

/// "none", "pytorch", "jax" or "tf2".
BIT_FUNC const char* to_string(compat_mode compat);

/// What a caller may decide. The defaults are BiT-HyperRule.
struct fine_tune_options {
  std::size_t batch = hyper_rule_batch;
  std::optional<std::size_t> batch_split = {};  ///< parts of a step; unset: as the memory asks, see fit_step()
  std::optional<recomputation> recompute = {};  ///< unset: as the memory asks
  /// If only the head learns: its features are computed once, of images as they are evaluated, without random crops,
  /// flips and mixup. Unset: where there is nothing random about the images.
  std::optional<bool> keep_features = {};
  std::uint64_t memory_limit = 0;  ///< bytes for everything together; 0: usable_memory()
  double base_lr = hyper_rule_base_lr;
  std::size_t steps = 0;                               ///< 0: the rule's; otherwise its schedule is scaled to these
  std::vector<std::size_t> schedule = {};              ///< instead of the rule's
  std::optional<training_resolution> resolution = {};  ///< instead of the rule's
  std::optional<double> mixup_alpha = {};              ///< instead of the rule's
  std::optional<image_size> images = {};               ///< what the rule is told; unset: typical_image_size()
  std::size_t examples = 0;                            ///< what the rule is told; 0: the training set's size
  std::optional<data::flip_mode> flip = {};            ///< unset: random, or always for jax and tf2
  std::optional<data::resampling> resampling = {};     ///< unset: pillow, or tf for jax and tf2
  compat_mode compat = compat_mode::none;
  std::uint64_t seed = 0;  ///< of order, augmentation and mixup
  sgd_options sgd = {};
  std::optional<adam_options> adam = {};  ///< instead of sgd; its rules for parameters and its clip_norm count then
  training_loss loss = training_loss::softmax;
  double label_smoothing = 0;
  std::vector<double> class_weights = {};  ///< of the loss, one for each class, see class_weighted_loss; empty: none
  sample_order sampling = sample_order::shuffled;  ///< or balanced
  bool keep_head =
      false;  ///< the model's head is its checkpoint's, see with_own_head(): told in the recipe, and a flag
  /// Distillation (arXiv:2106.05237): writes a teacher's logits (n,classes), row-major, of a part's images, which are
  /// augmented and mixed already, so that teacher and student see the same. They take the place of labels. A continued
  /// run must be given the same teacher; name it in `flags`.
  std::function<void(const image_view<float>& images, float* logits)> teacher = nullptr;
  double temperature = 1;  ///< of the distillation

  std::size_t eval_every = 0;               ///< steps; 0: at the end only
  best_metric best_by = best_metric::top1;  ///< chooses best.safetensors
  std::size_t patience = 0;                 ///< evaluations in a row without a new best that end the run; 0: none do
  double max_seconds = 0;                   ///< that end the run, which can be continued; 0: none
  std::size_t eval_batch = 32;              ///< bit_common.py's --batch_eval
  std::size_t save_every = 0;               ///< steps; 0: with each evaluation
  double save_seconds = 600;                ///< 0: never because of the time
  std::filesystem::path folder = {};        ///< of the run; empty: nothing is written, and nothing resumed
  std::map<std::string, std::string> flags = {};  ///< beside those of the recipe: what a continued run must have, too
  std::map<std::string, std::string> metadata = {};  ///< of checkpoints
  std::string name = {};                             ///< of the model, in checkpoints
  batch_loader_options loader = {};
  std::size_t threads = 0;
};

/// Estimated seconds.
struct time_estimate {
  double step = 0, evaluation = 0;  ///< of one
  double total = 0;                 ///< of the whole run, from its first step on
};

/// What will be done. All of it was decided by resolve().
struct recipe {
  hyper_rule rule;
  std::size_t examples = 0;  ///< of the training set, which may differ from rule.num_examples
  std::size_t classes = 0;
  std::size_t batch = 0, batch_split = 1;
  std::size_t steps = 0;  ///< rule.steps() but for tf2
  data::augment_spec augmentation;
  epoch_end end = epoch_end::short_batch;
  mixup_partner partner = mixup_partner::permuted;
  sample_order sampling = sample_order::shuffled;
  best_metric best_by = best_metric::top1;
  bool head_is_kept = false;  ///< see fine_tune_options
  compat_mode compat = compat_mode::none;
  std::uint64_t seed = 0;
  bool keep_features = false;  ///< see fine_tune_options
  training_options training;   ///< recomputation, and the parameters that do not learn
  memory_estimate memory;
  std::uint64_t memory_limit = 0;
  std::optional<time_estimate> time = {};  ///< for to_string(); estimate_time() tells it
  std::string architecture;
  bit::dtype dtype = bit::dtype::float32;  ///< the model's
  std::vector<std::string> departures;     ///< from BiT-HyperRule, and what else should be known; a sentence each
};

/// The recipe for fine-tuning `model`, which has the set's classes already. If options.folder holds a run and the caller
/// did not choose batch_split, the run's is taken, so that it can be continued. Throws config_error for options that
/// cannot be, a set that cannot be trained on, a model of other than 3 channels or another number of classes, and if not
/// even one image at a time fits the limit.
BIT_FUNC recipe resolve(const fine_tune_options& options, const data::dataset& train, tunable_model& model);

/// The rules for parameters of the optimizer that the options choose.
inline const parameter_options& rules_of(const fine_tune_options& options) {
  return options.adam ? options.adam->parameters : options.sgd.parameters;
}

/// Several lines for people.
BIT_FUNC std::string to_string(const recipe& plan);

/// All that changes the weights, for training_state::flags.
BIT_FUNC std::map<std::string, std::string> flags_of(const recipe& plan, const fine_tune_options& options,
                                                     const data::dataset& train);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/recipe.ipp>
#endif
