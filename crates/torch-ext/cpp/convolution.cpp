// Convolutions 3x3 that keep height and width, by Winograd's filtering where that is faster, with their derivatives; and in
// evaluation with the BatchNorm and the ReLU behind them.

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/relu6.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <array>
#include <cmath>
#include <vector>
#include "shim.h"
#include "winograd.h"

namespace {
constexpr auto LAST = at::MemoryFormat::ChannelsLast;

winograd::Size size_of(const Tensor& x, int64_t outputs) { return {x.size(0), x.size(2), x.size(3), x.size(1), outputs}; }

bool takes(const Tensor& x, const Tensor& weight) {
  bool bf16 = x.scalar_type() == at::kBFloat16;
  return x.device().is_cpu() && weight.device().is_cpu() && (bf16 || x.scalar_type() == at::kFloat) &&
         weight.scalar_type() == at::kFloat && x.dim() == 4 && x.numel() > 0 && weight.dim() == 4 && weight.size(1) == x.size(1) &&
         weight.size(2) == 3 && weight.size(3) == 3 && winograd::takes(size_of(x, weight.size(0)), bf16) &&
         !torch::jit::tracer::isTracing();
}

// In the kind of numbers in which autocast computes convolutions.
Tensor cast(const Tensor& x) {
  return at::autocast::is_autocast_enabled(at::kCPU) ? x.to(at::autocast::get_autocast_dtype(at::kCPU)) : x;
}

// Calls `run` with the tensor's numbers, whose type is the kernel's.
template <class F> void for_type(const Tensor& x, F&& run) {
  if (x.scalar_type() == at::kBFloat16) run(static_cast<uint16_t*>(x.mutable_data_ptr()));
  else run(static_cast<float*>(x.mutable_data_ptr()));
}

// Outputs [N, outputs, H, W] of x, both with channels innermost.
Tensor convolve(const Tensor& x, const Tensor& weight, bool turned, int64_t outputs, const winograd::Epilogue* epilogue) {
  auto y = at::empty({x.size(0), outputs, x.size(2), x.size(3)}, x.options().memory_format(LAST));
  for_type(x, [&](auto from) {
    winograd::convolve(size_of(x, outputs), from, weight.const_data_ptr<float>(), turned,
                       static_cast<decltype(from)>(y.mutable_data_ptr()), epilogue);
  });
  return y;
}

struct Convolution : torch::autograd::Function<Convolution> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight) {
    RECORD_FUNCTION("oxiseg::conv3x3", c10::ArrayRef<const c10::IValue>{});
    auto x = input.contiguous(LAST), kernel = weight.contiguous(LAST);
    context->save_for_backward({x, kernel});
    return convolve(x, kernel, false, weight.size(0), nullptr);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    RECORD_FUNCTION("oxiseg::conv3x3_backward", c10::ArrayRef<const c10::IValue>{});
    auto saved = context->get_saved_variables();
    auto x = saved[0], weight = saved[1];
    auto gradient = gradients[0].to(x.scalar_type()).contiguous(LAST);
    Tensor of_x, of_weight;
    if (context->needs_input_grad(0)) of_x = convolve(gradient, weight, true, x.size(1), nullptr);
    if (context->needs_input_grad(1)) {
      of_weight = at::empty_like(weight, weight.options().memory_format(LAST));
      for_type(x, [&](auto from) {
        winograd::weight_gradient(size_of(x, weight.size(0)), from, static_cast<decltype(from)>(gradient.mutable_data_ptr()),
                                  of_weight.mutable_data_ptr<float>());
      });
    }
    return {of_x, of_weight};
  }
};

Tensor conv3x3(const Tensor& x, const Tensor& weight) {
  auto input = cast(x);
  std::array<int64_t, 2> ones{1, 1};
  if (!takes(input, weight)) return at::conv2d(x, weight, {}, ones, ones, ones, 1);
  return Convolution::apply(input, weight);
}

std::vector<double> doubles(const Tensor& tensor) {
  auto plain = tensor.detach().to(at::kDouble).contiguous();
  return {plain.const_data_ptr<double>(), plain.const_data_ptr<double>() + plain.numel()};
}
}  // namespace

extern "C" {
int oxiseg_conv3x3(Tensor* x, Tensor* weight, Tensor** out) {
  return guarded([&] { *out = new Tensor(conv3x3(*x, *weight)); });
}

int oxiseg_conv3x3_norm_relu(Tensor* x, Tensor* weight, Tensor* scale, Tensor* shift, Tensor* mean, Tensor* var,
                             double epsilon, double bound, Tensor** out) {
  return guarded([&] {
    auto input = cast(*x);
    if (at::GradMode::is_enabled() || !takes(input, *weight)) {
      auto y = at::batch_norm(conv3x3(*x, *weight), *scale, *shift, *mean, *var, false, 0, epsilon, true);
      *out = new Tensor(std::isinf(bound) ? at::relu_(y) : at::relu6_(y));
      return;
    }
    RECORD_FUNCTION("oxiseg::conv3x3_norm_relu", c10::ArrayRef<const c10::IValue>{});
    auto w = doubles(*scale), b = doubles(*shift), m = doubles(*mean), v = doubles(*var);
    std::vector<float> times(w.size()), plus(w.size());
    TORCH_CHECK(int64_t(w.size()) == weight->size(0), "a BatchNorm of ", w.size(), " channels behind ", weight->size(0));
    for (size_t c = 0; c < w.size(); c++) {
      double a = w[c] / std::sqrt(v[c] + epsilon);
      times[c] = float(a), plus[c] = float(b[c] - m[c] * a);
    }
    winograd::Epilogue epilogue{times.data(), plus.data(), float(bound)};
    *out = new Tensor(convolve(input.contiguous(LAST), weight->contiguous(LAST), false, weight->size(0), &epilogue));
  });
}
}
