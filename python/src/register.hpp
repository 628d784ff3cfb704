// SPDX-License-Identifier: Apache-2.0
// What each register_<thing>.cpp adds to the module.
#pragma once

#include <pybind11/pybind11.h>

#include <bit/backend/report.hpp>
#include <bit/model/network.hpp>
#include <string>
#include <vector>

/// Exception classes; they derive from ValueError, OSError or RuntimeError as bit/error.hpp says.
void register_errors(pybind11::module_& m);

/// Config, the architecture description.
void register_config(pybind11::module_& m);

/// Checkpoint and the functions that open, recognise and write checkpoints.
void register_io(pybind11::module_& m);
/// Decoding, resizing and preprocessing of images.
void register_data(pybind11::module_& m);
/// Data sets and the training loader.
void register_train_data(pybind11::module_& m);
/// Where labelled images come from: folders, lists, archives.
void register_collections(pybind11::module_& m);
/// BiT-HyperRule and the choice of few examples.
void register_recipe(pybind11::module_& m);
/// Probes on features: ridge regression and nearest neighbours.
void register_eval(pybind11::module_& m);

/// Network.
void register_model(pybind11::module_& m);
/// Threads, ceilings of the machine, build information.
void register_threads(pybind11::module_& m);

/// `threads`, or what set_num_threads said if it is 0; 0 if it was never called.
std::size_t threads_or_default(std::size_t threads);

/// Parameters in training.
void register_trainer(pybind11::module_& m);

/// Passes for automatic differentiation.
void register_recorder(pybind11::module_& m);

/// Fine-tuning as a whole, and evaluation.
void register_fine_tune(pybind11::module_& m);

/// The function `estimate`.
void register_summary(pybind11::module_& m);

/// Name of a network's last output: "logits", or "pooled" without a head.
std::string last_output(const bit::resnet_config& config);

/// Rows of bit::summarise for n images of h x w; maps and tables of `item_size` bytes a value.
pybind11::list summary_of(const bit::network& net, std::size_t n, std::size_t h, std::size_t w, std::size_t item_size);
/// Rows of a plan's report; with seconds if it was profiled.
pybind11::list rows_of(const std::vector<bit::step_profile>& report);
