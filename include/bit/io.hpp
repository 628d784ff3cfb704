// SPDX-License-Identifier: Apache-2.0
// Public header of checkpoint files: open npz and safetensors, recognise tensors that came another way, write both.
#pragma once

#include <bit/io/checkpoint.hpp>
#include <bit/io/head.hpp>
#include <bit/io/metadata.hpp>
#include <bit/io/names.hpp>
#include <bit/io/write.hpp>
