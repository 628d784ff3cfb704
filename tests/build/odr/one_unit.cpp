// SPDX-License-Identifier: Apache-2.0
// The unit of a program that holds the library's bodies.
#include <bit/implementation.hpp>
