// SPDX-License-Identifier: Apache-2.0
// Second part of read_collection(): decides from the names of folders what each of them is, and numbers the classes.
// Included by collection.ipp.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <bit/data/collection_scan.ipp>

namespace bit::inline BIT_ABI::data::detail {

/// Letters alone, in lower case: "Test_Images-2017" is "testimages".
inline std::string letters_of(std::string_view name) {
  std::string letters;
  for (const char c : name)
    if (const char lower = ascii_lower(c); lower >= 'a' && lower <= 'z') letters += lower;
  return letters;
}

/// A class folder and the split above or below it.
struct place {
  split_name split = split_name::whole;
  std::optional<std::string> class_name;
  std::optional<left_out_reason> left_out;
};

/// What the folders with images directly below the collection's are.
class tree_layout {
 public:
  explicit tree_layout(const scanned_tree& tree) {
    for (const scanned_image& image : tree.images) count(image.folders);
    for (const auto& folders : tree.bare) bare_.insert(folders[0]);
    decide();
  }

  place of(const std::vector<std::string>& folders) const {
    if (kind_ == kind::flat) return {};
    if (folders.empty())
      return {{}, {}, kind_ == kind::splits ? left_out_reason::beside_splits : left_out_reason::no_class};
    const split_name split = split_of_name(folders[0]);
    switch (kind_) {
      case kind::splits: {
        if (split == split_name::whole) return {{}, {}, left_out_reason::beside_splits};
        // An archive's folder may stand twice: training_set/training_set/cat.
        const std::size_t at = repeated_.contains(folders[0]) ? 2 : 1;
        if (folders.size() > at) return {split, folders[at], {}};
        return {split, {}, with_classes_ ? std::optional(left_out_reason::no_class) : std::nullopt};
      }
      case kind::classes_of_splits:
        return {folders.size() > 1 ? split_of_name(folders[1]) : split_name::whole, folders[0], {}};
      default:
        return {split_name::whole, folders[0], {}};
    }
  }
  bool divided() const { return kind_ == kind::splits || kind_ == kind::classes_of_splits; }
  bool flat() const { return kind_ == kind::flat; }
  std::vector<std::string> notes;

 private:
  enum class kind { flat, classes, splits, classes_of_splits };
  struct top_folder {
    std::size_t images = 0, directly = 0;
    std::map<std::string, std::size_t> deeper;  // images directly in, and below, each of its folders
    bool direct_in_deeper = false;              // some lie directly in one of these
  };

  void count(const std::vector<std::string>& folders) {
    if (folders.empty()) {
      ++directly_;
      return;
    }
    top_folder& top = tops_[folders[0]];
    ++top.images;
    if (folders.size() == 1) {
      ++top.directly;
    } else {
      ++top.deeper[folders[1]];
      top.direct_in_deeper |= folders.size() == 2;
    }
  }

  void decide() {
    std::size_t below = 0;
    for (const auto& [name, top] : tops_) below += top.images;
    std::size_t named = 0, nested = 0;
    bool all_hold_splits = !tops_.empty();
    for (const auto& [name, top] : tops_) {
      if (split_of_name(name) != split_name::whole) {
        ++named;
        nested += top.deeper.empty() ? 0 : 1;
      }
      all_hold_splits &= top.directly == 0 && std::ranges::all_of(top.deeper, [](const auto& d) {
                           return split_of_name(d.first) != split_name::whole;
                         });
    }
    if (named > 0 && (named == tops_.size() || nested > 0)) return decide_splits();
    if (tops_.empty() && (bare_.empty() || directly_ > 0)) return;
    if (!tops_.empty() && all_hold_splits) {
      kind_ = kind::classes_of_splits;
    } else if (directly_ > below || (tops_.size() == 1 && directly_ > 0)) {
      notes.push_back("the folder's own images are taken together with those in its subfolders, without classes");
    } else {
      kind_ = kind::classes;
      if (named > 0) notes.push_back("folders named as splits are taken for classes, since others lie beside them");
    }
  }

  void decide_splits() {
    kind_ = kind::splits;
    for (const auto& [name, top] : tops_) {
      if (split_of_name(name) == split_name::whole) continue;
      const bool again = top.directly == 0 && top.deeper.size() == 1 && !top.direct_in_deeper &&
                         split_of_name(top.deeper.begin()->first) == split_of_name(name);
      if (again) repeated_.insert(name);
      with_classes_ |= !top.deeper.empty();
    }
  }

  kind kind_ = kind::flat;
  std::size_t directly_ = 0;
  std::map<std::string, top_folder> tops_;
  std::set<std::string> bare_, repeated_;
  bool with_classes_ = false;
};

/// Numbers the classes; names of different splits that differ only in case or composition are one class, that of the first.
class class_table {
 public:
  /// To be called for the training set first: its spelling counts.
  void add(split_name split, const std::string& name) {
    if (of_.contains({split, name})) return;
    const std::string key = name_key(name);
    const auto same = std::ranges::find(names_, name);
    std::size_t found = static_cast<std::size_t>(same - names_.begin());
    if (same == names_.end()) {
      // Within one split two such names are two classes: nothing says that they should be one.
      const auto alike = std::ranges::find_if(names_, [&](const std::string& n) {
        return name_key(n) == key && !of_.contains({split, n}) && spellings(key, split) == 0;
      });
      found = static_cast<std::size_t>(alike - names_.begin());
      if (alike == names_.end()) {
        if (spellings(key, split) > 0)
          notes.push_back("classes '" + escaped_name(name) +
                          "' and another differ only in case or accents' composition");
        names_.push_back(name);
      } else {
        notes.push_back("class '" + escaped_name(name) + "' of the " + to_string(split) + " set is taken for '" +
                        escaped_name(*alike) + "'");
      }
    }
    of_[{split, name}] = found;
  }
  void sort(class_order order) {
    std::vector<std::size_t> by(names_.size()), place(names_.size());
    for (std::size_t i = 0; i < by.size(); ++i) by[i] = i;
    if (order == class_order::natural)
      std::ranges::sort(by, natural_less, [&](std::size_t i) -> std::string_view { return names_[i]; });
    else
      std::ranges::sort(by, {}, [&](std::size_t i) -> const std::string& { return names_[i]; });
    std::vector<std::string> sorted;
    for (std::size_t i = 0; i < by.size(); ++i) {
      place[by[i]] = i;
      sorted.push_back(std::move(names_[by[i]]));
    }
    names_ = std::move(sorted);
    for (auto& [key, label] : of_) label = place[label];
  }
  std::size_t label(split_name split, const std::string& name) const { return of_.at({split, name}); }
  std::vector<std::string> escaped() const {
    std::vector<std::string> names;
    for (const std::string& name : names_) names.push_back(escaped_name(name));
    return names;
  }
  std::vector<std::string> notes;

 private:
  std::size_t spellings(const std::string& key, split_name split) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        of_, [&](const auto& known) { return known.first.first == split && name_key(known.first.second) == key; }));
  }

  std::vector<std::string> names_;
  std::map<std::pair<split_name, std::string>, std::size_t> of_;
};

}  // namespace bit::inline BIT_ABI::data::detail
