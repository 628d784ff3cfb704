// SPDX-License-Identifier: Apache-2.0
// A training loop of one's own: train_loop CHECKPOINT DATA [STEPS [RATE]]
// It fine-tunes a BiT model on a folder of images with a folder per class, with a loss that the library does not have
// (the focal loss, arXiv:1708.02002), AdamW, a cosine schedule and gradients clipped to norm 1. The first block stays as
// it is. It prints the loss of each step and, at the end, the accuracy on the images that were held out.
#include <bit/data.hpp>
#include <bit/io.hpp>
#include <bit/resnet.hpp>
#include <bit/train.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <string>
#include <vector>

namespace {

namespace train = bit::train;

/// Mean of -(1-p)²·log p, where p is the probability of the right class: what is classified well counts little.
class focal_loss final : public bit::loss_function<float> {
 public:
  explicit focal_loss(std::span<const std::int64_t> labels) : labels_(labels) {}
  double operator()(std::span<const float> logits, std::span<float> gradient, std::size_t n,
                    std::size_t classes) const override {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto x = logits.subspan(i * classes, classes);
      const auto label = static_cast<std::size_t>(labels_[i]);
      double total = 0;
      for (const float v : x) total += std::exp(static_cast<double>(v - x[label]));
      const double p = 1 / total, log_p = -std::log(total);
      sum -= (1 - p) * (1 - p) * log_p;
      // d/dlog p of the loss, then dlog p/dx = (k is the label) - softmax
      const double slope = 2 * (1 - p) * p * log_p - (1 - p) * (1 - p);
      for (std::size_t k = 0; k < classes; ++k) {
        const double softmax = std::exp(static_cast<double>(x[k] - x[label])) * p;
        gradient[i * classes + k] =
            static_cast<float>(slope * ((k == label ? 1 : 0) - softmax) / static_cast<double>(n));
      }
    }
    return sum / static_cast<double>(n);
  }

 private:
  std::span<const std::int64_t> labels_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s CHECKPOINT DATA [STEPS [RATE]]\n", argv[0]);
    return 2;
  }
  const std::size_t steps = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 100;
  const double base_rate = argc > 4 ? std::strtod(argv[4], nullptr) : 1e-3;
  const auto split = bit::data::open_image_folder(argv[2]);  // val/ beside train/, or a tenth of each class held out
  const auto& images = split.train;

  // A head of zeros for the set's classes; cpu<float> computes.
  auto model = train::with_new_head(bit::io::open_checkpoint(argv[1]), images->class_names().size());

  // What is frozen has no gradient and costs no backward pass. The optimizer is told the same, by patterns.
  const train::parameter_options rules{.freeze = {"resnet/root_block/*", "resnet/block1/*"}, .weight_decay = 0.01};
  model.set_training({.frozen = train::frozen_names(model.parameters().specs(), rules)});
  train::adam optimizer(model.parameters(), {.decoupled = true, .clip_norm = 1, .parameters = rules});

  // Shuffled batches of 8 images, squashed to 128 x 128 pixels, flipped at random; loaded ahead by threads.
  const bit::data::augment_spec augment{.resize = 128, .crop = 128};
  const train::sampler order(images->size(), 8, /*seed=*/0);
  train::loader_source batches(images, order, augment, /*seed=*/0);
  for (std::size_t step = 0; step < steps; ++step) {
    const double progress = static_cast<double>(step) / static_cast<double>(steps);
    const double rate = base_rate * (1 + std::cos(std::numbers::pi * progress)) / 2;
    const train::micro_batch batch = batches.read(step, 0, 1);
    // Zeroes the gradients, accumulates this batch's, and updates. To take a batch in parts, or to use the library's own
    // losses, see train::take_step() and bit::cross_entropy.
    const double loss = train::train_step<float>(model, optimizer, batch.view(), focal_loss(batch.labels), rate);
    std::printf("step %zu/%zu  loss %.4f  rate %.1e\n", step + 1, steps, loss, rate);
  }

  // Evaluation as the reference does it: images squashed, nothing random.
  const auto logits = [&](const bit::image_view<float>& x, float* out) { model.logits(x, out); };
  const auto& held_out = split.validation && split.validation->size() != 0 ? split.validation : images;
  const auto found = train::evaluate(logits, images->class_names().size(), held_out, augment, 32);
  std::printf("top-1 %.1f %% of %zu images\n", 100 * found.top1, found.examples);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
