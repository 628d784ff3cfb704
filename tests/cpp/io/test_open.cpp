// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "fixture.hpp"

using bit::io::naming;
using bit::io::open_checkpoint;
using fixture::format_message_of;

namespace {}  // namespace

TEST_CASE("what people save as .npz by mistake is called by its name") {
  const fixture::folder folder;
  const auto refusal = [&](const std::string& bytes, const std::string& name = "BiT-M-R50x1.npz") {
    fixture::save(folder / name, bytes);
    return format_message_of([&] { open_checkpoint(folder / name); });
  };
  CHECK(contains(refusal("<!DOCTYPE html><html>404"), "a web page"));
  CHECK(contains(refusal("\xef\xbb\xbf \n<?xml version='1.0'?><Error><Code>NoSuchKey</Code>"), "a web page"));
  CHECK(contains(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), "Git LFS pointer"));
  CHECK(contains(refusal("version https://git-lfs.github.com/spec/v1\n", "a.safetensors"), "Git LFS pointer"));
  CHECK(contains(refusal("<html>", "a.safetensors"), "a web page"));
  CHECK(contains(refusal("{\"error\": \"not found\"}"), "server's error message"));
  CHECK(contains(refusal(""), "empty"));
  CHECK(contains(refusal(std::string(1000, '\0')), "zeros only"));
  CHECK(contains(refusal("\x89HDF\r\n\x1a\n....", "BiT-M-R50x1.h5"), "pybit convert"));
  CHECK(contains(refusal("\x80\x02}q\x01.", "bit.pth.tar"), "never executed"));
  CHECK(contains(refusal(fixture::make_npy({1}, {1})), "a single npy array"));
  CHECK(contains(refusal("\x1f\x8b\x08"), "gzip"));
  CHECK(contains(refusal("plain text"), "70 6c 61 69 6e 20 74 65"));
  const std::string whole = fixture::make_zip({{"a.npy", fixture::make_npy({1}, {1})}}).bytes;
  CHECK(contains(refusal(whole.substr(0, 60)), "incomplete download"));
}

TEST_CASE("what cannot be opened is an io_error with the system's code") {
  const fixture::folder folder;
  const auto code_of = [](const std::filesystem::path& path) {
    try {
      open_checkpoint(path);
    } catch (const bit::io_error& error) {
      return error.code;
    }
    return 0;
  };
  CHECK(code_of(folder / "none.npz") == ENOENT);
  CHECK(code_of(folder / "") == EISDIR);
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(code_of(folder / "pipe") == EINVAL);  // and does not wait for a writer
}

TEST_CASE("a file that shrinks while it is mapped is an error, not SIGBUS") {
  const fixture::folder folder;
  for (const std::string format : {"x.npz", "x.safetensors"})
    for (const auto mode : {bit::io::read_mode::map, bit::io::read_mode::copy}) {
      const auto path = folder / format;
      if (format == "x.npz")
        bit::io::write_npz(path, fixture::make_tensors(fixture::small_config()));
      else
        bit::io::write_safetensors(path, fixture::make_tensors(fixture::small_config()));
      const auto open = open_checkpoint(path, {.mode = mode});
      CHECK_NOTHROW(fixture::values_of(open.tensors.back()));
      std::filesystem::resize_file(path, 4096);
      CHECK_THROWS_AS(fixture::values_of(open.tensors.back()), bit::io_error);
      const bool mapped = mode == bit::io::read_mode::map;
      CHECK(message_of<bit::io_error>([&] { static_cast<void>(open.tensors.back().data->bytes()); }).empty() != mapped);
    }
}

TEST_CASE("opening reads headers only: damaged values are found when their tensor is read") {
  const fixture::folder folder;
  const auto tensors = fixture::make_tensors(fixture::small_config());
  bit::io::write_npz(folder / "x.npz", tensors);
  std::string bytes = fixture::load(folder / "x.npz");
  bytes[100'000] = static_cast<char>(bytes[100'000] ^ 1);
  fixture::save(folder / "x.npz", bytes);
  for (const auto mode : {bit::io::read_mode::map, bit::io::read_mode::copy}) {
    const auto open = open_checkpoint(folder / "x.npz", {.mode = mode});
    std::string messages;
    for (const auto& tensor : open.tensors) messages += format_message_of([&] { fixture::values_of(tensor); });
    CHECK(contains(messages, "its CRC-32 differs"));
    CHECK(messages.find("[npz]") == messages.rfind("[npz]"));  // the other tensors are whole
  }
}

TEST_CASE("metadata completes the configuration, and nonsense in it is refused") {
  const fixture::folder folder;
  const auto path = folder / "x.safetensors";
  auto config = fixture::tiny_config();
  config.output_stride = 8;
  config.weight_eps = 1e-8;
  config.group_norm_eps = 1.0 / 3;
  auto metadata = bit::io::config_metadata(config);
  metadata["labels"] = "cat\ndog";
  bit::io::write_safetensors(path, fixture::make_tensors(config), naming::timm, metadata);
  const auto read = open_checkpoint(path);
  CHECK(read.config == config);
  CHECK(read.metadata == metadata);
  for (const auto& [key, value] :
       {std::pair{"bit.groups", "3"}, {"bit.groups", "-1"}, {"bit.weight_eps", "x"}, {"bit.output_stride", "7"}}) {
    auto wrong = metadata;
    wrong[key] = value;
    bit::io::write_safetensors(path, fixture::make_tensors(config), naming::timm, wrong);
    CHECK_FALSE(format_message_of([&] { open_checkpoint(path); }).empty());
  }
  bit::io::write_safetensors(path,
                             fixture::make_tensors(config));  // one channel is not divisible by the usual 32 groups
  CHECK(contains(format_message_of([&] { open_checkpoint(path); }), "no network can have its sizes"));
}

TEST_CASE("stored float32 is offered in place when mapped, and survives release and the removal of the file") {
  const fixture::folder folder;
  const auto tensors = fixture::make_tensors(fixture::small_config());
  for (const std::string format : {"x.npz", "x.safetensors"}) {
    if (format == "x.npz")
      bit::io::write_npz(folder / format, tensors);
    else
      bit::io::write_safetensors(folder / format, tensors);
    const auto mapped = open_checkpoint(folder / format),
               copied = open_checkpoint(folder / format, {.mode = bit::io::read_mode::copy});
    std::filesystem::remove(folder / format);
    CHECK(copied.tensors[0].data->bytes().empty());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto in_place = mapped.tensors[i].data->bytes();
      const auto values = fixture::values_of(tensors[i]);
      REQUIRE(in_place.size() == values.size() * sizeof(float));
      CHECK(std::memcmp(in_place.data(), values.data(), in_place.size()) == 0);
      mapped.tensors[i].data->release();
      CHECK(fixture::values_of(mapped.tensors[i]) == values);
    }
  }
}
