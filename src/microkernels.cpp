// Compiled mode: the leaf kernels of every instruction set, and the choice between them.
#include <bit/backend/cpu/isa/dispatch.ipp>

namespace bit::inline v0::detail {

template const microkernel_table<float>& microkernels_of<float>(instruction_set);
template const microkernel_table<bfloat16>& microkernels_of<bfloat16>(instruction_set);

}  // namespace bit::inline v0::detail
