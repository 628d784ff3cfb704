// SPDX-License-Identifier: Apache-2.0
// Training the head alone on features that a frozen trunk computes once: a source, a model and an evaluation over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/augment.hpp>
#include <bit/data/dataset.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/evaluation.hpp>
#include <bit/train/loader.hpp>
#include <bit/train/recipe.hpp>
#include <bit/train/sampler.hpp>

namespace bit::inline BIT_ABI::train {

/// Pooled features of a data set, (n,c), row-major.
struct feature_table {
  std::size_t channels = 0;
  std::vector<float> rows;
  std::vector<std::int64_t> labels;      ///< -1 for an image that was left out
  std::vector<skipped_example> skipped;  ///< only with loader.skip_corrupt
};

/// Features of all images, squashed to spec.crop as for an evaluation, `batch` at a time. Throws what loading images
/// throws.
BIT_FUNC feature_table compute_features(tunable_model& model, const data::dataset_ptr& images,
                                        const data::augment_spec& spec, std::size_t batch,
                                        const batch_loader_options& loader, const run_options& run);

/// Batches of features in the order in which loader_source would read the images.
class feature_source final : public batch_source {
 public:
  /// `batches_per_step` as for loader_source; the table must outlive this.
  BIT_FUNC feature_source(const feature_table& features, const sampler& order, std::size_t batches_per_step = 0);
  BIT_FUNC std::size_t size(std::size_t step) const override;
  BIT_FUNC micro_batch read(std::size_t step, std::size_t part, std::size_t parts) override;

 private:
  const feature_table& features_;
  sampler order_;
  std::size_t batches_per_step_;
};

/// A model as the trainer sees it whose images are features (n,c,1,1).
class head_of {
 public:
  explicit head_of(tunable_model& model) : model_(model) {}
  trainable_parameters<float>& parameters() { return model_.parameters(); }
  double accumulate(const image_view<float>& features, const loss& what, double scale, std::span<float>,
                    const run_options& run, double weight) {
    return model_.accumulate_head(features, what, scale, run, weight);
  }
  double accumulate(const image_view<float>& features, const loss_function<float>& own, double scale, std::span<float>,
                    const run_options& run, double weight) {
    return model_.accumulate_head(features, own, scale, run, weight);
  }

 private:
  tunable_model& model_;
};

/// Loss, top-1 and top-5 of the model's head over the features; the area under the ROC curve, too, if `with_auroc`.
BIT_FUNC evaluation evaluate_head(tunable_model& model, const feature_table& features, std::size_t batch,
                                  const run_options& run, bool with_auroc = false);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/kept_features.ipp>
#endif
