// SPDX-License-Identifier: Apache-2.0
// Classifies images: classify CHECKPOINT IMAGE...  [--labels FILE]
// The checkpoint is any released BiT (npz) or a safetensors file; one that was fine-tuned knows its classes and the size
// of its images. FILE has one class name per line.
#include <bit/data.hpp>
#include <bit/io.hpp>
#include <bit/resnet.hpp>
#include <cstdio>
#include <fstream>

int main(int argc, char** argv) try {
  std::vector<std::string> arguments(argv + 1, argv + argc), labels;
  if (arguments.size() >= 2 && arguments[arguments.size() - 2] == "--labels") {
    std::ifstream file(arguments.back());
    if (!file) throw bit::io_error("cannot open " + arguments.back(), errno);
    for (std::string line; std::getline(file, line);) labels.push_back(line);
    arguments.resize(arguments.size() - 2);
  }
  if (arguments.size() < 2) {
    std::fprintf(stderr, "usage: %s CHECKPOINT IMAGE... [--labels FILE]\n", argv[0]);
    return 2;
  }

  const auto checkpoint = bit::io::open_checkpoint(arguments.front());
  const auto about = bit::io::read_metadata(checkpoint);
  if (labels.empty()) labels = about.labels;
  const std::size_t side = about.input_size.value_or(224);
  const auto model = bit::resnet_v2<>(checkpoint.config, checkpoint.tensors).freeze();
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const bit::rgb_image image = bit::data::read_image(arguments[i]);
    const auto logits = model(bit::data::preprocess({&image, 1}, {.height = side, .width = side}));
    std::printf("%s\n", arguments[i].c_str());
    for (const auto& [index, probability] : bit::top_k(logits, 5))
      std::printf("  %6.2f %%  %s\n", 100 * probability,
                  index < labels.size() ? labels[index].c_str() : ("class " + std::to_string(index)).c_str());
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
