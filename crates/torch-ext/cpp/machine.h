// What the processor and the system let us use.
#pragma once

namespace machine {
// AVX-512 as our kernels need it, and its products of bf16.
bool has_avx512();
bool has_avx512_bf16();
// Whether libtorch's oneDNN multiplies bf16 in the tiles of AMX: the processor has them, the system gives them to this
// process, and nobody told oneDNN to leave them alone.
bool has_amx();
}  // namespace machine
