// Instructions that the processor has and the system lets us use.
#pragma once

namespace machine {
// AVX-512 as our kernels need it, and its products of bf16.
bool has_avx512();
bool has_avx512_bf16();
// Returns true if libtorch's oneDNN multiplies bf16 in the tiles of AMX: the processor has them, the system gives them
// to this process, and no setting keeps oneDNN from them.
bool has_amx();
}  // namespace machine
