// SPDX-License-Identifier: Apache-2.0
// Bodies of io/checkpoint.hpp: files and values. How tensors are recognised stands in recognise.ipp.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include <bit/error.hpp>
#include <bit/io/checkpoint.hpp>
#include <bit/io/convert.hpp>
#include <bit/io/npz.hpp>
#include <bit/io/recognise.ipp>
#include <bit/io/safetensors.hpp>
#include <bit/io/sniff.hpp>
#include <bit/io/values.ipp>

namespace bit::inline BIT_ABI::io {

BIT_FUNC std::size_t checkpoint::num_parameters() const {
  std::size_t total = 0;
  for (const named_tensor& tensor : tensors) total += detail::element_count(tensor.shape);
  return total;
}

BIT_FUNC checkpoint open_checkpoint(const std::filesystem::path& path, const open_options& options) {
  const auto file = std::make_shared<const detail::input_file>(path, options.mode);
  std::vector<std::byte> start(static_cast<std::size_t>(std::min<std::uint64_t>(file->size(), 512)));
  file->read(0, start);
  checkpoint result;
  switch (detail::kind_of(start, file->size(), path.filename().string())) {
    case detail::file_kind::zip:
      result.format = "npz";
      detail::recognise_into(result, detail::read_npz(file), file->name(), options);
      break;
    case detail::file_kind::safetensors: {
      result.format = "safetensors";
      auto content = detail::read_safetensors(file);
      result.metadata = std::move(content.metadata);
      if (result.metadata.contains("bit.training"))  // the optimizer's state (train/checkpoint.hpp) is no parameter
        std::erase_if(content.tensors, [](const raw_tensor& t) { return t.name.starts_with("optimiser/"); });
      detail::recognise_into(result, std::move(content.tensors), file->name(), options);
      break;
    }
    case detail::file_kind::other:
      throw format_error("[checkpoint] " + file->name() +
                         " is no checkpoint: " + detail::describe_other(start, file->size()));
  }
  result.file_size = file->size();
  return result;
}

BIT_FUNC checkpoint recognise(std::vector<raw_tensor> tensors, const std::string& source, const open_options& options) {
  checkpoint result;
  result.format = "memory";
  detail::recognise_into(result, std::move(tensors), source, options);
  return result;
}

BIT_FUNC named_tensor to_parameter(raw_tensor stored, naming names) {
  const auto official = official_name(stored.name, names);
  const auto order = official ? detail::order_from(names, *official, stored.shape.size()) : axis_order{};
  if (order.empty() || stored.type < dtype::float16)
    throw config_error("[to_parameter] " + stored.name + ": expected a BiT parameter of floating numbers under its " +
                       to_string(names) + " name and layout, got " + to_string(stored.type) + " " +
                       to_string(stored.shape));
  std::vector<std::size_t> shape;
  for (int axis : order) shape.push_back(axis < 0 ? 1 : stored.shape[static_cast<std::size_t>(axis)]);
  return {*official, std::move(shape), detail::as_parameter(std::move(stored), order)};
}

BIT_FUNC std::vector<std::string> find_bad_values(const checkpoint& from) {
  std::vector<std::string> found;
  bool unusable = false;
  for (const named_tensor& tensor : from.tensors)
    if (std::string problem = detail::bad_values(tensor, unusable); !problem.empty())
      found.push_back(std::move(problem));
  return found;
}

}  // namespace bit::inline BIT_ABI::io
