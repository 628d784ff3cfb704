// SPDX-License-Identifier: Apache-2.0
// File systems that lack what POSIX promises: this binary's own fchmod, fsync, rename, mmap and fsetxattr stand before the
// C library's and refuse as network shares, FUSE and FAT do.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit/error.hpp>
#include <bit/io/checkpoint.hpp>
#include <bit/io/write.hpp>
#include <bit/model/random.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace {

/// What each function fails with, and how often it has been asked; 0: it works.
struct refusal {
  int code = 0;
  int asked = 0;
};
std::map<std::string, refusal>& refusals() {
  static std::map<std::string, refusal> all;
  return all;
}

bool refused(const char* function) {
  const auto found = refusals().find(function);
  if (found == refusals().end() || found->second.code == 0) return false;
  ++found->second.asked;
  errno = found->second.code;
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
int fchmod(int file, mode_t mode) noexcept {
  return refused("fchmod") ? -1 : next<int(int, mode_t)>("fchmod")(file, mode);
}
int fsync(int file) {
  struct stat status {};
  ::fstat(file, &status);
  return refused(S_ISDIR(status.st_mode) ? "fsync of a folder" : "fsync") ? -1 : next<int(int)>("fsync")(file);
}
int rename(const char* from, const char* to) noexcept {
  struct stat status {};
  if (::stat(to, &status) == 0 && refused("rename over")) return -1;
  return refused("rename") ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}
void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  if (file >= 0 && refused("mmap")) return MAP_FAILED;
  return next<void*(void*, std::size_t, int, int, int, off_t)>("mmap")(at, size, protection, flags, file, offset);
}
}

namespace {

struct with_refusal {
  std::string function;
  with_refusal(const std::string& name, int code) : function(name) { refusals()[name] = {code, 0}; }
  ~with_refusal() { refusals()[function] = {}; }
  int asked() const { return refusals()[function].asked; }
};

struct scratch {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("bit_file_systems_" + std::to_string(::getpid()));
  scratch() { std::filesystem::create_directories(path); }
  ~scratch() { std::filesystem::remove_all(path); }
};

const bit::resnet_config tiny{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 3};

void save(const std::filesystem::path& path, std::uint64_t seed) {
  bit::io::write_safetensors(path, bit::random_tensors(tiny, seed));
}

/// The head's values of a checkpoint, which tell the seeds apart.
std::vector<float> head_of(const std::filesystem::path& path) {
  const auto checkpoint = bit::io::open_checkpoint(path);
  for (const bit::named_tensor& t : checkpoint.tensors)
    if (t.name == "resnet/head/conv2d/kernel") {
      std::vector<float> values(t.shape[2] * t.shape[3]);
      t.data->read(std::span<float>(values));
      return values;
    }
  return {};
}

std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("a file is replaced whatever the file system lacks") {
  const scratch folder;
  const auto path = folder.path / "m.safetensors";
  save(path, 1);
  const auto first = head_of(path);
  struct lack {
    const char* function;
    int code;
  };
  for (const lack& l : {lack{"fchmod", EPERM},
                        {"fchmod", EOPNOTSUPP},
                        {"fsync", EINVAL},
                        {"fsync of a folder", EINVAL},
                        {"fsync of a folder", EBADF},
                        {"rename over", EACCES},
                        {"rename over", EBUSY}}) {
    CAPTURE(l.function);
    save(path, 1);
    const with_refusal refuse(l.function, l.code);
    save(path, 2);
    CHECK(refuse.asked() > 0);  // the refusal stood in the way
    CHECK(head_of(path) != first);
    CHECK(entries(folder.path) == 1);
  }
}

TEST_CASE("what fails is told, and no byte is lost") {
  const scratch folder;
  const auto path = folder.path / "m.safetensors";
  save(path, 1);
  const auto first = head_of(path);
  {
    const with_refusal refuse("fsync", EIO);  // the disk is failing: this must not pass for written
    CHECK_THROWS_WITH_AS(save(path, 2), doctest::Contains("cannot sync"), bit::io_error);
    CHECK(head_of(path) == first);
    CHECK(entries(folder.path) == 1);
  }
  {
    const with_refusal refuse("rename", EACCES);
    CHECK_THROWS_WITH_AS(save(path, 2), doctest::Contains("stands whole in"), bit::io_error);
  }
  CHECK(head_of(path) == first);
  REQUIRE(entries(folder.path) == 2);
  for (const auto& e : std::filesystem::directory_iterator(folder.path))
    if (e.path() != path) std::filesystem::rename(e.path(), folder.path / "found.safetensors");
  CHECK(head_of(folder.path / "found.safetensors") != first);
}

TEST_CASE("a file that cannot be mapped is read") {
  const scratch folder;
  const auto path = folder.path / "m.safetensors";
  save(path, 1);
  const auto mapped = head_of(path);
  for (const int code : {ENODEV, ENOMEM, EACCES}) {
    const with_refusal refuse("mmap", code);
    CHECK(head_of(path) == mapped);
    CHECK(refuse.asked() > 0);
  }
}
