// SPDX-License-Identifier: Apache-2.0
// Fine-tunes a model by BiT-HyperRule: finetune CHECKPOINT DATA FOLDER [--batch N] [--steps N] [--size RESIZE CROP]
// [--save_every N]
// DATA is a folder of images with a folder per class (or train/ and val/ with such folders), or CIFAR's binary archive or
// folder. FOLDER takes the run: last.safetensors, best.safetensors, metrics.jsonl. The same command again continues it;
// Ctrl-C saves after the step in work.
#include <bit/data.hpp>
#include <bit/io.hpp>
#include <bit/train.hpp>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace {

volatile std::sig_atomic_t stop = 0;

bit::train::fine_tune_options options_of(int argc, char** argv) {
  bit::train::fine_tune_options options;
  options.folder = argv[3];
  const auto number = [&](int i) {
    if (i >= argc) throw std::runtime_error("expected a number after " + std::string(argv[argc - 1]));
    return static_cast<std::size_t>(std::stoul(argv[i]));
  };
  for (int i = 4; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--batch") {
      options.batch = number(++i);
    } else if (option == "--save_every") {
      options.save_every = number(++i);
    } else if (option == "--steps") {
      options.steps = number(++i);
    } else if (option == "--size") {
      options.resolution = bit::train::training_resolution{number(i + 1), number(i + 2)};
      i += 2;
    } else {
      throw std::runtime_error("unknown option " + option);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a line at a time, into files and pipes, too
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: %s CHECKPOINT DATA FOLDER [--batch N] [--steps N] [--size RESIZE CROP] [--save_every N]\n",
                 argv[0]);
    return 2;
  }
  const auto options = options_of(argc, argv);
  const auto split = bit::data::is_cifar_binary(argv[2]) ? bit::data::open_cifar_binary(argv[2])
                                                         : bit::data::open_image_folder(argv[2]);
  auto model =
      bit::train::with_new_head(bit::io::open_checkpoint(argv[1]), split.train->class_names().size());  // zeros
  auto plan = bit::train::resolve(options, *split.train, model);
  plan.time = bit::train::estimate_time(plan, options, model, split.validation ? split.validation->size() : 0);
  std::printf("%s\n", to_string(plan).c_str());

  std::signal(SIGINT, [](int) { stop = 1; });
  bit::train::fine_tune_callbacks callbacks;
  callbacks.on_step = [&](const bit::train::update_report& r) {
    std::printf("step %zu/%zu  loss %.4f  rate %.1e\n", r.step, plan.steps, r.loss, r.rate);
  };
  callbacks.on_evaluation = [](std::size_t step, const bit::train::evaluation& e) {
    std::printf("after step %zu: loss %.4f, top-1 %.2f %%, top-5 %.2f %% of %zu images\n", step, e.loss, 100 * e.top1,
                100 * e.top5, e.examples);
  };
  callbacks.should_stop = [] { return stop != 0; };
  const auto result = bit::train::fine_tune(model, split, options, plan, callbacks);
  std::printf(result.interrupted ? "stopped after step %zu; the same command continues\n" : "%zu steps done\n",
              result.step);
  return result.interrupted ? 130 : 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
