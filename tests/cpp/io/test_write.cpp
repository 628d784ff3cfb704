// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <csignal>
#include <thread>

#include "fixture.hpp"

using bit::io::naming;
using fixture::format_message_of;

namespace {

using writer = void (*)(const std::filesystem::path&, const std::vector<bit::named_tensor>&);

void as_npz(const std::filesystem::path& path, const std::vector<bit::named_tensor>& tensors) {
  bit::io::write_npz(path, tensors);
}
void as_safetensors(const std::filesystem::path& path, const std::vector<bit::named_tensor>& tensors) {
  bit::io::write_safetensors(path, tensors, naming::official, bit::io::config_metadata(fixture::tiny_config()));
}

/// A parameter that cannot be read, as of a damaged source.
class broken final : public bit::tensor_data {
 public:
  void read(std::span<float>) const override { throw bit::format_error("broken"); }
  void read(std::span<double>) const override { throw bit::format_error("broken"); }
};

/// A parameter of `size` values that are made when read, for archives beyond 4 GiB without the memory.
class made final : public bit::tensor_data {
 public:
  explicit made(float value) : value_(value) {}
  void read(std::span<float> out) const override { std::fill(out.begin(), out.end(), value_); }
  void read(std::span<double> out) const override { std::fill(out.begin(), out.end(), value_); }

 private:
  float value_;
};

}  // namespace

TEST_CASE("equal tensors give equal files, an old file's mode stays, and no temporary file is left") {
  const fixture::folder folder;
  const auto tensors = fixture::make_tensors(fixture::tiny_config());
  for (const writer write : {as_npz, as_safetensors}) {
    write(folder / "a", tensors);
    fixture::save(folder / "b", "old");
    REQUIRE(::chmod((folder / "b").c_str(), 0640) == 0);
    write(folder / "b", tensors);
    CHECK(fixture::load(folder / "a") == fixture::load(folder / "b"));
    struct stat status {};
    REQUIRE(::stat((folder / "b").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    CHECK(folder.entries() == 2);
  }
}

TEST_CASE("a symbolic link is followed, so that what it points to is replaced") {
  const fixture::folder folder;
  fixture::save(folder / "step1", "old");
  std::filesystem::create_symlink("step1", folder / "last");
  as_npz(folder / "last", fixture::make_tensors(fixture::tiny_config()));
  CHECK(std::filesystem::is_symlink(folder / "last"));
  CHECK(fixture::load(folder / "step1").starts_with("PK"));
}

TEST_CASE("a failure on the way leaves the old file and no temporary one") {
  const fixture::folder folder;
  auto tensors = fixture::make_tensors(fixture::tiny_config());
  tensors.back().data = std::make_shared<broken>();
  for (const writer write : {as_npz, as_safetensors}) {
    fixture::save(folder / "a", "old");
    CHECK(format_message_of([&] { write(folder / "a", tensors); }) == "broken");
    CHECK(fixture::load(folder / "a") == "old");
    CHECK(folder.entries() == 1);
  }
  CHECK(message_of<bit::io_error>([&] { as_npz(folder / "none" / "a", tensors); }).find("No such file") !=
        std::string::npos);
}

TEST_CASE("a file that may not grow is an io_error that leaves the old file") {
  const fixture::folder folder;
  const auto tensors = fixture::make_tensors(fixture::tiny_config());
  fixture::save(folder / "a", "old");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  for (const rlim_t limit : std::vector<rlim_t>{0, 5, 500, 9000}) {
    rlimit small = old_limit;
    small.rlim_cur = limit;
    ::setrlimit(RLIMIT_FSIZE, &small);
    std::string npz = message_of<bit::io_error>([&] { as_npz(folder / "a", tensors); });
    std::string safetensors = message_of<bit::io_error>([&] { as_safetensors(folder / "a", tensors); });
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
    CHECK(npz.find("cannot write") != std::string::npos);
    CHECK(safetensors.find("cannot write") != std::string::npos);
    CHECK(fixture::load(folder / "a") == "old");
    CHECK(folder.entries() == 1);
  }
  std::signal(SIGXFSZ, old_handler);
}

TEST_CASE("a writer killed at any moment leaves the old or the new file") {
  const fixture::folder folder;
  const auto old_tensors = fixture::make_tensors(fixture::tiny_config(), 1),
             new_tensors = fixture::make_tensors(fixture::tiny_config(), 2);
  as_safetensors(folder / "old", old_tensors);
  as_safetensors(folder / "new", new_tensors);
  const std::string old_bytes = fixture::load(folder / "old"), new_bytes = fixture::load(folder / "new");
  for (int delay = 0; delay < 20; ++delay) {
    fixture::save(folder / "a", old_bytes);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (;;) as_safetensors(folder / "a", new_tensors);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100 * delay));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string found = fixture::load(folder / "a");
    CHECK((found == old_bytes || found == new_bytes));
  }
}

TEST_CASE("two writers of one path: one of them wins whole") {
  const fixture::folder folder;
  const auto a = fixture::make_tensors(fixture::tiny_config(), 1), b = fixture::make_tensors(fixture::tiny_config(), 2);
  as_npz(folder / "a", a);
  as_npz(folder / "b", b);
  const std::string a_bytes = fixture::load(folder / "a"), b_bytes = fixture::load(folder / "b");
  for (int round = 0; round < 10; ++round) {
    std::thread other([&] { as_npz(folder / "x", a); });
    as_npz(folder / "x", b);
    other.join();
    const std::string found = fixture::load(folder / "x");
    CHECK((found == a_bytes || found == b_bytes));
  }
  CHECK(folder.entries() == 3);
}

TEST_CASE("what is no parameter, or given twice, is not written") {
  const fixture::folder folder;
  auto tensors = fixture::make_tensors(fixture::tiny_config());
  tensors.push_back(tensors.front());
  CHECK_THROWS_AS(bit::io::write_npz(folder / "a", tensors), bit::config_error);
  tensors.back().name = "step";
  CHECK_THROWS_AS(bit::io::write_safetensors(folder / "a", tensors), bit::config_error);
  CHECK_THROWS_AS(bit::io::write_safetensors(folder / "a", {}, naming::official, {{"k", "\xff"}}), bit::config_error);
  CHECK(folder.entries() == 0);
}

TEST_CASE("ZIP64 records in a small archive are read") {
  const fixture::folder folder;
  bit::io::write_npz(folder / "a.npz", fixture::make_tensors(fixture::small_config()));
  // Give the archive ZIP64 end records, as writers that always use them do.
  std::string bytes = fixture::load(folder / "a.npz");
  const std::size_t end = bytes.size() - 22;
  std::uint16_t count;
  std::uint32_t size, offset;
  std::memcpy(&count, bytes.data() + end + 10, 2);
  std::memcpy(&size, bytes.data() + end + 12, 4);
  std::memcpy(&offset, bytes.data() + end + 16, 4);
  std::string wide(76, '\0');
  fixture::put(wide, 0, std::uint32_t{0x06064b50});
  fixture::put(wide, 4, std::uint64_t{44});
  fixture::put(wide, 24, std::uint64_t{count});
  fixture::put(wide, 32, std::uint64_t{count});
  fixture::put(wide, 40, std::uint64_t{size});
  fixture::put(wide, 48, std::uint64_t{offset});
  fixture::put(wide, 56, std::uint32_t{0x07064b50});
  fixture::put(wide, 64, std::uint64_t{end});
  fixture::put(wide, 72, std::uint32_t{1});
  bytes.insert(end, wide);
  fixture::put(bytes, end + 76 + 16, std::uint32_t{0xffffffff});
  fixture::save(folder / "b.npz", bytes);
  CHECK(bit::io::open_checkpoint(folder / "b.npz").config == fixture::small_config());
  for (const std::size_t field : std::vector<std::size_t>{4, 24, 32, 40, 48, 56, 64, 72}) {
    std::string wrong = bytes;
    wrong[end + field] = static_cast<char>(wrong[end + field] ^ 1);
    fixture::save(folder / "b.npz", wrong);
    INFO(field);
    CHECK_THROWS_AS(bit::io::open_checkpoint(folder / "b.npz"), bit::format_error);
  }
}

// Needs 4.1 GiB of disk and a minute.
TEST_CASE("slow: an archive beyond 4 GiB is written and read") {
  const fixture::folder folder;
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 256, .num_classes = 131'072};
  std::vector<bit::named_tensor> tensors;
  float value = 0;
  for (const auto& spec : bit::tensor_specs(config))
    tensors.push_back({spec.name, spec.shape, std::make_shared<made>(value += 0.5f)});
  std::swap(tensors[0], tensors.end()[-2]);  // the big one first, so that offsets pass 4 GiB too
  bit::io::write_npz(folder / "a.npz", tensors);
  CHECK(std::filesystem::file_size(folder / "a.npz") > (std::uint64_t{1} << 32));
  const auto read = bit::io::open_checkpoint(folder / "a.npz");
  CHECK(read.config == config);
  CHECK(fixture::values_of(read.tensors.back()).front() == value);
  CHECK(read.tensors.end()[-2].data->bytes().size() == std::size_t{4} * 8192 * 131'072);
}
