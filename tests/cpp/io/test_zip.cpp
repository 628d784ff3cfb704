// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <zlib.h>
#include <bit/io/npz.hpp>
#include <bit/io/zip.hpp>

#include "fixture.hpp"

using fixture::format_message_of;
using fixture::put;

namespace {

std::string deflate(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ::deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

fixture::member deflated(const std::string& name, const std::string& data) { return {name, data, true, deflate(data)}; }

const std::string ramp_npy = fixture::make_npy({2, 3}, {0, 1, 2, 3, 4, 5});
const std::string ones_npy = fixture::make_npy({4}, {1, 1, 1, 1});

fixture::archive two_members() { return fixture::make_zip({{"a.npy", ramp_npy}, deflated("b.npy", ones_npy)}); }

/// All tensors of an archive with all their values, by each way of reading.
std::vector<std::vector<float>> read_all(const std::string& bytes, bit::io::read_mode mode = bit::io::read_mode::copy) {
  const fixture::folder folder;
  fixture::save(folder / "a.npz", bytes);
  std::vector<std::vector<float>> values;
  for (const auto& raw :
       bit::detail::read_npz(std::make_shared<const bit::detail::input_file>(folder / "a.npz", mode))) {
    values.emplace_back(*bit::io::byte_count(raw.shape, raw.type) / sizeof(float));
    if (const auto in_place = raw.data->bytes(); !in_place.empty())
      std::memcpy(values.back().data(), in_place.data(), in_place.size());
    else
      raw.data->read(std::as_writable_bytes(std::span(values.back())));
  }
  return values;
}

std::string refusal(const std::string& bytes) {
  const std::string message = format_message_of([&] { read_all(bytes); });
  CHECK(format_message_of([&] { read_all(bytes, bit::io::read_mode::map); }).empty() == message.empty());
  CHECK((message.empty() || message.find("a.npz: ") != std::string::npos));
  return message;
}

}  // namespace

TEST_CASE("stored and deflated members are read, mapped or copied") {
  const std::vector<std::vector<float>> expected{{0, 1, 2, 3, 4, 5}, {1, 1, 1, 1}};
  CHECK(read_all(two_members().bytes, bit::io::read_mode::copy) == expected);
  CHECK(read_all(two_members().bytes, bit::io::read_mode::map) == expected);
  CHECK(read_all(fixture::make_zip({}).bytes).empty());
  CHECK(read_all(fixture::make_zip({{"empty.npy", fixture::make_npy({0}, {})}}).bytes).at(0).empty());
}

TEST_CASE("an npz cut at every byte is refused") {
  const std::string whole = two_members().bytes;
  CHECK(refusal(whole).empty());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_FALSE(format_message_of([&] { read_all(whole.substr(0, size)); }).empty());
  }
}

TEST_CASE("bytes before or after the archive are refused") {
  CHECK(contains(refusal(two_members().bytes + "x"), "bytes added at the end"));
  CHECK_FALSE(refusal(std::string("x") + two_members().bytes).empty());
}

TEST_CASE("duplicate names in a zip, in whatever form, are refused") {
  CHECK(contains(refusal(fixture::make_zip({{"a.npy", ramp_npy}, {"a.npy", ramp_npy}}).bytes), "a.npy occurs twice"));
  CHECK(
      contains(refusal(fixture::make_zip({{"\u00e4.npy", ramp_npy}, {"a\u0308.npy", ramp_npy}}).bytes), "plain ASCII"));
}

TEST_CASE("a local header that disagrees with the central directory is refused") {
  for (const std::size_t field :
       std::vector<std::size_t>{4, 6, 8, 14, 18, 22, 26, 30}) {  // version, flags, method, CRC, sizes, lengths, name
    auto zip = two_members();
    zip.bytes[zip.local[1] + field] = static_cast<char>(zip.bytes[zip.local[1] + field] ^ 1);
    INFO(field);
    CHECK(refusal(zip.bytes).empty() == (field == 4));  // the version needed is no fact about the data
  }
  auto zip = two_members();
  put(zip.bytes, zip.local[0] + 22, std::uint32_t{7});
  CHECK(contains(refusal(zip.bytes), "a.npy: its local header and the central directory disagree"));
  zip = two_members();
  put(zip.bytes, zip.central[0] + 42, std::uint32_t{3});
  CHECK(contains(refusal(zip.bytes), "expected a local header where the directory points"));
  for (const std::size_t field :
       std::vector<std::size_t>{4, 6, 8, 10, 12, 16, 20}) {  // disks, counts, size, offset, comment
    zip = two_members();
    zip.bytes[zip.end + field] = static_cast<char>(zip.bytes[zip.end + field] ^ 1);
    INFO(field);
    CHECK_FALSE(refusal(zip.bytes).empty());
  }
}

TEST_CASE("overlapping and quoted-overlap members are refused") {
  // Two directory records for one member, under the same local name.
  auto zip = fixture::make_zip({{"a.npy", ramp_npy}, {"b.npy", ramp_npy}});
  put(zip.bytes, zip.central[1] + 42, static_cast<std::uint32_t>(zip.local[0]));
  CHECK_FALSE(refusal(zip.bytes).empty());
  // A member whose data is a whole other member with its local header, as quoting bombs have it.
  const auto inner = fixture::make_zip({{"b.npy", ramp_npy}});
  zip = fixture::make_zip({{"a.npy", inner.bytes.substr(0, inner.directory)}, {"b.npy", ramp_npy}});
  put(zip.bytes, zip.central[1] + 42, static_cast<std::uint32_t>(zip.data[0]));
  CHECK(contains(refusal(zip.bytes), "a.npy and b.npy overlap"));
}

TEST_CASE("zip bombs stop at the declared size, and impossible ratios are refused at once") {
  const std::string zeros = fixture::make_npy({1'000'000}, std::vector<float>(1'000'000));
  CHECK(refusal(fixture::make_zip({deflated("z.npy", zeros)}).bytes).empty());  // 1000:1 is honest
  // Declares less than it inflates to: the header's array ends where it says, the rest is never written.
  auto member = deflated("z.npy", zeros);
  member.data = fixture::make_npy({10}, std::vector<float>(10));
  CHECK_FALSE(refusal(fixture::make_zip({member}).bytes).empty());
  member = deflated("b.npy", ones_npy + "more");
  member.data = ones_npy;
  CHECK(contains(refusal(fixture::make_zip({member}).bytes), "inflates to more than the"));
  // Declares far more than deflate could hold.
  auto zip = two_members();
  put(zip.bytes, zip.local[1] + 22, std::uint32_t{0x7fffffff});
  put(zip.bytes, zip.central[1] + 24, std::uint32_t{0x7fffffff});
  CHECK(contains(refusal(zip.bytes), "more than deflate can hold"));
  // Declares somewhat more than it holds.
  member = deflated("b.npy", ones_npy);
  member.data = fixture::make_npy({5}, {1, 1, 1, 1, 1});
  CHECK_FALSE(refusal(fixture::make_zip({member}).bytes).empty());
}

TEST_CASE("deflated data that is broken, or followed by other bytes, is refused") {
  auto member = deflated("b.npy", ones_npy);
  member.packed += "x";
  CHECK(contains(refusal(fixture::make_zip({member}).bytes), "bytes after its deflated data"));
  member = deflated("b.npy", ones_npy);
  member.packed[0] = '\7';  // a block type that does not exist
  CHECK(contains(refusal(fixture::make_zip({member}).bytes), "broken"));
}

TEST_CASE("a flipped bit in any data byte breaks the CRC-32") {
  const auto zip = two_members();
  const auto values = read_all(zip.bytes);
  std::size_t unnoticed = 0, harmless = 0;
  for (std::size_t at = zip.data[0]; at < zip.directory; ++at) {
    if (at >= zip.local[1] && at < zip.data[1]) continue;  // a header, which the test of local headers is about
    std::string bytes = zip.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    for (const auto mode : {bit::io::read_mode::copy, bit::io::read_mode::map}) {
      bool same = true;
      if (format_message_of([&] { same = read_all(bytes, mode) == values; }).empty())
        ++(same && at == zip.directory - 1 ? harmless : unnoticed);
    }
  }
  CHECK(unnoticed == 0);
  CHECK(harmless <= 2);  // the last byte of a deflated stream ends in bits without meaning
}

TEST_CASE("member names with paths or NUL are names at most, and touch nothing") {
  const fixture::folder folder;
  for (const std::string name : {"../x.npy", "/tmp/x.npy", "a/../../x.npy", "C:\\x.npy"}) {
    fixture::save(folder / "a.npz", fixture::make_zip({{name, ramp_npy}}).bytes);
    const std::string message = format_message_of([&] { bit::io::open_checkpoint(folder / "a.npz"); });
    CHECK(contains(message, name.substr(0, name.size() - 4).c_str()));
    CHECK(contains(message, "got 1 others"));
  }
  CHECK(folder.entries() == 1);
  CHECK(contains(refusal(fixture::make_zip({{std::string("a\0.npy", 6), ramp_npy}}).bytes), "plain ASCII"));
  auto link = two_members();  // Unix mode of a symbolic link in the external attributes
  put(link.bytes, link.central[0] + 38, std::uint32_t{0120777u << 16});
  CHECK(refusal(link.bytes).empty());
}

TEST_CASE("encrypted members, other compressions and members that are no arrays are refused in words") {
  auto zip = two_members();
  for (const std::size_t at : {zip.local[0] + 6, zip.central[0] + 8}) zip.bytes[at] = 1;
  CHECK(contains(refusal(zip.bytes), "encrypted"));
  zip = two_members();
  for (const std::size_t at : {zip.local[1] + 8, zip.central[1] + 10}) zip.bytes[at] = 12;
  CHECK(contains(refusal(zip.bytes), "got compression method 12"));
  CHECK(contains(refusal(fixture::make_zip({{"readme.txt", "x"}}).bytes),
                 "expected only members named *.npy, got readme.txt"));
  CHECK(contains(refusal(fixture::make_zip({{"archive/data.pkl", "x"}}).bytes), "pybit convert"));
}

TEST_CASE("the array must fill its member") {
  CHECK(contains(refusal(fixture::make_zip({{"a.npy", ramp_npy + "x"}}).bytes),
                 "expected 24 bytes for shape (2, 3) of float32, got 25"));
  CHECK(contains(refusal(fixture::make_zip({{"a.npy", ramp_npy.substr(0, ramp_npy.size() - 1)}}).bytes), "got 23"));
}

TEST_CASE("members written to a stream may leave their sizes to the data descriptor") {
  auto zip = two_members();
  for (const std::size_t at : {zip.local[0], zip.local[1]}) {
    put(zip.bytes, at + 6, std::uint16_t{8});
    for (const std::size_t field : std::vector<std::size_t>{14, 18, 22}) put(zip.bytes, at + field, std::uint32_t{0});
  }
  for (const std::size_t at : zip.central) put(zip.bytes, at + 8, std::uint16_t{8});
  CHECK(refusal(zip.bytes).empty());
  put(zip.bytes, zip.local[0] + 22, std::uint32_t{5});
  CHECK_FALSE(refusal(zip.bytes).empty());
}
