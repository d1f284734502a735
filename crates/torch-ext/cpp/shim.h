// Declarations shared by the parts of the shim.

#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <atomic>
#include <limits>
#include <memory>
#include <vector>

using at::Tensor;

inline std::vector<Tensor> list(Tensor* const* tensors, size_t n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (size_t i = 0; i < n; i++) all.push_back(*tensors[i]);
  return all;
}

// Returns the GPU of this index, or the CPU for a negative one.
inline at::Device device_of(int cuda_index) {
  TORCH_CHECK(cuda_index <= std::numeric_limits<c10::DeviceIndex>::max(), "there is no GPU ", cuda_index);
  return cuda_index < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(cuda_index));
}

// Returns the message of the last call that returned 1 on this thread.
const char* last_message() noexcept;

// Callback of the host language. Returns 0, or 1 with a message.
using Run = int (*)(void* self, const Tensor* const* inputs, size_t n, Tensor** out);

inline Tensor called(Run run, void* self, at::TensorList inputs) {
  std::vector<const Tensor*> all;
  for (const auto& input : inputs) all.push_back(&input);
  Tensor* out = nullptr;
  TORCH_CHECK(run(self, all.data(), all.size(), &out) == 0 && out, last_message());
  std::unique_ptr<Tensor> owner(out);
  return *owner;
}

// Keeps the message of the exception being handled.
void complain() noexcept;

// Runs `body`. Returns 0, or 1 with a message. No exception leaves it, of whatever type, not even from making the
// message.
template <class F> int guarded(F&& body) noexcept {
  try {
    body();
    return 0;
  } catch (...) {
    complain();
    return 1;
  }
}

// Number of captures of a CUDA graph that have begun and not ended.
extern std::atomic<int> captures_under_way;

// Throws if a backward pass of one of our kernels is to be differentiated: libtorch cannot do that, and a second
// derivative would silently lack the kernel's part.
void refuse_second_derivative(const char* kernel);
