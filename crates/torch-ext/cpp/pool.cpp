// Max-pooling 2x2 on a CPU, for activations whose channels lie innermost. The backward pass looks up the maxima's
// positions again; libtorch keeps 8 bytes for each output to know them.

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include "memory.h"
#include "numbers.h"
#include "parallel.h"

namespace {
// Returns true if b replaces a as the maximum of a window; NaN does.
template <class N> __attribute__((always_inline)) inline bool larger(N b, N a) { return (b > a) | (b != b); }

// Computes one row of outputs from two of inputs.
template <class T, class N = typename T::Number>
__attribute__((always_inline)) inline void largest(const T* top, const T* below, T* y, int64_t width, int64_t channels) {
  for (int64_t j = 0; j < width; j++, top += 2 * channels, below += 2 * channels, y += channels) {
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) {
      N a = top[c], b = top[channels + c], d = below[c], e = below[channels + c];
      a = larger(b, a) ? b : a;
      a = larger(d, a) ? d : a;
      y[c].set(larger(e, a) ? e : a);
    }
  }
}

// Computes the gradients of two rows of inputs from one of outputs.
template <class T, class N = typename T::Number>
__attribute__((always_inline)) inline void largest_back(const T* top, const T* below, const T* gradient, T* into_top,
                                                        T* into_below, int64_t width, int64_t channels) {
  for (int64_t j = 0; j < width; j++) {
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) {
      N a = top[c], b = top[channels + c], d = below[c], e = below[channels + c], g = gradient[c];
      // Without branches, or the compiler does not vectorise it: the last value that is larger gets the gradient.
      N winner = 0;
      winner = larger(b, a) ? N(1) : winner;
      a = larger(b, a) ? b : a;
      winner = larger(d, a) ? N(2) : winner;
      a = larger(d, a) ? d : a;
      winner = larger(e, a) ? N(3) : winner;
      into_top[c].set(winner == N(0) ? g : N(0));
      into_top[channels + c].set(winner == N(1) ? g : N(0));
      into_below[c].set(winner == N(2) ? g : N(0));
      into_below[channels + c].set(winner == N(3) ? g : N(0));
    }
    top += 2 * channels, below += 2 * channels, gradient += channels, into_top += 2 * channels, into_below += 2 * channels;
  }
}

#define KERNELS(NAME, T)                                                                                                    \
  FOR_EACH_PROCESSOR void pool_##NAME(const T* top, const T* below, T* y, int64_t width, int64_t channels) {                \
    largest(top, below, y, width, channels);                                                                                \
  }                                                                                                                         \
  FOR_EACH_PROCESSOR void back_##NAME(const T* top, const T* below, const T* g, T* into_top, T* into_below, int64_t width,  \
                                      int64_t channels) {                                                                   \
    largest_back(top, below, g, into_top, into_below, width, channels);                                                     \
  }                                                                                                                         \
  struct Kernels_##NAME {                                                                                                   \
    using Type = T;                                                                                                         \
    static constexpr auto pool = pool_##NAME;                                                                               \
    static constexpr auto back = back_##NAME;                                                                               \
  };

KERNELS(bf16, Bf16)
KERNELS(f32, Plain<float>)
KERNELS(f64, Plain<double>)

template <class F> void for_type(const Tensor& x, F&& run) {
  for_kind<Kernels_bf16, Kernels_f32, Kernels_f64>(x.scalar_type(), run);
}

struct MaxPool : torch::autograd::Function<MaxPool> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input) {
    RECORD_FUNCTION("oxiseg::max_pool2x2", c10::ArrayRef<const c10::IValue>{});
    auto x = channels_innermost(input, input.scalar_type(), "the input of a max-pooling");
    int64_t channels = x.size(1), height = x.size(2), width = x.size(3), rows = height / 2;
    auto y = at::empty({x.size(0), channels, rows, width / 2}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
    for_type(x, [&](auto kernels) {
      using T = typename decltype(kernels)::Type;
      auto from = static_cast<const T*>(x.const_data_ptr());
      auto to = static_cast<T*>(y.mutable_data_ptr());
      in_parallel(x.size(0) * rows, [&](int64_t first, int64_t last) {
        for (auto row = first; row < last; row++) {
          auto top = from + (row / rows * height + row % rows * 2) * width * channels;
          kernels.pool(top, top + width * channels, to + row * (width / 2) * channels, width / 2, channels);
        }
      });
    });
    context->save_for_backward({x});
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    RECORD_FUNCTION("oxiseg::max_pool2x2_backward", c10::ArrayRef<const c10::IValue>{});
    refuse_second_derivative("max-pooling by our kernel");
    auto x = context->get_saved_variables()[0];
    int64_t channels = x.size(1), height = x.size(2), width = x.size(3), rows = height / 2;
    auto gradient = gradient_innermost(gradients[0], x.scalar_type(), {x.size(0), channels, rows, width / 2});
    auto into = at::empty_like(x);
    // The last row and column of odd sizes are in no window.
    if (height % 2 || width % 2) into.zero_();
    for_type(x, [&](auto kernels) {
      using T = typename decltype(kernels)::Type;
      auto from = static_cast<const T*>(x.const_data_ptr()), behind = static_cast<const T*>(gradient.const_data_ptr());
      auto to = static_cast<T*>(into.mutable_data_ptr());
      in_parallel(x.size(0) * rows, [&](int64_t first, int64_t last) {
        for (auto row = first; row < last; row++) {
          int64_t place = (row / rows * height + row % rows * 2) * width * channels, below = width * channels;
          kernels.back(from + place, from + place + below, behind + row * (width / 2) * channels, to + place,
                       to + place + below, width / 2, channels);
        }
      });
    });
    return {into};
  }
};
}  // namespace

extern "C" int oxiseg_max_pool2x2(Tensor* x, Tensor** out) {
  return guarded([&] { *out = new Tensor(MaxPool::apply(*x)); });
}
