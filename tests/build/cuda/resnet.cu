// SPDX-License-Identifier: Apache-2.0
// A CUDA program's unit that uses the library: its public headers pass nvcc's own front end beside a kernel.
#include <bit/data.hpp>
#include <bit/io.hpp>
#include <bit/resnet.hpp>
#include <bit/train.hpp>

__global__ void twice(float* x) { x[threadIdx.x] *= 2; }

bit::matrix<float> logits_of(const char* path, const bit::tensor4<float>& images) {
  return bit::load(path).freeze()(images);
}
