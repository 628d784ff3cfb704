// SPDX-License-Identifier: Apache-2.0
// Public header of training: recipe, data, losses, optimizers, the loop, its files. Includes, and what the library holds.
#pragma once

#include <bit/backend/loss.hpp>
#include <bit/model/random.hpp>
#include <bit/model/recorder_cpu.hpp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/best_metric.hpp>
#include <bit/train/checkpoint.hpp>
#include <bit/train/class_weights.hpp>
#include <bit/train/evaluation.hpp>
#include <bit/train/few_shot.hpp>
#include <bit/train/fine_tune.hpp>
#include <bit/train/hyper_rule.hpp>
#include <bit/train/kept_features.hpp>
#include <bit/train/loader.hpp>
#include <bit/train/loader_source.hpp>
#include <bit/train/memory.hpp>
#include <bit/train/metrics_log.hpp>
#include <bit/train/mixup.hpp>
#include <bit/train/optimizer.hpp>
#include <bit/train/parameter_rules.hpp>
#include <bit/train/recipe.hpp>
#include <bit/train/run_folder.hpp>
#include <bit/train/sampler.hpp>
#include <bit/train/sgd.hpp>
#include <bit/train/step.hpp>
#include <bit/train/time_estimate.hpp>
#include <bit/train/trainable_backends.hpp>
#include <bit/train/trainer.hpp>
#include <bit/train/tunable_model.hpp>
