// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <bit/io.hpp>
#include <bit/model/random.hpp>
#include <bit/train/checkpoint.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "../scratch.hpp"

namespace {

struct outcome {
  int code = -1;
  std::string text;
};

/// Runs a program, both of its streams in one text.
outcome run(const std::string& program, const std::string& arguments) {
  outcome result;
  std::FILE* const pipe = ::popen(("'" + program + "' " + arguments + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) result.text.append(buffer, n);
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

/// CIFAR-10's files with a few images whose colour tells the class.
void write_cifar(const std::filesystem::path& folder) {
  std::filesystem::create_directory(folder);
  std::string names;
  for (int c = 0; c < 10; ++c) names += "class" + std::to_string(c) + "\n";
  save(folder / "batches.meta.txt", names);
  for (const char* name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    std::string records;
    for (int c = 0; c < 10; ++c) {
      records += static_cast<char>(c);
      for (int channel = 0; channel < 3; ++channel)
        records += std::string(32 * 32, static_cast<char>(25 * (channel == 0 ? c : channel == 1 ? 9 - c : 5)));
    }
    save(folder / (std::string(name) + ".bin"), records);
  }
}

/// An image of class `c`: 32 x 32 pixels of three bytes, blue first.
void write_bitmap(const std::filesystem::path& path, int c) {
  std::string file("BM");
  const auto number = [&](std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) file += static_cast<char>(value >> shift & 255);
  };
  for (const std::uint32_t value : {54u + 3072, 0u, 54u, 40u, 32u, 32u, 1u + (24u << 16), 0u, 3072u, 0u, 0u, 0u, 0u})
    number(value);
  for (int i = 0; i < 32 * 32; ++i)
    for (const int value : {25 * 5, 25 * (9 - c), 25 * c}) file += static_cast<char>(value);
  save(path, file);
}

void write_start(const std::filesystem::path& path) {
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 7};
  bit::io::write_npz(path, bit::random_tensors(config, 5), bit::io::naming::official);
}

}  // namespace

TEST_CASE(
    "the finetune program trains on CIFAR's binary files, goes on after an interruption, and classify uses the "
    "result") {
  const scratch_folder folder;
  write_cifar(folder / "cifar-10-batches-bin");
  write_start(folder / "start.npz");
  const std::string how = (folder / "start.npz").string() + " " + (folder / "cifar-10-batches-bin").string() + " " +
                          (folder / "run").string() + " --batch 8 --size 36 32 --steps ";
  const auto whole = run(BIT_EXAMPLE_FINETUNE, how + "6");
  REQUIRE_MESSAGE(whole.code == 0, whole.text);
  CHECK(contains(whole.text, "BiT-HyperRule for 50 images of 32 x 32"));
  CHECK(contains(whole.text, "step 6/6  loss"));
  CHECK(contains(whole.text, "after step 6: loss"));
  CHECK(contains(whole.text, "of 10 images"));
  const auto again = run(BIT_EXAMPLE_FINETUNE, how + "6");  // nothing left to do
  CHECK(again.code == 0);
  CHECK_FALSE(contains(again.text, "step 1/6"));
  const auto other = run(BIT_EXAMPLE_FINETUNE, how + "7");
  CHECK(other.code == 1);
  CHECK(contains(other.text, "steps: 6 there, 7 here"));

  // Killed by a signal after its second step, the run ends with the same bytes.
  std::string elsewhere = how;
  elsewhere.replace(elsewhere.find("/run "), 5, "/cut ");
  save(folder / "cut.sh", "'" BIT_EXAMPLE_FINETUNE "' " + elsewhere +
                              "6 --save_every 1 | while read line; do echo \"$line\"; "
                              "case $line in *'step 2/6'*) exit;; esac; done");
  const auto cut = run("sh", (folder / "cut.sh").string());
  CHECK(contains(cut.text, "step 2/6"));  // its reader has gone: the program ends by SIGPIPE at its next line
  CHECK_FALSE(contains(cut.text, "step 6/6"));
  CHECK(std::filesystem::exists(folder / "cut" / "last.safetensors"));
  const auto finished = run(BIT_EXAMPLE_FINETUNE, elsewhere + "6 --save_every 1");
  REQUIRE_MESSAGE(finished.code == 0, finished.text);
  CHECK_FALSE(contains(finished.text, "step 1/6"));
  CHECK(load(folder / "cut" / "last.safetensors") == load(folder / "run" / "last.safetensors"));

  const auto about = bit::io::read_metadata(bit::io::open_checkpoint(folder / "run" / "best.safetensors"));
  CHECK(about.labels.at(3) == "class3");
  CHECK(about.input_size == 32);

  write_bitmap(folder / "image.bmp", 3);
  const auto found =
      run(BIT_EXAMPLE_CLASSIFY, (folder / "run" / "best.safetensors").string() + " " + (folder / "image.bmp").string());
  CHECK(found.code == 0);
  CHECK(contains(found.text, "%  class3"));  // names, and five of the ten classes
}

TEST_CASE("the finetune program says what is wrong with its arguments") {
  const scratch_folder folder;
  write_start(folder / "start.npz");
  const std::string start = (folder / "start.npz").string();
  CHECK(run(BIT_EXAMPLE_FINETUNE, "").code == 2);
  for (const char* bad : {" nowhere run", " . run --steps", " . run --unknown 1", " . run --size 3"}) {
    const auto refused = run(BIT_EXAMPLE_FINETUNE, start + bad);
    CHECK(refused.code == 1);
    CHECK_MESSAGE(contains(refused.text, "error: "), refused.text);
  }
}

TEST_CASE("the program with a training loop of its own learns a folder of images") {
  const scratch_folder folder;
  write_start(folder / "start.npz");
  for (int c = 0; c < 3; ++c) {
    const auto place = folder / "images" / ("class" + std::to_string(c));
    std::filesystem::create_directories(place);
    for (int i = 0; i < 4; ++i) write_bitmap(place / (std::to_string(i) + ".bmp"), 4 * c);
  }
  const auto done =
      run(BIT_EXAMPLE_TRAIN_LOOP, (folder / "start.npz").string() + " " + (folder / "images").string() + " 10 0.003");
  REQUIRE_MESSAGE(done.code == 0, done.text);
  const auto loss_after = [&](const std::string& step) {
    return std::strtod(done.text.c_str() + done.text.find("loss", done.text.find(step)) + 4, nullptr);
  };
  CHECK(loss_after("step 1/10") == doctest::Approx(0.4883).epsilon(1e-3));  // (2/3)² · log 3: a head of zeros
  CHECK(loss_after("step 10/10") < 0.3);
  CHECK_MESSAGE(contains(done.text, "of 3 images"), done.text);
  CHECK(run(BIT_EXAMPLE_TRAIN_LOOP, "").code == 2);
  const auto refused = run(BIT_EXAMPLE_TRAIN_LOOP, (folder / "start.npz").string() + " nowhere");
  CHECK(refused.code == 1);
  CHECK_MESSAGE(contains(refused.text, "error: "), refused.text);
}
