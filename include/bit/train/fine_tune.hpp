// SPDX-License-Identifier: Apache-2.0
// Fine-tuning as a whole: a checkpoint, a data set and a recipe go in, a run's folder with a model for the set comes out.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/dataset.hpp>
#include <bit/io/checkpoint.hpp>
#include <bit/train/evaluation.hpp>
#include <bit/train/loader.hpp>
#include <bit/train/recipe.hpp>
#include <bit/train/trainer.hpp>

namespace bit::inline BIT_ABI::train {

/// What a caller wants to hear. All are called by the thread that calls fine_tune(), and any may be empty.
struct fine_tune_callbacks {
  std::function<void(const part_report&)> on_part = nullptr;
  std::function<void(const update_report&)> on_step = nullptr;
  std::function<void(std::size_t step, const evaluation&)> on_evaluation = nullptr;
  std::function<void(std::size_t step, const std::filesystem::path&)> on_checkpoint = nullptr;
  std::function<void(const skipped_example&)> on_skipped = nullptr;
  std::function<void(std::size_t step)> on_best = nullptr;  ///< after a new best, while the model still is it
  std::function<bool()> should_stop = nullptr;              ///< asked before each step; true saves and returns
};

/// The network of a checkpoint with a head of zeros for `classes` classes, ready to be tuned in `dtype`. Throws
/// config_error for 0 classes, and what reading the tensors throws.
BIT_FUNC tunable_model with_new_head(const io::checkpoint& from, std::size_t classes,
                                     bit::dtype dtype = bit::dtype::float32);

/// The same with the checkpoint's own head, to go on with. Throws config_error unless the file itself names `classes`, in
/// this order, as those of its head (io::read_metadata), as files of fine_tune() and pybit do.
BIT_FUNC tunable_model with_own_head(const io::checkpoint& from, const std::vector<std::string>& classes,
                                     bit::dtype dtype = bit::dtype::float32);

/// What an evaluation tells while it runs, in its own thread, in the order of the images.
struct evaluation_callbacks {
  /// After each batch, with the logits (n,classes) of its images, row-major.
  std::function<void(const labelled_batch&, std::span<const float> logits)> on_batch = nullptr;
  /// At the end, for each image that loader.skip_corrupt left out.
  std::function<void(const skipped_example&)> on_skipped = nullptr;
};

/// Loss, top-1 and top-5 over all images, squashed to spec.crop as the reference evaluates, or centre-cropped if the spec
/// says so; the last, smaller batch counts by its images. With `keep_pairs` the result tells what each image was taken
/// for. `logits(images, out)` writes (n,classes). Throws config_error unless the set has `classes` classes, and
/// what loading images throws. Images left out by loader.skip_corrupt do not count.
BIT_FUNC evaluation evaluate(const std::function<void(const image_view<float>&, float*)>& logits, std::size_t classes,
                             const data::dataset_ptr& images, const data::augment_spec& spec, std::size_t batch,
                             const batch_loader_options& loader = {}, bool keep_pairs = false,
                             const evaluation_callbacks& callbacks = {});

/// Trains by `plan`, which resolve() made of the same options, set and model. With options.folder the run is continued if
/// one is there, to the same bits as without the interruption; the folder then holds last.safetensors, best.safetensors
/// (with a validation set; both can be used by pybit.load() as they are) and metrics.jsonl. Without a validation set,
/// split.validation null or empty, nothing is evaluated. Throws what train() throws.
BIT_FUNC training_result fine_tune(tunable_model& model, const data::dataset_split& split,
                                   const fine_tune_options& options, const recipe& plan,
                                   const fine_tune_callbacks& callbacks = {});

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/fine_tune.ipp>
#endif
