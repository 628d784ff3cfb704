// SPDX-License-Identifier: Apache-2.0
// Bodies of model/completeness.hpp.
#pragma once

#include <bit/model/completeness.hpp>
#include <bit/program/parameter.hpp>
#include <map>

namespace bit::inline BIT_ABI::detail {

BIT_FUNC std::string capped_list(const std::set<std::string>& items) {
  constexpr std::size_t limit = 12;
  std::string text;
  std::size_t i = 0;
  for (const std::string& item : items)
    if (i++ < limit) text += (i > 1 ? ", " : "") + item;
  if (items.size() > limit) text += " ... and " + std::to_string(items.size() - limit) + " more";
  return text;
}

BIT_FUNC std::string tensor_problems(const std::vector<tensor_spec>& specs, std::span<const present_tensor> tensors,
                                     const parameter_spelling& spelling) {
  std::set<std::string> missing, unexpected, twice, misshaped, not_floating;
  std::map<std::string, const present_tensor*> found;
  for (const present_tensor& t : tensors)
    if (!found.emplace(t.parameter, &t).second) twice.insert(t.name);
  auto others = found;
  for (const tensor_spec& spec : specs) {
    others.erase(spec.name);
    const auto at = found.find(spec.name);
    if (at == found.end()) {
      missing.insert(spelling.name(spec));
      continue;
    }
    const present_tensor& t = *at->second;
    if (t.official_shape != spec.shape)
      misshaped.insert(t.name + " expected " + to_string(spelling.shape(spec)) + " got " + to_string(t.shape));
    if (!t.unusable_dtype.empty()) not_floating.insert(t.name + " " + t.unusable_dtype);
  }
  for (const auto& [parameter, t] : others) unexpected.insert(t->name);
  std::string text;
  const auto add = [&](const std::set<std::string>& items, const char* what) {
    if (!items.empty()) text += "\n  " + std::to_string(items.size()) + " " + what + ": " + capped_list(items);
  };
  add(missing, "missing");
  add(unexpected, "unexpected");
  add(twice, "given twice");
  add(misshaped, "of another shape");
  add(not_floating, "not of floating numbers");
  return text;
}

}  // namespace bit::inline BIT_ABI::detail
