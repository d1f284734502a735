// What the parts of the shim share.

#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <exception>
#include <memory>
#include <string>
#include <vector>

using at::Tensor;

// What the last call that returned 1 on this thread complained about.
extern thread_local std::string last_error;

inline std::vector<Tensor> list(Tensor* const* tensors, size_t n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (size_t i = 0; i < n; i++) all.push_back(*tensors[i]);
  return all;
}

// What the host language gave to be called back; 0, or 1 with a message.
using Run = int (*)(void* self, const Tensor* const* inputs, size_t n, Tensor** out);

inline Tensor called(Run run, void* self, at::TensorList inputs) {
  std::vector<const Tensor*> all;
  for (const auto& input : inputs) all.push_back(&input);
  Tensor* out = nullptr;
  TORCH_CHECK(run(self, all.data(), all.size(), &out) == 0, last_error);
  std::unique_ptr<Tensor> owner(out);
  return *owner;
}

// Runs `body`; 0, or 1 with a message.
template <class F> int guarded(F&& body) {
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown C++ exception";
  }
  return 1;
}
