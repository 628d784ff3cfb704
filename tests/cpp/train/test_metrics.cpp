// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <bit/train/evaluation.hpp>
#include <bit/train/metrics_log.hpp>
#include <cmath>
#include <csignal>
#include <limits>
#include <vector>

#include "../scratch.hpp"

using namespace bit::train;

TEST_CASE("a line holds what was added, and nothing that JSON does not have") {
  metrics_line line("step");
  line.add("step", std::uint64_t{3}).add("loss", 0.1).add("lr", 3e-5).add("note", "a \"b\"\n");
  line.add("nan", std::nan("")).add("infinite", -std::numeric_limits<double>::infinity());
  CHECK(line.text() ==
        R"({"event":"step","step":3,"loss":0.1,"lr":3e-05,"note":"a \"b\"\u000a","nan":null,"infinite":null})");
}

TEST_CASE("lines are appended, after an unfinished one too") {
  const scratch_folder folder;
  metrics_log(folder / "m").write(metrics_line("a"));
  save(folder / "m", load(folder / "m") + "{\"event\":\"torn");
  metrics_log(folder / "m").write(metrics_line("b"));
  CHECK(load(folder / "m") == "{\"event\":\"a\"}\n{\"event\":\"torn\n{\"event\":\"b\"}\n");
  CHECK_THROWS_AS(metrics_log(folder / "none" / "m"), bit::io_error);
}

TEST_CASE("a full disk is an io_error that names the file") {
  const scratch_folder folder;
  metrics_log log(folder / "m");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  rlimit small = old_limit;
  small.rlim_cur = 3;
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string text = message_of<bit::io_error>([&] { log.write(metrics_line("event")); });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  CHECK(contains(text, (folder / "m").string()));
}

TEST_CASE("top-1, top-5 and loss count every example alike, however it is batched") {
  const std::vector<float> logits{0, 1, 2, 3, 4, 5,   // best 5
                                  5, 4, 3, 2, 1, 0,   // best 0
                                  1, 1, 1, 1, 1, 1};  // equal: the lowest class comes first
  const std::vector<std::int64_t> labels{5, 5, 4};
  evaluation_counter whole, parts;
  whole.add(logits, labels, 6);
  parts.add(std::span(logits).first(12), std::span(labels).first(2), 6);
  parts.add(std::span(logits).last(6), std::span(labels).last(1), 6);
  for (const auto& result : {whole.result(), parts.result()}) {
    CHECK(result.examples == 3);
    CHECK(result.top1 == doctest::Approx(1.0 / 3));
    CHECK(result.top5 == doctest::Approx(2.0 / 3));
    double sum = 0;
    for (int k = 0; k < 6; ++k) sum += std::exp(-k);
    CHECK(result.loss == doctest::Approx((std::log(sum) + std::log(sum) + 5 + std::log(6.0)) / 3));
  }
  CHECK(evaluation_counter().result().examples == 0);
}

TEST_CASE("with fewer than five classes top-5 is all of them, and NaN is never right") {
  evaluation_counter counter;
  counter.add(std::vector<float>{1, 0, 0}, std::vector<std::int64_t>{2}, 3);
  CHECK(counter.result().top5 == 1);
  evaluation_counter broken;
  const float nan = std::nanf("");
  broken.add(std::vector<float>{nan, nan, 0}, std::vector<std::int64_t>{0}, 3);
  CHECK(broken.result().top1 == 0);
  CHECK(std::isnan(broken.result().loss));
}

TEST_CASE("pairs tell what each example was taken for, by the order that top-1 goes by") {
  evaluation_counter counter(true), plain;
  const float nan = std::nanf("");
  const std::vector<float> logits{0, 2, 1, 3, 3, 0, 0, nan, 5};
  counter.add(logits, std::vector<std::int64_t>{1, 1, 2}, 3);
  CHECK(counter.result().pairs == std::vector<label_pair>{{1, 1}, {1, 0}, {2, 1}});
  CHECK(counter.result().top1 == doctest::Approx(1.0 / 3));
  plain.add(logits, std::vector<std::int64_t>{1, 1, 2}, 3);
  CHECK(plain.result().pairs.empty());
}
