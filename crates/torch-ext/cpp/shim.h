// What the parts of the shim share.

#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <memory>
#include <vector>

using at::Tensor;

inline std::vector<Tensor> list(Tensor* const* tensors, size_t n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (size_t i = 0; i < n; i++) all.push_back(*tensors[i]);
  return all;
}

// The message of the last call that returned 1 on this thread.
const char* last_message() noexcept;

// What the host language gave to be called back; 0, or 1 with a message.
using Run = int (*)(void* self, const Tensor* const* inputs, size_t n, Tensor** out);

inline Tensor called(Run run, void* self, at::TensorList inputs) {
  std::vector<const Tensor*> all;
  for (const auto& input : inputs) all.push_back(&input);
  Tensor* out = nullptr;
  TORCH_CHECK(run(self, all.data(), all.size(), &out) == 0 && out, last_message());
  std::unique_ptr<Tensor> owner(out);
  return *owner;
}

// Keeps the message of the exception that is being handled.
void complain() noexcept;

// Runs `body`; 0, or 1 with a message. Nothing that it throws leaves it, of whatever type, nor does the making of the
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

// For the backward pass of a kernel of ours, which libtorch cannot differentiate once more: a second derivative would
// lack what went through it, without a word.
void refuse_second_derivative(const char* kernel);
