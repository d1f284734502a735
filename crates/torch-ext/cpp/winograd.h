// Convolutions 3x3 of stride 1 and padding 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin & Gray, 2016): 16
// products where the definition has 36. For processors with AVX-512, and activations whose channels lie innermost.
#pragma once
#include <cstdint>

namespace winograd {
struct Size {
  int64_t images, height, width, inputs, outputs;
};

// Operation on each channel: x * scale + shift, clamped to the range from 0 to bound.
struct NormRelu {
  const float *scale, *shift;
  float bound;
};

// Returns true if this processor has the instructions and the sizes are ones that it computes faster this way.
bool takes(const Size&, bool bf16);

// Convolves x [N, H, W, inputs] into y [N, H, W, outputs], both f32 (float) or bf16 (uint16_t).
// The weight is [outputs, 3, 3, inputs]. If `turned`, it is [inputs, 3, 3, outputs], and the result is the derivative
// by the input of the convolution with it. `before`, if it is not null, is applied to the inputs (and not to the zeros
// around them), and `behind` to the outputs before they are rounded. The result does not depend on the number of
// threads.
template <class T>
void convolve(const Size&, const T* x, const NormRelu* before, const float* weight, bool turned, T* y, const NormRelu* behind);

// Computes the derivative by the weight, [outputs, 3, 3, inputs].
template <class T>
void weight_gradient(const Size&, const T* x, const NormRelu* before, const T* y_gradient, float* weight_gradient);
}  // namespace winograd
