// SPDX-License-Identifier: Apache-2.0
// Included by the parts of the implementation: a unit that holds bodies must not see them as inline functions too.
#pragma once

#include <bit/config.hpp>

#if BIT_HEADER_ONLY
#error "bit/implementation: define BIT_COMPILED for every translation unit of the program (-DBIT_COMPILED), this one too"
#endif
