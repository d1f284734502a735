// Loops on libtorch's own threads.

#pragma once
#include <c10/util/FunctionRef.h>
#include <cstdint>

// Splits 0..count into a range for each of libtorch's threads, and waits for them. Rethrows an exception of one of
// them.
void in_parallel(int64_t count, c10::function_ref<void(int64_t from, int64_t to)> run);
