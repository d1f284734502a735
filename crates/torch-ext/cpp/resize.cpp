// Resizing to the size of another tensor, which a trace keeps as that tensor's size.

#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <array>
#include <cstdint>
#include <optional>
#include "shim.h"

namespace tracer = torch::jit::tracer;

extern "C" {
// Resizes `x` to the height and width of `like`: 0 takes the nearest pixel, 1 interpolates bilinearly, 2 bicubically.
int oxiseg_resize_like(const Tensor* x, const Tensor* like, int how, int align_corners, Tensor** out) {
  return guarded([&] {
    TORCH_CHECK(x->dim() == 4 && like->dim() == 4, "tensors of 4 dimensions were expected, these have ", x->dim(),
                " and ", like->dim());
    constexpr int64_t first = 2, n = 2;
    std::array<int64_t, n> size;
    for (int64_t i = 0; i < n; i++) {
      size[i] = like->size(first + i);
      // As torch's Python bindings do: the operator's next argument of this name is the traced size.
      if (tracer::isTracing()) {
        tracer::ArgumentStash::stashIntArrayRefElem("output_size", n, i, tracer::getSizeOf(*like, first + i));
      }
    }
    at::OptionalIntArrayRef to(size);
    switch (how) {
      case 0: *out = new Tensor(at::upsample_nearest2d(*x, to, std::nullopt)); break;
      case 1: *out = new Tensor(at::upsample_bilinear2d(*x, to, align_corners != 0, std::nullopt)); break;
      case 2: *out = new Tensor(at::upsample_bicubic2d(*x, to, align_corners != 0, std::nullopt)); break;
      default: TORCH_CHECK(false, "no way to resize has the number ", how);
    }
  });
}
}
