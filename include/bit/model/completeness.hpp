// SPDX-License-Identifier: Apache-2.0
// Whether a set of tensors is the parameters of one network, and the words for what is wrong if it is not.
#pragma once

#include <bit/config.hpp>
#include <bit/model/config.hpp>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// A tensor that is there, as far as tensor_problems() looks at it.
struct present_tensor {
  std::string parameter;                    ///< the official name of the parameter that it is, or its own
  std::vector<std::size_t> official_shape;  ///< its shape in the official layout
  std::string name;                         ///< the name that messages give it
  std::vector<std::size_t> shape;           ///< the shape that messages give it
  std::string unusable_dtype = {};          ///< the name of its dtype if no parameter can have that
};

/// It says how messages spell parameters that are not there or have another shape: a file may follow other names and
/// layouts than the official ones.
struct parameter_spelling {
  std::function<std::string(const tensor_spec&)> name;
  std::function<std::vector<std::size_t>(const tensor_spec&)> shape;
};

/// Returns the text "a, b, c ... and 12 more", with at most 12 of the items.
BIT_FUNC std::string capped_list(const std::set<std::string>& items);

/// Returns one line "\n  2 missing: a, b" for every way in which `tensors` differ from the parameters `specs`: missing,
/// unexpected, given twice, of another shape, not of floating numbers. Names are sorted, and 12 of each line are given.
/// The text is empty if there is no difference.
BIT_FUNC std::string tensor_problems(const std::vector<tensor_spec>& specs, std::span<const present_tensor> tensors,
                                     const parameter_spelling& spelling);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/model/completeness.ipp>
#endif
