// SPDX-License-Identifier: Apache-2.0
// Threads, and what tells about the build and the machine.
#include <omp.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <bit/backend/cpu/peak.hpp>
#include <bit/resnet.hpp>

#include "gil.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace {

/// Threads of calls that name none; 0 lets the library decide. The one setting that Python keeps for the process.
std::atomic<std::size_t> default_threads{0};

py::dict build_info() {
  py::dict info;
  info["version"] = BIT_VERSION;
#if defined(__clang__)
  info["compiler"] = "clang " __clang_version__;
#else
  info["compiler"] = "gcc " __VERSION__;
#endif
#ifdef NDEBUG
  info["optimised"] = true;
#else
  info["optimised"] = false;
#endif
  info["isa"] = bit::detail::name_of(bit::detail::default_instruction_set());
  info["isas"] = bit::available_isas();
  info["openmp"] = _OPENMP;
  info["threads"] = bit::cpu<float>::threads(threads_or_default(0));
  const std::size_t quota = bit::detail::cgroup_processors();
  info["cpu_quota"] = quota > 0 ? py::object(py::int_(quota)) : py::none();
  py::dict libraries;
  libraries["zlib"] = BIT_HAS_ZLIB != 0;
  libraries["jpeg"] = BIT_HAS_JPEG != 0;
  libraries["png"] = BIT_HAS_PNG != 0;
  libraries["webp"] = BIT_HAS_WEBP != 0;
  info["libraries"] = libraries;
  return info;
}

py::dict measure_peak(std::size_t threads) {
  const auto peak = [&] {
    const released_gil release;
    return bit::detail::measure_peak(bit::cpu<float>::threads(threads_or_default(threads)),
                                     bit::detail::default_instruction_set());
  }();
  py::dict result;
  result["fma_gflops"] = peak.fma_gflops;
  result["bfloat16_gflops"] = peak.bfloat16_gflops;
  result["read_gbytes"] = peak.read_gbytes;
  return result;
}

}  // namespace

std::size_t threads_or_default(std::size_t threads) { return threads > 0 ? threads : default_threads.load(); }

void register_threads(py::module_& m) {
  m.def(
      "set_num_threads", [](std::size_t n) { default_threads = n; }, py::arg("n"),
      "Threads of calls that name none; 0 restores the library's own choice.");
  m.def("get_num_threads", [] { return bit::cpu<float>::threads(threads_or_default(0)); });
  m.def(
      "after_fork", [] { omp_set_num_threads(1); },
      "To be called in a forked child: Eigen's products (probes) use one thread there, as networks do by themselves.");
  m.def("build_info", &build_info);
  m.def(
      "measure_peak", &measure_peak, py::arg("threads") = 0,
      "Ceilings of this minute for `threads` threads together with the kernels in use: fma_gflops and bfloat16_gflops "
      "on registers, read_gbytes a second from main memory. Takes a quarter of a second and 256 MiB.");
}
