// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/io/safetensors.hpp>

#include "fixture.hpp"

using fixture::format_message_of;

namespace {

std::string file_of(const std::string& json, const std::string& data) {
  std::string bytes(8, '\0');
  fixture::put(bytes, 0, std::uint64_t{json.size()});
  return bytes + json + data;
}

bit::detail::safetensors_content read(const std::string& bytes) {
  const fixture::folder folder;
  fixture::save(folder / "a.safetensors", bytes);
  return bit::detail::read_safetensors(
      std::make_shared<const bit::detail::input_file>(folder / "a.safetensors", bit::io::read_mode::copy));
}

std::string refusal(const std::string& bytes) {
  const std::string message = format_message_of([&] { read(bytes); });
  CHECK((message.empty() || message.starts_with("[safetensors] ")));
  return message;
}

const std::string brace = "{";

std::string tensor(const char* name, const char* shape, const char* offsets, const char* dtype = "F32") {
  return std::string("\"") + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

}  // namespace

TEST_CASE("tensors and metadata are read, empty and rank-0 tensors among them") {
  const auto content =
      read(file_of(brace + "\"__metadata__\":{\"labels\":\"K\u00e4fer\"}," + tensor("b", "[2]", "[4,12]") + "," +
                       tensor("a", "[]", "[0,4]") + "," + tensor("empty", "[0,9]", "[12,12]") + "}  ",
                   std::string(12, '\1')));
  REQUIRE(content.tensors.size() == 3);
  CHECK(content.tensors[0].name == "a");
  CHECK(content.tensors[1].shape == std::vector<std::size_t>{2});
  CHECK(content.metadata.at("labels") == "K\u00e4fer");
  CHECK(read(file_of("{}", "")).tensors.empty());
}

TEST_CASE("header lengths of 0, beyond the file, above the cap and 2^64-1 are refused") {
  std::string bytes = file_of(brace + tensor("a", "[]", "[0,4]") + "}", "1234");
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{bytes.size() - 7},
                                     std::uint64_t{100'000'000}, std::uint64_t{100'000'001}, ~std::uint64_t{0}}) {
    INFO(length);
    fixture::put(bytes, 0, length);
    CHECK_FALSE(refusal(bytes).empty());
  }
  CHECK(contains(refusal(bytes), "at most 100000000 bytes, got 18446744073709551615"));
}

TEST_CASE("safetensors shapes that overflow or exceed the file are refused") {
  // The triple that a C++ re-implementation took for four elements.
  CHECK(contains(
      refusal(file_of(brace + tensor("a", "[4194305,4194305,211106198978564]", "[0,16]") + "}", std::string(16, 'x'))),
      "needs over 2^64 bytes"));
  CHECK(contains(refusal(file_of(brace + tensor("a", "[5]", "[0,16]") + "}", std::string(16, 'x'))), "needs 20 bytes"));
  CHECK(contains(refusal(file_of(brace + tensor("a", "[4]", "[0,16]") + "}", std::string(15, 'x'))), "truncated"));
  CHECK_FALSE(refusal(file_of(brace + tensor("a", "[18446744073709551616]", "[0,4]") + "}", "1234")).empty());
}

TEST_CASE("offsets that are negative, swapped, overlapping, with a hole, not from 0 or short of the end") {
  const std::string data(16, 'x');
  for (const char* offsets : {"[-4,0]", "[4,0]", "[0]", "[0,4,8]", "[0,4.0]", "[4,8]", "[0,18446744073709551615]"}) {
    INFO(offsets);
    CHECK_FALSE(refusal(file_of(brace + tensor("a", "[1]", offsets) + "}", data)).empty());
  }
  const std::string first = brace + tensor("a", "[2]", "[0,8]") + ",";
  CHECK(contains(refusal(file_of(first + tensor("b", "[2]", "[4,12]") + "}", data.substr(0, 12))),
                 "expected its data at offset 8"));
  CHECK(contains(refusal(file_of(first + tensor("b", "[1]", "[12,16]") + "}", data)), "expected its data at offset 8"));
  CHECK(contains(refusal(file_of(first + tensor("b", "[1]", "[8,12]") + "}", data)), "4 bytes follow"));
  CHECK(refusal(file_of(first + tensor("b", "[2]", "[8,16]") + "}", data)).empty());
}

TEST_CASE("duplicate names in a safetensors header are refused") {
  CHECK(contains(refusal(file_of(brace + tensor("a", "[1]", "[0,4]") + "," + tensor("a", "[1]", "[4,8]") + "}",
                                 std::string(8, 'x'))),
                 "the name a occurs twice"));
  CHECK(contains(refusal(file_of("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", "")), "metadata key k occurs twice"));
  CHECK(contains(
      refusal(file_of("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", "1234")),
      "once each, got dtype"));
  // The same letter in two Unicode forms.
  CHECK(
      contains(refusal(file_of(brace + tensor("\u00e4", "[1]", "[0,4]") + "," + tensor("a\u0308", "[1]", "[4,8]") + "}",
                               std::string(8, 'x'))),
               "plain ASCII"));
}

TEST_CASE("whatever is not the header's fixed form is refused") {
  for (const char* json : {"",
                           " {}",
                           "[]",
                           "{",
                           "null",
                           "{\"a\":1}",
                           "{\"a\":null}",
                           "{\"a\":[]}",
                           "{\"a\":{}}",
                           "{\"a\":{\"dtype\":\"F32\"}}",
                           "{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,0]}}",
                           "{\"a\":{\"dtype\":\"F32\",\"shape\":[[]],\"data_offsets\":[0,4]}}",
                           "{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,4]}}",
                           "{\"a\":{\"dtype\":\"Q4\",\"shape\":[4],\"data_offsets\":[0,4]}}",
                           "{\"a\":{\"dtype\":[\"F32\"],\"shape\":[1],\"data_offsets\":[0,4]}}",
                           "{\"__metadata__\":{\"k\":1}}",
                           "{\"__metadata__\":{\"k\":{}}}",
                           "{\"__metadata__\":\"x\"}",
                           "{\"__metadata__\":[]}",
                           "{} x",
                           "{\"\xff\":1}",
                           "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}",
                           "{\"a\":true}"}) {
    INFO(json);
    CHECK_FALSE(refusal(file_of(json, "1234")).empty());
  }
}

TEST_CASE("a safetensors checkpoint cut at every byte is refused, never partly opened") {
  const fixture::folder folder;
  const auto path = folder / "tiny.safetensors";
  const auto config = fixture::tiny_config();
  bit::io::write_safetensors(path, fixture::make_tensors(config), bit::io::naming::official,
                             bit::io::config_metadata(config));
  CHECK(bit::io::open_checkpoint(path).config == config);
  for (std::size_t size = std::filesystem::file_size(path); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    if (format_message_of([&] { bit::io::open_checkpoint(path); }).empty()) FAIL("opened when cut to " << size);
  }
}
