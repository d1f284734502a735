// Loops on libtorch's own threads.

#pragma once
#include <c10/util/FunctionRef.h>
#include <cstdint>

// Shares 0..count out to libtorch's threads, a range to each, and waits for them. Passes on what one of them throws.
void in_parallel(int64_t count, c10::function_ref<void(int64_t from, int64_t to)> run);
