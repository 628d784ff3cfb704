// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/detail/json.hpp>

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

namespace {

using nlohmann::json;

/// Any value that the reader knows, through the calls that a caller makes who looks at what comes next.
json read_value(bit::detail::json_reader& in) {
  json value;
  switch (in.next()) {
    case '{':
      value = json::object();
      in.object([&](const std::string& key) { value[key] = read_value(in); });
      return value;
    case '[':
      value = json::array();
      in.array([&] { value.push_back(read_value(in)); });
      return value;
    case '"':
      return in.string();
    default:
      return in.number();
  }
}

std::optional<json> ours(const std::string& text) {
  try {
    bit::detail::json_reader in(text);
    json value = read_value(in);
    in.end();
    return value;
  } catch (const bit::detail::json_error&) {
    return std::nullopt;
  }
}

/// What nlohmann reads, if it holds nothing but objects, lists, strings and unsigned numbers.
std::optional<json> theirs(const std::string& text) {
  // nlohmann skips a byte order mark, which RFC 8259 leaves to the reader, and takes a NUL for the end of the text.
  if (text.starts_with("\xef\xbb\xbf") || text.find('\0') != text.npos) return std::nullopt;
  bool known = true;  // asked at each value, since a later duplicate of its key hides it in the result
  const auto look = [&](int, json::parse_event_t event, const json& value) {
    if (event == json::parse_event_t::value) known &= value.is_string() || value.is_number_unsigned();
    return true;
  };
  json value = json::parse(text, look, false);
  if (value.is_discarded() || !known) return std::nullopt;
  return value;
}

const std::initializer_list<const char*> documents = {
    "",
    " ",
    "{}",
    "[]",
    " \t\r\n[ 1 , 2 ]\n",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{\"a\":}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1}{}",
    "[1]]",
    "[[[[]]]]",
    "[{\"a\":[{\"b\":\"c\"}]}]",
    "{\"a\":1,\"a\":2}",
    "\"\"",
    "\"a",
    "\"a\\",
    "\"\\\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\a\"",
    "\"\\v\"",
    "\"\\u0041\\u00e9\\u20AC\\uffff\\u0000\"",
    "\"\\u004\"",
    "\"\\u004g\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\ud800\\n\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"\\udc00\"",
    "\"\\udbff\\udfff\"",
    "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf \x7f\"",
    "\"\xc0\x80\"",          // overlong
    "\"\xc1\xbf\"",          // overlong
    "\"\xe0\x9f\xbf\"",      // overlong
    "\"\xf0\x8f\xbf\xbf\"",  // overlong
    "\"\xed\xa0\x80\"",      // surrogate
    "\"\xed\x9f\xbf\"",
    "\"\xf4\x90\x80\x80\"",  // above U+10FFFF
    "\"\xf8\x88\x80\x80\x80\"",
    "\"\xff\"",
    "\"\x80\"",
    "\"\xc3\"",
    "\"\xe2\x82\"",
    "\xc3\xa9",
    "\"\n\"",
    "\"\x1f\"",
    "\xef\xbb\xbf{}",
    "0",
    "7",
    "00",
    "01",
    "[0,1,10,18446744073709551615]",
    "18446744073709551616",
    "99999999999999999999999",
    "-0",
    "-1",
    "+1",
    "1.0",
    "1.",
    ".5",
    "1e2",
    "1E2",
    "0e0",
    "0x10",
    "1_000",
    "NaN",
    "Infinity",
    "true",
    "false",
    "null",
    "[null]",
    "tru",
    "// comment\n1",
    "/* comment */1",
    "1\v",
    "1\f",
    "1\xc2\xa0",
    "{\"dtype\":\"F32\",\"shape\":[4194305,64],\"data_offsets\":[0,1073741824]}",
};

}  // namespace

TEST_CASE("the JSON reader accepts, refuses and reads what nlohmann does, on a table of tricky documents") {
  int accepted = 0;
  for (const char* text : documents) {
    INFO(text);
    const auto expected = theirs(text);
    CHECK(ours(text) == expected);
    accepted += expected.has_value();
  }
  CHECK(accepted == 17);  // the table holds both kinds
  CHECK_FALSE(ours(std::string("{}\0", 3)));
  CHECK_FALSE(ours(std::string("\"\0\"", 3)));
}

TEST_CASE("the JSON reader agrees with nlohmann on random mutations of the table") {
  std::mt19937 random(1);
  const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  const std::string alphabet = "{}[]\",:\\/u0123456789abdfDC8 .-eE\n\x7f\x80\xbf\xc3\xa9\xe2\xed\xf0\xf4";
  int accepted = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text = documents.begin()[pick(documents.size())];
    for (std::size_t edits = 1 + pick(3); edits-- > 0;) {
      const std::size_t at = pick(text.size() + 1);
      switch (pick(4)) {
        case 0:
          text.insert(at, 1, alphabet[pick(alphabet.size())]);
          break;
        case 1:
          text.erase(at, 1);
          break;
        case 2:
          text.insert(at, documents.begin()[pick(documents.size())]);
          break;
        default:
          text.insert(at, text.substr(pick(text.size() + 1), pick(8)));
      }
    }
    const auto expected = theirs(text);
    accepted += expected.has_value();
    if (ours(text) != expected) FAIL_CHECK("differs on " << text);
  }
  CHECK(accepted > 5'000);  // the mutations reach both answers
  CHECK(accepted < 50'000);
}

TEST_CASE("the JSON reader says where it stopped, what it expected and what came") {
  const auto message = [](const std::string& text) -> std::string {
    try {
      bit::detail::json_reader in(text);
      in.object([&](const std::string&) { in.number(); });
      in.end();
    } catch (const bit::detail::json_error& e) {
      return e.what();
    }
    return "";
  };
  CHECK(message("{\"a\": 1}") == "");
  CHECK(message("{\"a\": nul}") == "byte 6: expected a whole number from 0 to 2^64-1, got 'n'");
  CHECK(message("[]") == "byte 0: expected an object, got '['");
  CHECK(message("{\"a\":1") == "byte 6: expected a comma or }, got the end");
  CHECK(message("{\"\xff") == "byte 2: expected UTF-8 without control characters, got a byte of value 255");
}

TEST_CASE("the JSON reader needs no stack for nesting that the caller does not ask for") {
  bit::detail::json_reader in(std::string_view("[[[["));
  CHECK_THROWS_AS(in.array([&] { in.number(); }), bit::detail::json_error);
}
