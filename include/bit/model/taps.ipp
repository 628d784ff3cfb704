// SPDX-License-Identifier: Apache-2.0
// Bodies of model/taps.hpp.
#pragma once

#include <algorithm>
#include <bit/model/taps.hpp>

namespace bit::inline BIT_ABI::detail {

BIT_FUNC tapped_program emit_tapped(const network& net, const dims4& images, std::span<const std::string> names) {
  if (net.config().num_classes == 0)
    throw config_error("[tap] expected a network with a head, got 0 classes; gradients begin at the logits");
  const std::vector<std::string> known = net.output_names();
  std::vector<std::string> outputs{"logits"};
  for (const std::string& name : names) {
    if (name == "image") continue;
    if (name == "logits" || std::find(known.begin(), known.end(), name) == known.end()) {
      std::string list = "image";
      for (const std::string& k : known)
        if (k != "logits") list += ", " + k;
      throw config_error("[tap] expected names out of " + list + "; got \"" + name + "\"");
    }
    outputs.push_back(name);
  }
  tapped_program made{net.emit(images, outputs), {}};
  std::vector<value_id>& values = made.forward.outputs;
  std::size_t next = 1;
  for (const std::string& name : names) {
    if (name != "image") {
      made.taps.push_back(values[next++]);
      continue;
    }
    for (std::size_t v = 0; v < made.forward.values.size(); ++v)
      if (made.forward.values[v].kind == value_kind::image) made.taps.push_back(value_id{v});
  }
  values.resize(1);
  return made;
}

}  // namespace bit::inline BIT_ABI::detail
