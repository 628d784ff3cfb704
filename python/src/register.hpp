// What each register_<thing>.cpp adds to the module.
#pragma once

#include <pybind11/pybind11.h>

#include <bit/model/network.hpp>
#include <string>

/// Exception classes; they derive from ValueError, OSError or RuntimeError as bit/error.hpp says.
void register_errors(pybind11::module_& m);

/// Config, the architecture description.
void register_config(pybind11::module_& m);

/// Checkpoint and the functions that open, recognise and write checkpoints.
void register_io(pybind11::module_& m);
/// Decoding, resizing and preprocessing of images.
void register_data(pybind11::module_& m);
/// Probes on features: ridge regression and nearest neighbours.
void register_eval(pybind11::module_& m);

/// Network, threads and build information.
void register_model(pybind11::module_& m);

/// The function `estimate`.
void register_summary(pybind11::module_& m);

/// Name of a network's last output: "logits", or "pooled" without a head.
std::string last_output(const bit::resnet_config& config);

/// Rows of bit::summarise for n images of h x w; maps and tables of `item_size` bytes a value.
pybind11::list summary_of(const bit::network& net, std::size_t n, std::size_t h, std::size_t w, std::size_t item_size);
