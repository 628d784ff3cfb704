// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/io/npy.hpp>

#include "fixture.hpp"

using bit::detail::parse_npy_header;
using fixture::format_message_of;

namespace {

/// A version 1 file start with this text as its header.
std::string with_header(const std::string& text, char version = 1) {
  std::string bytes = std::string("\x93NUMPY") + version + '\0';
  bytes += static_cast<char>(text.size() & 0xff);
  bytes += static_cast<char>(text.size() >> 8 & 0xff);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + text;
}

bit::detail::npy_header parse(const std::string& bytes) {
  return parse_npy_header(std::as_bytes(std::span(bytes)), "a.npz: x.npy");
}

std::string refusal(const std::string& text) {
  return format_message_of([&] { parse(with_header(text)); });
}

}  // namespace

TEST_CASE("headers of versions 1, 2 and 3 are read, whatever the order of their keys") {
  for (const char version : {'\1', '\2', '\3'}) {
    const auto header =
        parse(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (7, 7, 3, 64), }   \n", version));
    CHECK(header.type == bit::io::dtype::float32);
    CHECK(header.shape == std::vector<std::size_t>{7, 7, 3, 64});
    CHECK_FALSE(header.fortran_order);
    CHECK_FALSE(header.big_endian);
  }
  const auto header = parse(with_header("{\"shape\":(),\"fortran_order\":True,\"descr\":\">f8\"}\n"));
  CHECK(header.shape.empty());
  CHECK(header.fortran_order);
  CHECK(header.big_endian);
  CHECK(header.type == bit::io::dtype::float64);
}

TEST_CASE("a written header is read back and aligns its data to 64 bytes") {
  for (const std::vector<std::size_t>& shape : {std::vector<std::size_t>{}, {5}, {1, 1, 8192, 21843}}) {
    const std::string bytes = bit::detail::make_npy_header(shape);
    const auto header = parse(bytes);
    CHECK(header.shape == shape);
    CHECK(header.data_offset == bytes.size());
    CHECK(bytes.size() % 64 == 0);
  }
}

TEST_CASE("npy headers that are too long, no literal, of another version or pickled are refused") {
  CHECK(format_message_of([] {
          parse(with_header(std::string(10'001, ' ')));
        }).find("at most 10000 bytes, got 10001") != std::string::npos);
  CHECK(format_message_of([] { parse(with_header("{}\n", '\4')); }).find("1.0, 2.0 or 3.0, got 4.0") !=
        std::string::npos);
  CHECK(format_message_of([] { parse("\x93NUMPX\1\0"); }).find("starts with \\x93NUMPY") != std::string::npos);
  const std::string object = refusal("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n");
  CHECK(object.find("a.npz: x.npy") != std::string::npos);
  CHECK(object.find("pickled Python objects, which are never read") != std::string::npos);
  for (const char* text : {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}\n",          // extra key
                           "{'descr': '<f4', 'fortran_order': False, }\n",                               // missing key
                           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n",  // twice
                           "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}\n",         // record
                           "{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}\n",  // unknown number
                           "{'descr': '|f4', 'fortran_order': False, 'shape': (1,)}\n",   // no byte order
                           "{'descr': '', 'fortran_order': False, 'shape': (1,)}\n",
                           "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}\n",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}\n",  // a number, no tuple
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1, __import__('os')),}\n",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } or 1\n",
                           "dict(descr='<f4', fortran_order=False, shape=(1,))\n",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",        // no line break
                           "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,), }\n",  // escapes
                           "",
                           "{",
                           "{'",
                           "{'descr'",
                           "{'descr':"}) {
    INFO(text);
    CHECK(refusal(text).starts_with("[npy] a.npz: x.npy: "));
  }
}

TEST_CASE("npy shapes whose product overflows are refused") {
  for (const char* shape : {"(4194305, 4194305, 211106198978564)", "(18446744073709551615,)", "(4611686018427387904,)",
                            "(18446744073709551616,)", "(99999999999999999999999999,)"}) {
    INFO(shape);
    CHECK_FALSE(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': " + std::string(shape) + "}\n").empty());
  }
}

TEST_CASE("an npy header cut at every byte is refused") {
  const std::string whole = bit::detail::make_npy_header({3, 4});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_FALSE(format_message_of([&] { parse(whole.substr(0, size)); }).empty());
  }
  CHECK_NOTHROW(parse(whole));
}
