// SPDX-License-Identifier: Apache-2.0
// What a checkpoint's file name claims, against what was found in it.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include <bit/io/checkpoint.hpp>

namespace bit::inline BIT_ABI::detail {

/// The last part of a path, e.g. of a folder "m-r50x1/1/".
inline std::string last_component(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

/// Architectures named anywhere in a file name, as "R50x1": a known depth, x, a digit, neither inside longer numbers.
inline std::vector<std::string> claimed_architectures(const std::string& name) {
  const auto digit_at = [&](std::size_t i) {
    return i < name.size() && std::isdigit(static_cast<unsigned char>(name[i]));
  };
  std::vector<std::string> claims;
  for (const std::string_view depth : {"50", "101", "152"})
    for (std::size_t at = name.find(depth); at != std::string::npos; at = name.find(depth, at + 1)) {
      const std::size_t x = at + depth.size();
      const bool starts = at == 0 || !digit_at(at - 1);
      if (starts && x < name.size() && (name[x] == 'x' || name[x] == 'X') && digit_at(x + 1) && !digit_at(x + 2))
        claims.push_back("R" + std::string(depth) + "x" + name[x + 1]);
    }
  return claims;
}

/// A sentence if the file's name names architectures and none of them is the one found, else nothing.
inline std::string contradiction_in_name(const std::string& source, const resnet_config& found) {
  const std::string name = last_component(source), architecture = architecture_name(found);
  const auto claims = claimed_architectures(name);
  if (claims.empty() || std::find(claims.begin(), claims.end(), architecture) != claims.end()) return {};
  std::string sentence = "the file is named " + claims.front() + ", its tensors make " + architecture;
  // google-research/big_transfer issues 24 and 47.
  if (name == "BiT-S-R50x3.h5" || name == "BiT-S-R101x1.h5")
    sentence += " (the released " + name + " is known to hold another network; take " +
                name.substr(0, name.size() - 3) + ".npz)";
  return sentence;
}

}  // namespace bit::inline BIT_ABI::detail
