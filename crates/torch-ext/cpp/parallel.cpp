// Loops on libtorch's own threads. at::parallel_for is a template, and a copy of it compiled in here would need
// libtorch's OpenMP: the library of the same name, which distributions and wheels rename, and a compiler that calls it.
// Without that the loop is silently serial. So we use a loop that is compiled into libtorch, whatever threads it has.

#include "parallel.h"
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <atomic>

namespace {
std::atomic<uint64_t> loops{0};
// Number of threads of the last loop that this thread began.
thread_local int threads_of_last = 0;
}  // namespace

void in_parallel(int64_t count, c10::function_ref<void(int64_t from, int64_t to)> run) {
  if (count <= 0) return;
  // A byte for each number: its address gives the range.
  at::TensorBase places = at::detail::empty_cpu({count}, at::kByte);
  auto begin = static_cast<const char*>(places.const_data_ptr());
  auto iterator = at::TensorIterator::nullary_op(places);
  auto number = ++loops;
  std::atomic<int> threads{0};
  iterator.for_each(
      [&](char** data, const int64_t*, int64_t size, int64_t) {
        thread_local uint64_t last = 0;
        if (last != number) last = number, threads++;
        run(data[0] - begin, data[0] - begin + size);
      },
      /*grain_size=*/1);
  threads_of_last = threads;
}

extern "C" int oxiseg_loop_threads() { return threads_of_last; }
