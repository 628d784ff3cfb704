// SPDX-License-Identifier: Apache-2.0
// First half of read_collection(): lists the entries below a folder and tells images from everything else. Included by
// collection.ipp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include <bit/data/collection.hpp>
#include <bit/data/folder.hpp>
#include <bit/data/name.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// An image that was found, with the names of the folders that lead to it.
struct scanned_image {
  std::filesystem::path path;
  std::vector<std::string> folders;  ///< below the collection's, outermost first
  std::string inside;                ///< generic path below the collection's folder
};

struct scanned_tree {
  std::vector<scanned_image> images;
  std::vector<std::vector<std::string>>
      bare;  ///< folders that may be classes without images: empty but for other formats
  std::vector<left_out_entry> left_out;
};

inline std::string lower_suffix(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  std::ranges::transform(suffix, suffix.begin(), ascii_lower);
  return suffix;
}

/// Suffixes of image formats that other software reads, so that a report can tell them from texts and archives.
inline bool has_foreign_image_suffix(const std::string& suffix) {
  constexpr std::array<std::string_view, 34> known{
      ".tif", ".tiff", ".gif",  ".ppm", ".pgm",  ".pbm", ".pnm", ".pfm", ".avif", ".heic", ".heif", ".jp2",
      ".j2k", ".jpx",  ".jxl",  ".ico", ".icns", ".tga", ".psd", ".svg", ".exr",  ".hdr",  ".dng",  ".cr2",
      ".nef", ".arw",  ".apng", ".pcx", ".sgi",  ".xbm", ".xpm", ".dds", ".qoi",  ".dcm"};
  return std::ranges::find(known, suffix) != known.end();
}

/// What the first bytes of a file look like.
enum class content { own_image, other_image, other };

inline content look_at(const std::filesystem::path& path) {
  using namespace std::string_view_literals;
  std::array<char, 16> bytes{};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return content::other;
  const std::string_view head(bytes.data(), std::fread(bytes.data(), 1, bytes.size(), file.get()));
  const bool riff = head.starts_with("RIFF"sv) && head.size() >= 12 && head.substr(8, 4) == "WEBP"sv;
  // "BM" alone begins many texts; a bitmap's size field ends in a zero byte for files below 16 MB, its reserved bytes are 0.
  const bool bitmap = head.starts_with("BM"sv) && head.size() >= 10 && head.substr(6, 4) == "\0\0\0\0"sv;
  if (head.starts_with("\xff\xd8\xff"sv) || head.starts_with("\x89PNG\r\n\x1a\n"sv) || bitmap || riff)
    return content::own_image;
  const bool brand = head.size() >= 12 && head.substr(4, 4) == "ftyp"sv &&
                     (head.substr(8, 3) == "avi"sv || head.substr(8, 3) == "hei"sv || head.substr(8, 3) == "mif"sv);
  if (head.starts_with("GIF8"sv) || head.starts_with("II*\0"sv) || head.starts_with("MM\0*"sv) || brand)
    return content::other_image;
  return content::other;
}

/// Walks a folder: its real folders first, then the links in it, so that of a folder and a link to it the folder is taken,
/// whatever their names are.
class collection_scanner {
 public:
  collection_scanner(const std::filesystem::path& root, const collection_options& options) : options_(options) {
    walk(root, {});
    // Links may lead to folders with further links, which are added at the end.
    for (std::size_t i = 0; i < folder_links_.size(); ++i) {
      const link next = folder_links_[i];
      walk(next.first, next.second);
    }
    for (const link& next : file_links_) follow_file(next.first, next.second);
  }
  scanned_tree take() {
    std::ranges::sort(tree_.images, natural_less, &scanned_image::inside);
    std::ranges::sort(tree_.left_out, natural_less, [](const left_out_entry& e) { return e.path.generic_string(); });
    return std::move(tree_);
  }

 private:
  struct entry {
    std::string name;
    std::filesystem::directory_entry at;
  };

  static std::vector<entry> sorted_entries(const std::filesystem::path& folder) {
    std::error_code code;
    std::filesystem::directory_iterator it(folder, code);
    std::vector<entry> entries;
    for (; !code && it != std::filesystem::directory_iterator(); it.increment(code))
      entries.push_back({it->path().filename().string(), *it});
    if (code) throw io_error("[data] cannot list folder " + folder.string() + ": " + code.message(), code.value());
    std::ranges::sort(entries, natural_less, &entry::name);
    return entries;
  }

  void leave_out(const std::filesystem::path& path, left_out_reason reason) {
    tree_.left_out.push_back({path, reason});
  }

  void walk(const std::filesystem::path& folder, const std::vector<std::string>& folders) {
    std::error_code code;
    const auto real = std::filesystem::canonical(folder, code);
    if (code) throw io_error("[data] cannot open folder " + folder.string() + ": " + code.message(), code.value());
    if (!visited_.insert(real).second) return leave_out(folder, left_out_reason::repeated_link);
    bool bare = true;  // holds nothing but images in other formats
    for (const entry& e : sorted_entries(folder)) {
      if (is_hidden_name(e.name))
        leave_out(e.at.path(), left_out_reason::hidden);
      else if (is_litter_name(e.name))
        leave_out(e.at.path(), left_out_reason::litter);
      else if (!add(e, folders))
        bare = false;
    }
    if (bare && !folders.empty()) tree_.bare.push_back(folders);
  }

  /// Sees to one entry that is neither hidden nor litter. False if a folder with it is more than an empty class.
  bool add(const entry& e, const std::vector<std::string>& folders) {
    const std::filesystem::path& path = e.at.path();
    std::error_code code;
    if (e.at.is_symlink(code)) {
      const auto target = std::filesystem::status(path, code);
      if (std::filesystem::is_directory(target))
        folder_links_.emplace_back(path, below(folders, e.name));
      else if (std::filesystem::exists(target))
        file_links_.emplace_back(path, folders);
      else
        leave_out(path, left_out_reason::broken_link);
      return false;
    }
    if (e.at.is_directory(code)) {
      walk(path, below(folders, e.name));
      return false;
    }
    if (e.at.is_regular_file(code)) return add_file(path, folders) == left_out_reason::other_format;
    leave_out(path, left_out_reason::special);
    return false;
  }

  static std::vector<std::string> below(std::vector<std::string> folders, const std::string& name) {
    folders.push_back(name);
    return folders;
  }

  /// Adds an image; otherwise says why it was left out.
  std::optional<left_out_reason> add_file(const std::filesystem::path& path, const std::vector<std::string>& folders) {
    const std::string suffix = lower_suffix(path);
    const bool others_read = !options_.other_suffixes.empty();
    bool taken =
        has_image_suffix(path) || std::ranges::find(options_.other_suffixes, suffix) != options_.other_suffixes.end();
    auto reason = left_out_reason::not_an_image;
    if (!taken && has_foreign_image_suffix(suffix)) {
      reason = left_out_reason::other_format;
    } else if (!taken) {
      const content seen = look_at(path);
      taken = seen == content::own_image || (seen == content::other_image && others_read);
      if (seen == content::other_image) reason = left_out_reason::other_format;
    }
    if (!taken) {
      leave_out(path, reason);
      return reason;
    }
    std::string inside;
    for (const std::string& name : folders) inside += name + '/';
    tree_.images.push_back({path, folders, inside + path.filename().string()});
    return std::nullopt;
  }

  void follow_file(const std::filesystem::path& at, const std::vector<std::string>& folders) {
    std::error_code code;
    const auto real = std::filesystem::canonical(at, code);
    if (code) return leave_out(at, left_out_reason::broken_link);
    if (!std::filesystem::is_regular_file(real, code)) return leave_out(at, left_out_reason::special);
    // All files of a folder that was walked have been seen to.
    if (visited_.contains(real.parent_path()) || !linked_files_.insert(real).second)
      return leave_out(at, left_out_reason::repeated_link);
    add_file(at, folders);
  }

  using link = std::pair<std::filesystem::path, std::vector<std::string>>;  // where it stands, and the folders above it

  const collection_options& options_;
  scanned_tree tree_;
  std::set<std::filesystem::path> visited_, linked_files_;  // canonical paths; the first ends loops of links
  std::vector<link> folder_links_, file_links_;
};

}  // namespace bit::inline BIT_ABI::data::detail
