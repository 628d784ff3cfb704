// SPDX-License-Identifier: Apache-2.0
// The bodies for the one translation unit of a program that holds them, as in stb or doctest. Every unit of the program
// is compiled with -DBIT_COMPILED; one of them includes this, which is all that loading a model and running it in float
// on images needs. What else the program uses, the same unit includes as well:
//   bfloat16   <bit/implementation/microkernels_bfloat16.hpp>, network_bfloat16.hpp
//   data sets  data.hpp
//   training   those of bfloat16 and of data sets, microkernels_training.hpp, trainable.hpp, train.hpp, train_data.hpp, fine_tune.hpp
//   probes     eval.hpp
//   reference  reference.hpp; with training, reference_training.hpp
// Several units may share the parts, each in one of them, to be compiled in parallel; the CMake function
// bit_add_implementation() does that.
#pragma once

#include <bit/implementation/images.hpp>
#include <bit/implementation/io.hpp>
#include <bit/implementation/microkernels.hpp>
#include <bit/implementation/network.hpp>
