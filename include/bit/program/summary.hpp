// SPDX-License-Identifier: Apache-2.0
// What a program costs, step by step: the rows of `pybit summary`.
#pragma once

#include <bit/program/program.hpp>

namespace bit::inline BIT_ABI {

/// One step: what it makes and what that takes.
struct step_summary {
  std::string name;            ///< of the value it makes, e.g. "block1/unit01/a"
  std::string kind;            ///< "stem", "conv 1x1", "conv 3x3 /2", "conv 1x1 + projection", "pool", "mean", "head"
  std::vector<dims4> inputs;   ///< maps and tables it reads, without statistics
  dims4 output;                ///< after the pool for the stem
  std::size_t parameters = 0;  ///< values of the constants it reads, norms included
  std::size_t macs = 0;        ///< multiply-adds of its products
  std::size_t output_elements = 0;
};

/// A row for every step. Thread-safe.
BIT_FUNC std::vector<step_summary> summarise(const program& p);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/program/summary.ipp>
#endif
