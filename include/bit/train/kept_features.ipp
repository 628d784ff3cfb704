// SPDX-License-Identifier: Apache-2.0
// Bodies of train/kept_features.hpp.
#pragma once

#include <algorithm>
#include <bit/train/best_metric.hpp>
#include <bit/train/kept_features.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC feature_table compute_features(tunable_model& model, const data::dataset_ptr& images,
                                        const data::augment_spec& spec, std::size_t batch,
                                        const batch_loader_options& loader, const run_options& run) {
  feature_table table;
  table.channels = model.config().num_features();
  table.rows.resize(images->size() * table.channels);
  table.labels.assign(images->size(), -1);
  const sampler order(images->size(), batch, 0, {.order = sample_order::sequential, .end = epoch_end::short_batch});
  batch_loader batches(images, order, data::evaluation_of(spec), 0, 0, order.batches_per_epoch(), loader);
  std::vector<float> found;
  while (const auto loaded = batches.next()) {
    found.resize(loaded->labels.size() * table.channels);
    model.features(view_of(loaded->images.data(), dims_of(loaded->images.shape(), spec.order), spec.order),
                   found.data(), run);
    for (std::size_t i = 0; i < loaded->labels.size(); ++i) {
      const std::size_t at = loaded->indices[i];
      table.labels[at] = loaded->labels[i];
      std::copy_n(found.data() + i * table.channels, table.channels, table.rows.data() + at * table.channels);
    }
  }
  table.skipped = batches.skipped();
  return table;
}

BIT_FUNC feature_source::feature_source(const feature_table& features, const sampler& order,
                                        std::size_t batches_per_step)
    : features_(features), order_(order), batches_per_step_(batches_per_step) {}

BIT_FUNC std::size_t feature_source::size(std::size_t step) const {
  if (batches_per_step_ == 0) return order_.size(step);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < batches_per_step_; ++i) sum += order_.size(step * batches_per_step_ + i);
  return sum;
}

BIT_FUNC micro_batch feature_source::read(std::size_t step, std::size_t part, std::size_t parts) {
  const bool own = batches_per_step_ != 0;
  const auto all = order_.batch(own ? step * parts + part : step);
  const auto range = own ? micro_batch_range{0, all.size()} : range_of_micro_batch(all.size(), part, parts);
  std::vector<std::size_t> chosen;
  for (const std::size_t index : std::span(all).subspan(range.first, range.count))
    if (features_.labels[index] >= 0) chosen.push_back(index);
  micro_batch batch;
  batch.images = tensor4<float>::from_shape({chosen.size(), features_.channels, 1, 1});
  float* to = batch.images.data();
  for (const std::size_t index : chosen) {
    to = std::copy_n(features_.rows.data() + index * features_.channels, features_.channels, to);
    batch.labels.push_back(features_.labels[index]);
  }
  return batch;
}

BIT_FUNC evaluation evaluate_head(tunable_model& model, const feature_table& features, std::size_t batch,
                                  const run_options& run, bool with_auroc) {
  const std::size_t classes = model.config().num_classes;
  evaluation_counter counter;
  auroc_counter ranks;
  feature_source source(features, sampler(features.labels.size(), batch, 0, {.order = sample_order::sequential}));
  std::vector<float> logits;
  for (std::size_t first = 0, step = 0; first < features.labels.size(); first += batch, ++step) {
    const micro_batch part = source.read(step, 0, 1);
    logits.resize(part.size() * classes);
    model.head_logits(part.view(), logits.data(), run);
    counter.add(logits, part.labels, classes);
    if (with_auroc) ranks.add(logits, part.labels, classes);
  }
  evaluation found = counter.result();
  found.auroc = ranks.result();
  return found;
}

}  // namespace bit::inline BIT_ABI::train
