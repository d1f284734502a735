// CUDA graphs, and what must be put right after a capture that failed. Compiled where CUDA's headers are.

#include <ATen/Context.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <memory>
#include <mutex>
#include "shim.h"

namespace {
namespace memory = c10::cuda::CUDACachingAllocator;

struct CudaGraph {
  at::Device device;
  // A pool of memory of its own: a replay finds everything where the capture left it.
  at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
  at::Generator generator;
  Tensor random;
  at::cuda::CUDAGraph graph;

  explicit CudaGraph(at::Device device)
      : device(device), generator(at::globalContext().defaultGenerator(device)) {
    std::lock_guard<std::mutex> lock(generator.mutex());
    random = generator.get_state();
  }
  ~CudaGraph() {
    // Replays may still be running.
    quietly([&] { c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index()); });
  }

  template <class F> static bool quietly(F&& body) noexcept {
    try {
      body();
      return true;
    } catch (...) {
      return false;
    }
  }

  // libtorch's allocators still give a pool to a capture that it could not end, and its generator still expects one:
  // the next dropout would fail.
  void put_right() noexcept {
    if (quietly([&] { memory::endAllocateToPool(device.index(), pool); }))
      quietly([&] { memory::releasePool(device.index(), pool); });
    auto host = at::getHostAllocator(at::kCUDA);
    if (quietly([&] { host->end_allocate_to_pool(pool); })) quietly([&] { host->release_pool(pool); });
    quietly([&] {
      auto fresh = at::cuda::detail::createCUDAGenerator(device.index());
      fresh.set_state(random);
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.graphsafe_set_state(fresh);
    });
  }

  template <class F> void or_put_right(F&& body) {
    try {
      body();
    } catch (...) {
      put_right();
      throw;
    }
  }
};
}  // namespace

extern "C" {
// On the current stream, which must not be the default one. Calls of other threads do not disturb the capture.
int oxiseg_begin_capture(int cuda_index, CudaGraph** out) {
  return guarded([&] {
    auto made = std::make_unique<CudaGraph>(device_of(cuda_index));
    made->graph.register_generator_state(made->generator);
    made->or_put_right([&] { made->graph.capture_begin(made->pool, cudaStreamCaptureModeThreadLocal); });
    captures_under_way++;
    *out = made.release();
  });
}

int oxiseg_end_capture(CudaGraph* graph) {
  captures_under_way--;
  return guarded([&] { graph->or_put_right([&] { graph->graph.capture_end(); }); });
}

// Ends a capture of which nothing is wanted, in whatever state it is.
void oxiseg_abort_capture(CudaGraph* graph) {
  captures_under_way--;
  if (!CudaGraph::quietly([&] { graph->graph.capture_end(); })) graph->put_right();
  delete graph;
}

int oxiseg_replay(CudaGraph* graph) {
  return guarded([&] { graph->graph.replay(); });
}
void oxiseg_free_cuda_graph(CudaGraph* graph) { delete graph; }
}
