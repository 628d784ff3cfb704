// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/io/metadata.hpp>

#include "../scratch.hpp"

using namespace bit::io;

namespace {

checkpoint with(std::map<std::string, std::string> metadata) {
  checkpoint from;
  from.source = "some.safetensors";
  from.config.num_classes = 2;
  from.metadata = std::move(metadata);
  return from;
}

}  // namespace

TEST_CASE("a card is what the metadata says, and empty where it says nothing") {
  const auto about = read_metadata(with({{"bit.labels", R"(["cat","d\u00f6g"])"}, {"bit.input_size", "128"}}));
  CHECK(about.labels == std::vector<std::string>{"cat", "d\xc3\xb6g"});
  CHECK(about.input_size == 128);
  const auto none = read_metadata(with({{"other", "1"}}));
  CHECK(none.labels.empty());
  CHECK_FALSE(none.input_size);
}

TEST_CASE("a malformed card is refused with the file's name") {
  const auto text = [](std::map<std::string, std::string> metadata) {
    return message_of<bit::format_error>([&] { read_metadata(with(metadata)); });
  };
  CHECK(
      contains(text({{"bit.labels", R"(["cat"])"}}), "some.safetensors: expected as many labels as classes, 2, got 1"));
  CHECK(contains(text({{"bit.labels", "cat, dog"}}), "bit.labels"));
  for (const char* size : {"0", "-4", "128x128", "", "1e3", "99999999999999999999"})
    CHECK_MESSAGE(contains(text({{"bit.input_size", size}}), "bit.input_size"), size);
}
