// SPDX-License-Identifier: Apache-2.0
// Embeds every image of a folder: embed CHECKPOINT FOLDER OUT.npy
// Writes float32 (images, features) for NumPy's load(), in the order of the printed paths. Decoding runs ahead on its
// own threads while the network computes.
#include <bit/data.hpp>
#include <bit/resnet.hpp>
#include <cstdio>
#include <fstream>

/// The npy format, version 1.0: magic, header length, a Python literal padded to 64 bytes, then the values.
void write_npy(const std::string& path, const std::vector<float>& values, std::size_t rows) {
  const std::size_t columns = rows > 0 ? values.size() / rows : 0;
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                       std::to_string(columns) + "), }";
  header.resize((header.size() + 11 + 63) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() % 256)).put(static_cast<char>(header.size() / 256));
  file << header;
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!file.flush()) throw bit::io_error("cannot write " + path, errno);
}

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s CHECKPOINT FOLDER OUT.npy\n", argv[0]);
    return 2;
  }
  const auto model = bit::load(argv[1], {.head = bit::io::head::drop()}).freeze();
  const auto paths = bit::data::list_images(argv[2]);
  const std::size_t batch = model.throughput_batch({.c = 3, .h = 224, .w = 224});
  bit::data::image_loader loader(paths, {.height = 224, .width = 224}, {.batch_size = batch});
  std::vector<float> features;
  std::size_t rows = 0;
  while (const auto images = loader.next()) {
    const auto pooled = model(images->images);
    features.insert(features.end(), pooled.begin(), pooled.end());
    for (std::size_t index : images->indices) std::printf("%s\n", paths[index].c_str());
    rows += images->indices.size();
  }
  write_npy(argv[3], features, rows);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
