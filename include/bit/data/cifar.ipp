// SPDX-License-Identifier: Apache-2.0
// Bodies of data/cifar.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include <bit/data/archive.hpp>
#include <bit/data/cifar.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

inline constexpr std::size_t cifar_side = 32, cifar_bytes = 3 * cifar_side * cifar_side;
/// The files of both sets; which of them are there says which set it is.
inline const std::vector<std::string>& cifar10_files() {
  static const std::vector<std::string> names{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  return names;
}
inline bool is_cifar_member(const std::string& name) {
  constexpr std::array<std::string_view, 5> others{"batches.meta.txt", "train.bin", "test.bin", "fine_label_names.txt",
                                                   "coarse_label_names.txt"};
  return std::ranges::find(cifar10_files(), name) != cifar10_files().end() ||
         std::ranges::find(others, name) != others.end();
}

using cifar_files = std::map<std::string, std::vector<std::byte>>;

inline std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  if (code) throw io_error("[data] cannot read " + path.string() + ": " + code.message(), code.value());
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) {
    const int number = errno;
    throw io_error("[data] cannot read " + path.string() + ": " + std::strerror(number), number);
  }
  return bytes;
}

/// Where the binary files lie: `path` itself or, in a folder, the usual names.
inline std::optional<std::filesystem::path> find_cifar(const std::filesystem::path& path) {
  std::error_code none;
  const auto holds = [&](const std::filesystem::path& folder) {
    return std::filesystem::is_regular_file(folder / "data_batch_1.bin", none) ||
           std::filesystem::is_regular_file(folder / "train.bin", none);
  };
  if (std::filesystem::is_regular_file(path, none)) {
    const std::string name = path.filename().string();
    if (name.starts_with("cifar-10") && name.find("binary") != std::string::npos) return path;
    return std::nullopt;
  }
  if (holds(path)) return path;
  for (const char* name : {"cifar-10-batches-bin", "cifar-100-binary"})
    if (holds(path / name)) return path / name;
  for (const char* name :
       {"cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz", "cifar-10-binary.tar", "cifar-100-binary.tar"})
    if (std::filesystem::is_regular_file(path / name, none)) return path / name;
  return std::nullopt;
}

inline cifar_files read_cifar_files(const std::filesystem::path& path) {
  cifar_files files;
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) {
    const auto base = [](const std::string& name) { return name.substr(name.rfind('/') + 1); };
    read_tar(
        path, [&](const std::string& name, std::size_t) { return is_cifar_member(base(name)); },
        [&](const std::string& name, std::vector<std::byte> bytes) { files[base(name)] = std::move(bytes); });
    return files;
  }
  for (const auto& entry : std::filesystem::directory_iterator(path, none))
    if (const std::string name = entry.path().filename().string(); is_cifar_member(name))
      files[name] = read_bytes(entry.path());
  return files;
}

/// One name per line; "class 0", "class 1", ... where the file is not there.
inline std::vector<std::string> cifar_names(const cifar_files& files, const std::string& file, std::size_t classes,
                                            const std::string& source) {
  std::vector<std::string> names;
  const auto found = files.find(file);
  if (found == files.end()) {
    for (std::size_t c = 0; c < classes; ++c) names.push_back("class " + std::to_string(c));
    return names;
  }
  std::string line;
  for (const std::byte b : found->second) {
    const char c = static_cast<char>(b);
    if (c == '\n' && !line.empty()) names.push_back(std::exchange(line, {}));
    if (c != '\n' && c != '\r') line += c;
  }
  if (!line.empty()) names.push_back(line);
  if (names.size() != classes)
    throw format_error(source + ": expected " + std::to_string(classes) + " class names in " + file + ", got " +
                       std::to_string(names.size()));
  return names;
}

struct cifar_layout {
  std::size_t label_bytes, label_at;  // per record, and which of them is the label
  std::vector<std::string> classes;
};

/// The records of some files, one after another.
inline dataset_ptr cifar_set(const cifar_files& files, const std::vector<std::string>& names,
                             const cifar_layout& layout, const std::string& source, const char* part) {
  const std::size_t record = layout.label_bytes + cifar_bytes, plane = cifar_side * cifar_side;
  std::vector<std::uint8_t> pixels;
  std::vector<std::size_t> labels;
  for (const std::string& name : names) {
    const auto found = files.find(name);
    if (found == files.end())
      throw format_error(source + ": expected the file " + name + ", it is missing; fetch the archive again");
    const std::vector<std::byte>& bytes = found->second;
    if (bytes.empty() || bytes.size() % record != 0)
      throw format_error(source + ": expected whole records of " + std::to_string(record) + " bytes in " + name +
                         ", got " + std::to_string(bytes.size()) + " bytes; it is truncated, fetch it again");
    pixels.reserve(pixels.size() + bytes.size() / record * cifar_bytes);
    for (std::size_t begin = 0; begin < bytes.size(); begin += record) {
      const auto label = static_cast<std::size_t>(bytes[begin + layout.label_at]);
      if (label >= layout.classes.size())
        throw format_error(source + ": expected labels below " + std::to_string(layout.classes.size()) + " in " + name +
                           ", got " + std::to_string(label) + " in record " + std::to_string(begin / record));
      labels.push_back(label);
      const std::byte* planes = bytes.data() + begin + layout.label_bytes;
      for (std::size_t i = 0; i < plane; ++i)
        for (std::size_t c = 0; c < 3; ++c) pixels.push_back(static_cast<std::uint8_t>(planes[plane * c + i]));
    }
  }
  return std::make_shared<memory_dataset>(std::move(pixels), cifar_side, cifar_side, std::move(labels), layout.classes,
                                          source + ", " + part);
}

}  // namespace detail

BIT_FUNC bool is_cifar_binary(const std::filesystem::path& path) { return detail::find_cifar(path).has_value(); }

BIT_FUNC dataset_split open_cifar_binary(const std::filesystem::path& path, cifar_labels labels) {
  std::error_code none;
  const auto found = detail::find_cifar(path);
  if (!found && !std::filesystem::is_regular_file(path, none))
    throw format_error("[data] " + path.string() +
                       ": expected data_batch_1.bin or train.bin, or a cifar-10-binary or cifar-100-binary archive");
  const std::string source = found.value_or(path).string();
  const detail::cifar_files files = detail::read_cifar_files(found.value_or(path));
  if (files.contains("train.bin") || files.contains("test.bin")) {
    const bool fine = labels == cifar_labels::fine;
    const detail::cifar_layout layout{
        2, fine ? std::size_t{1} : std::size_t{0},
        detail::cifar_names(files, fine ? "fine_label_names.txt" : "coarse_label_names.txt", fine ? 100 : 20, source)};
    return {detail::cifar_set(files, {"train.bin"}, layout, source, "training set"),
            detail::cifar_set(files, {"test.bin"}, layout, source, "test set")};
  }
  const detail::cifar_layout layout{1, 0, detail::cifar_names(files, "batches.meta.txt", 10, source)};
  std::vector<std::string> train = detail::cifar10_files();
  train.pop_back();
  return {detail::cifar_set(files, train, layout, source, "training set"),
          detail::cifar_set(files, {"test_batch.bin"}, layout, source, "test set")};
}

}  // namespace bit::inline BIT_ABI::data
