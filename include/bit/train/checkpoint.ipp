// SPDX-License-Identifier: Apache-2.0
// Bodies of train/checkpoint.hpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <utility>

#include <bit/detail/crc32.hpp>
#include <bit/detail/finite.hpp>
#include <bit/detail/json.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/io/file.hpp>
#include <bit/io/safetensors.hpp>
#include <bit/train/checkpoint.hpp>

namespace bit::inline BIT_ABI::detail {

/// A tensor of a training file: a parameter, or a part of the optimizer's state if there is one.
struct training_tensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::size_t parameter = 0, size = 0;
  std::optional<train::optimizer_buffer> state = {};
};

inline std::vector<training_tensor> training_tensors(const trainable_parameters<float>& parameters,
                                                     const train::optimizer* by) {
  std::vector<training_tensor> tensors;
  const auto specs = parameters.specs();
  for (std::size_t i = 0; i < specs.size(); ++i) tensors.push_back({specs[i].name, specs[i].shape, i, specs[i].size()});
  if (by)
    for (const auto& b : by->buffers()) {
      const tensor_spec& of = specs[b.parameter];
      tensors.push_back({"optimiser/" + b.name + "/" + of.name, of.shape, b.parameter, of.size(), b});
    }
  return tensors;
}

/// The tensor's values: where they lie if that is host memory, otherwise a copy in `room`.
inline std::span<const float> values_of(const training_tensor& tensor, const trainable_parameters<float>& parameters,
                                        const train::optimizer* by, std::vector<float>& room) {
  if (!tensor.state)
    if (const auto here = parameters.in_host_memory(tensor.parameter); here.size() == tensor.size) return here;
  room.resize(tensor.size);
  if (tensor.state)
    by->read(*tensor.state, room);
  else
    parameters.read(parameter_array::values, tensor.parameter, room);
  return room;
}

inline std::map<std::string, std::string> training_metadata(const train::training_state& state,
                                                            const train::optimizer* by, std::uint32_t checksum) {
  auto metadata = state.metadata;
  metadata["bit.training"] = "1";
  metadata["bit.training.step"] = std::to_string(state.step);
  metadata["bit.training.seed"] = std::to_string(state.seed);
  metadata["bit.training.architecture"] = state.architecture;
  metadata["bit.training.flags"] = json_object(state.flags);
  metadata["bit.training.crc32"] = std::to_string(checksum);
  if (state.best) {
    metadata["bit.training.best"] = number_text(*state.best);
    metadata["bit.training.best_step"] = std::to_string(state.best_step);
  }
  if (by) {
    metadata["bit.training.optimiser"] = by->name();
    metadata["bit.training.updates"] = std::to_string(by->updates());
  }
  if (!state.labels.empty()) {
    metadata["bit.labels"] = json_list(state.labels);
    metadata.try_emplace("pybit", "{\"labels\":" + metadata["bit.labels"] + "}");  // where pybit.load() looks
  }
  return metadata;
}

inline void write_training(const std::filesystem::path& path, const trainable_parameters<float>& parameters,
                           const train::optimizer* by, const train::training_state& state) {
  const auto tensors = training_tensors(parameters, by);
  std::vector<std::pair<std::string, std::vector<std::size_t>>> forms;
  std::vector<float> room;
  std::uint32_t checksum = 0;
  for (const auto& t : tensors) {
    const auto values = values_of(t, parameters, by, room);
    if (!t.state && !std::all_of(values.begin(), values.end(), [](float v) { return detail::is_finite(v); }))
      throw diverged_error("[training] " + t.name + " holds NaN or infinite values at step " +
                           std::to_string(state.step) + "; " + path.string() +
                           " was left as it is. A lower learning rate, or a longer warm-up, may help");
    forms.emplace_back(t.name, t.shape);
    checksum = crc32_of(std::as_bytes(values), checksum);
  }
  const std::string header = make_safetensors_header(forms, training_metadata(state, by, checksum));
  output_file file(path);
  file.append(header);
  for (const auto& t : tensors) file.append(std::as_bytes(values_of(t, parameters, by, room)));
  file.commit();
}

/// A training file that has been opened, with typed access to its metadata.
class training_file {
 public:
  explicit training_file(const std::filesystem::path& path)
      : name_(path.string()),
        content_(read_safetensors(std::make_shared<const input_file>(path, io::read_mode::copy))) {
    const auto version = content_.metadata.find("bit.training");
    if (version == content_.metadata.end())
      fail("holds no training state; give it as the weights to start from, not as a run to continue");
    if (version->second != "1")
      fail("has training state of version " + version->second + ", which a later version of this library wrote");
  }

  const std::string& name() const { return name_; }
  const std::vector<io::raw_tensor>& tensors() const { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }
  bool has(const std::string& key) const { return content_.metadata.contains(key); }
  const std::string& text(const std::string& key) const {
    const auto found = content_.metadata.find(key);
    if (found == content_.metadata.end()) fail("lacks the metadata entry " + key);
    return found->second;
  }
  template <class Number>
  Number number(const std::string& key) const {
    const std::string& value = text(key);
    Number result{};
    const auto [stop, problem] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (problem != std::errc() || stop != value.data() + value.size())
      fail("has \"" + value + "\" as its metadata entry " + key + ", which is no such number");
    return result;
  }
  [[noreturn]] void fail(const std::string& what) const { throw format_error("[training] " + name_ + " " + what); }

 private:
  std::string name_;
  safetensors_content content_;
};

inline train::training_state state_in(const training_file& file) {
  train::training_state state;
  state.step = file.number<std::uint64_t>("bit.training.step");
  state.seed = file.number<std::uint64_t>("bit.training.seed");
  state.architecture = file.text("bit.training.architecture");
  try {
    state.flags = read_json_object(file.text("bit.training.flags"));
    if (file.has("bit.labels")) state.labels = read_json_list(file.text("bit.labels"));
  } catch (const json_error& e) {
    file.fail(std::string("has malformed flags or labels in its metadata: ") + e.what());
  }
  if (file.has("bit.training.best")) {
    state.best = file.number<double>("bit.training.best");
    state.best_step = file.number<std::uint64_t>("bit.training.best_step");
  }
  for (const auto& [key, value] : file.metadata())
    if (!key.starts_with("bit.training") && key != "bit.labels") state.metadata.emplace(key, value);
  return state;
}

/// One clause per difference between the run in the file and this one.
inline std::vector<std::string> differences(const train::training_state& there, const train::training_state& here) {
  std::vector<std::string> found;
  const auto compare = [&](const std::string& what, const std::string& a, const std::string& b) {
    if (a != b) found.push_back(what + ": " + a + " there, " + b + " here");
  };
  compare("architecture", there.architecture, here.architecture);
  compare("seed", std::to_string(there.seed), std::to_string(here.seed));
  std::set<std::string> keys;
  for (const auto* flags : {&there.flags, &here.flags})
    for (const auto& flag : *flags) keys.insert(flag.first);
  const auto value = [](const std::map<std::string, std::string>& flags, const std::string& key) {
    const auto at = flags.find(key);
    return at == flags.end() ? "not given" : at->second;
  };
  for (const auto& key : keys) compare(key, value(there.flags, key), value(here.flags, key));
  if (there.labels != here.labels)
    compare("labels", there.labels.empty() ? "none" : json_list(there.labels),
            here.labels.empty() ? "none" : json_list(here.labels));
  return found;
}

inline void check_same_run(const training_file& file, const train::training_state& there,
                           const train::training_state& here, const train::optimizer& by) {
  auto found = differences(there, here);
  if (const auto& name = file.text("bit.training.optimiser"); name != by.name())
    found.push_back("optimizer: " + name + " there, " + by.name() + " here");
  if (found.empty()) return;
  std::string list;
  for (const auto& one : found) list += (list.empty() ? "" : "; ") + one;
  throw config_error(
      "[training] " + file.name() + " comes from another run (step " + std::to_string(there.step) + "): " + list +
      ". To continue it, ask for the same; to begin anew, choose another folder or move " + "the file away");
}

/// Finds each tensor's place in the file and verifies shapes and the checksum of all values.
inline std::vector<const io::raw_tensor*> place_training(const training_file& file,
                                                         const std::vector<training_tensor>& wanted) {
  std::map<std::string, const io::raw_tensor*> there;
  for (const auto& t : file.tensors()) there[t.name] = &t;
  std::vector<const io::raw_tensor*> places;
  for (const auto& t : wanted) {
    const auto found = there.find(t.name);
    if (found == there.end()) file.fail("lacks the tensor " + t.name);
    if (found->second->type != io::dtype::float32 || found->second->shape != t.shape)
      file.fail("has " + t.name + " as " + io::to_string(found->second->type) + " " +
                io::to_string(found->second->shape) + "; expected float32 " + io::to_string(t.shape));
    places.push_back(found->second);
    there.erase(found);
  }
  if (!there.empty())
    file.fail("holds " + std::to_string(there.size()) + " tensors that this run does not have, first " +
              there.begin()->first);
  std::uint32_t checksum = 0;
  std::vector<std::byte> bytes;
  for (const auto& t : file.tensors()) {  // in the order of their data
    bytes.resize(static_cast<std::size_t>(*io::byte_count(t.shape, t.type)));
    t.data->read(bytes);
    checksum = crc32_of(bytes, checksum);
  }
  if (checksum != file.number<std::uint32_t>("bit.training.crc32"))
    file.fail("is damaged: its values do not have the checksum that was written with them; take an older copy");
  return places;
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC void save_training(const std::filesystem::path& path, const optimizer& by, const training_state& state) {
  detail::write_training(path, by.parameters(), &by, state);
}

BIT_FUNC void save_weights(const std::filesystem::path& path, const trainable_parameters<float>& parameters,
                           const training_state& state) {
  detail::write_training(path, parameters, nullptr, state);
}

BIT_FUNC training_state read_training_state(const std::filesystem::path& path) {
  return detail::state_in(detail::training_file(path));
}

BIT_FUNC training_state restore_training(const std::filesystem::path& path, optimizer& by,
                                         const training_state& expected) {
  const detail::training_file file(path);
  training_state state = detail::state_in(file);
  if (!file.has("bit.training.optimiser"))
    file.fail("holds weights without the optimizer's state; continue from the run's last.safetensors instead");
  detail::check_same_run(file, state, expected, by);
  const auto updates = file.number<std::uint64_t>("bit.training.updates");
  const auto tensors = detail::training_tensors(by.parameters(), &by);
  const auto places = detail::place_training(file, tensors);
  std::vector<float> room;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    room.resize(tensors[i].size);
    places[i]->data->read(std::as_writable_bytes(std::span(room)));
    if (tensors[i].state)
      by.write(*tensors[i].state, room);
    else
      by.parameters().write(parameter_array::values, tensors[i].parameter, room);
  }
  by.set_updates(updates);
  return state;
}

}  // namespace bit::inline BIT_ABI::train
