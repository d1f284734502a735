// Checks and layouts of tensors whose memory our kernels read and write themselves.

#pragma once
#include <ATen/EmptyTensor.h>
#include <ATen/ops/zeros.h>
#include "shim.h"

// Refuses a tensor without values of its own in the memory of a CPU, or with less memory than its sizes and strides
// reach.
inline void check_memory(const Tensor& x, const char* what) {
  TORCH_CHECK(x.defined(), what, " is undefined");
  TORCH_CHECK(x.device().is_cpu() && x.layout() == at::kStrided && x.has_storage(), what,
              " must be a dense tensor on a CPU, is ", x.layout(), " on ", x.device());
  auto reached = at::detail::computeStorageNbytes(x.sizes(), x.strides(), x.dtype().itemsize(), x.storage_offset());
  TORCH_CHECK(x.numel() == 0 || (x.const_data_ptr() && reached <= x.storage().nbytes()), what,
              " reaches beyond its memory");
}

// Returns x with its values written out: libtorch marks some tensors as negated, conjugated or all zero instead.
inline Tensor written_down(const Tensor& x) {
  if (x._is_zerotensor()) return at::zeros(x.sizes(), x.options());
  // Only if they are marked: a call while a network is traced becomes a part of its script.
  return x.is_conj() || x.is_neg() ? x.resolve_conj().resolve_neg() : x;
}

// Returns an activation, gradient or weight `[N, C, H, W]` in this kind with channels innermost, as a copy unless it is
// so already.
inline Tensor channels_innermost(const Tensor& given, at::ScalarType kind, const char* what) {
  TORCH_CHECK(given.defined() && given.layout() == at::kStrided && given.dim() == 4, what,
              " must be a dense tensor of 4 dimensions");
  auto x = written_down(given).to(kind).contiguous(at::MemoryFormat::ChannelsLast);
  check_memory(x, what);
  return x;
}

// Checks the gradient of an output of these sizes and returns it with channels innermost.
inline Tensor gradient_innermost(const Tensor& given, at::ScalarType kind, at::IntArrayRef sizes) {
  auto gradient = channels_innermost(given, kind, "a gradient");
  TORCH_CHECK(gradient.sizes() == sizes, "a gradient of ", gradient.sizes(), " for outputs of ", sizes);
  return gradient;
}
