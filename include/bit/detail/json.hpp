// SPDX-License-Identifier: Apache-2.0
// A strict reader of JSON (RFC 8259) for documents of a known form: the caller asks for what belongs next; and quoting.
// Our own because nlohmann/json, used for one file header, cost every program that includes us a sixth of its
// compilation (13.0 s with it, 10.7 s without, busy machine) and 180 MB (g++ 12 -O2, 2026-11). Not here: booleans, null,
// fractions and negative numbers, which no document of ours holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::detail {

/// The document is not JSON, or not what the caller asked for: "byte 17: expected a string, got 'n'".
struct json_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Walks once over a document, which must outlive it. Every member but next() throws json_error if something else comes.
/// It never recurses: nesting is as deep as the caller's calls. Duplicate keys are the caller's to see.
class json_reader {
 public:
  explicit json_reader(std::string_view text) : text_(text) {}

  /// The first character of what comes next, or 0 at the end of the document.
  char next();
  /// A string, its escapes resolved. It is UTF-8: anything else is refused, lone surrogates too.
  std::string string();
  /// A whole number below 2^64, written without sign, fraction and exponent.
  std::uint64_t number();
  /// An object; `member(key)`, which gets a std::string, must read the value.
  template <class Member>
  void object(Member member) {
    take('{', "an object");
    for (bool more = !skip('}'); more; more = another('}')) {
      std::string key = string();
      take(':', "a colon");
      member(std::move(key));
    }
  }
  /// A list; `element()` must read one value.
  template <class Element>
  void array(Element element) {
    take('[', "a list");
    for (bool more = !skip(']'); more; more = another(']')) element();
  }
  /// Nothing but white space.
  void end();

  /// Throws json_error with the place that has been reached.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[noreturn]] void refuse(const char* expected) const;
  bool skip(char c);
  void take(char c, const char* what);
  bool another(char close);
  char32_t code_unit();
  void escape(std::string& value);

  std::string_view text_;
  std::size_t at_ = 0;
};

/// `text`, which is UTF-8, as a JSON string with its quotes.
BIT_FUNC std::string json_string(std::string_view text);

/// The members as a JSON object of strings, in the order of their keys, and back. Reading throws json_error, also for a
/// key that occurs twice.
BIT_FUNC std::string json_object(const std::map<std::string, std::string>& members);
BIT_FUNC std::map<std::string, std::string> read_json_object(std::string_view text);

/// The same for a list of strings.
BIT_FUNC std::string json_list(const std::vector<std::string>& items);
BIT_FUNC std::vector<std::string> read_json_list(std::string_view text);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/detail/json.ipp>
#endif
