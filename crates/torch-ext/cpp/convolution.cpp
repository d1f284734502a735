// Convolutions 3x3 that keep height and width, by Winograd's filtering where that is faster, with their derivatives; in
// evaluation together with the BatchNorm and the ReLU behind them.

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <algorithm>
#include <array>
#include <vector>
#include "memory.h"
#include "norm_relu.h"
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

// Casts to the kind in which autocast computes convolutions.
Tensor cast(const Tensor& x) {
  return at::autocast::is_autocast_enabled(at::kCPU) ? x.to(at::autocast::get_autocast_dtype(at::kCPU)) : x;
}

// Calls `run` with a pointer to the tensor's values, in the kernels' type.
template <class F> void for_type(const Tensor& x, F&& run) {
  if (x.scalar_type() == at::kBFloat16) run(static_cast<uint16_t*>(x.mutable_data_ptr()));
  else run(static_cast<float*>(x.mutable_data_ptr()));
}

// Returns the outputs [N, outputs, H, W] of x, both with channels innermost.
Tensor convolve(const Tensor& x, const winograd::NormRelu* before, const Tensor& weight, bool turned, int64_t outputs,
                const winograd::NormRelu* behind) {
  auto y = at::empty({x.size(0), outputs, x.size(2), x.size(3)}, x.options().memory_format(LAST));
  for_type(x, [&](auto from) {
    winograd::convolve(size_of(x, outputs), from, before, weight.const_data_ptr<float>(), turned,
                       static_cast<decltype(from)>(y.mutable_data_ptr()), behind);
  });
  return y;
}

// Returns the gradient of the weight of a convolution of x.
Tensor weight_gradient(const Tensor& x, const winograd::NormRelu* before, const Tensor& gradient, const Tensor& weight) {
  auto of_weight = at::empty_like(weight, weight.options().memory_format(LAST));
  for_type(x, [&](auto from) {
    winograd::weight_gradient(size_of(x, weight.size(0)), from, before,
                              static_cast<decltype(from)>(gradient.mutable_data_ptr()), of_weight.mutable_data_ptr<float>());
  });
  return of_weight;
}

struct Convolution : torch::autograd::Function<Convolution> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight) {
    RECORD_FUNCTION("oxiseg::conv3x3", c10::ArrayRef<const c10::IValue>{});
    auto x = channels_innermost(input, input.scalar_type(), "the input of a convolution");
    auto kernel = channels_innermost(weight, at::kFloat, "the weight of a convolution");
    context->save_for_backward({x, kernel});
    return convolve(x, nullptr, kernel, false, weight.size(0), nullptr);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    RECORD_FUNCTION("oxiseg::conv3x3_backward", c10::ArrayRef<const c10::IValue>{});
    refuse_second_derivative("a convolution 3x3 by our kernel");
    auto saved = context->get_saved_variables();
    auto x = saved[0], weight = saved[1];
    auto gradient =
        gradient_innermost(gradients[0], x.scalar_type(), {x.size(0), weight.size(0), x.size(2), x.size(3)});
    Tensor of_x, of_weight;
    if (context->needs_input_grad(0)) of_x = convolve(gradient, nullptr, weight, true, x.size(1), nullptr);
    if (context->needs_input_grad(1)) of_weight = weight_gradient(x, nullptr, gradient, weight);
    return {of_x, of_weight};
  }
};

// Rows a and b of batch_statistics, in f32 for the kernels.
struct Known {
  std::vector<float> scale, shift;
  double bound;
  Known(const Tensor& statistics, double bound) : scale(statistics.size(1)), shift(statistics.size(1)), bound(bound) {
    const double* a = statistics.const_data_ptr<double>();
    std::copy_n(a, scale.size(), scale.begin());
    std::copy_n(a + scale.size(), shift.size(), shift.begin());
  }
  winograd::NormRelu norm_relu() const { return {scale.data(), shift.data(), float(bound)}; }
};

// BatchNorm of x, ReLU, and a convolution whose input is never written to memory.
struct NormReluConvolution : torch::autograd::Function<NormReluConvolution> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& scale, const Tensor& shift,
                        const Tensor& running_mean, const Tensor& running_var, double momentum, double epsilon,
                        const RanksPointer& ranks, double bound, const Tensor& weight) {
    RECORD_FUNCTION("oxiseg::norm_relu_conv3x3", c10::ArrayRef<const c10::IValue>{});
    auto x = channels_innermost(input, input.scalar_type(), "the input of a convolution");
    auto kernel = channels_innermost(weight, at::kFloat, "the weight of a convolution");
    auto statistics = batch_statistics(x, {scale, shift, running_mean, running_var, momentum, epsilon, ranks});
    context->save_for_backward({x, statistics, kernel});
    keep(*context, ranks);
    context->saved_data["bound"] = bound;
    Known known(statistics, bound);
    auto before = known.norm_relu();
    return convolve(x, &before, kernel, false, weight.size(0), nullptr);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    RECORD_FUNCTION("oxiseg::norm_relu_conv3x3_backward", c10::ArrayRef<const c10::IValue>{});
    refuse_second_derivative("BatchNorm, ReLU and convolution by our kernel");
    auto saved = context->get_saved_variables();
    auto x = saved[0], statistics = saved[1], weight = saved[2];
    auto bound = context->saved_data["bound"].toDouble();
    Known known(statistics, bound);
    auto before = known.norm_relu();
    auto gradient =
        gradient_innermost(gradients[0], x.scalar_type(), {x.size(0), weight.size(0), x.size(2), x.size(3)});
    auto of_weight = weight_gradient(x, &before, gradient, weight);
    auto behind = convolve(gradient, nullptr, weight, true, x.size(1), nullptr);
    auto of_norm = norm_relu_gradients(x, statistics, std::move(behind), bound, kept_ranks(*context));
    auto none = Tensor();
    return {of_norm[0], of_norm[1], of_norm[2], none, none, none, none, none, none, of_weight};
  }
};

Tensor conv3x3(const Tensor& x, const Tensor& weight) {
  auto input = cast(x);
  std::array<int64_t, 2> ones{1, 1};
  if (!takes(input, weight)) return at::conv2d(x, weight, {}, ones, ones, ones, 1);
  return Convolution::apply(input, weight);
}
}  // namespace

extern "C" {
int oxiseg_conv3x3(Tensor* x, Tensor* weight, Tensor** out) {
  return guarded([&] { *out = new Tensor(conv3x3(*x, *weight)); });
}

int oxiseg_norm_relu_conv3x3(Tensor* x, Tensor* scale, Tensor* shift, Tensor* mean, Tensor* var, double momentum,
                             double epsilon, const SumOver* over, double bound, Tensor* weight, Tensor** out) {
  return guarded([&] {
    auto ranks = taken(over);
    if (takes(*x, *weight)) {
      *out = new Tensor(
          NormReluConvolution::apply(*x, *scale, *shift, *mean, *var, momentum, epsilon, ranks, bound, *weight));
    } else {
      BatchNorm norm{*scale, *shift, *mean, *var, momentum, epsilon, ranks};
      *out = new Tensor(conv3x3(batch_norm_relu(*x, norm, bound), *weight));
    }
  });
}

int oxiseg_conv3x3_norm_relu(Tensor* x, Tensor* weight, Tensor* scale, Tensor* shift, Tensor* mean, Tensor* var,
                             double epsilon, double bound, Tensor** out) {
  return guarded([&] {
    auto input = cast(*x);
    BatchNorm norm{*scale, *shift, *mean, *var, 0, epsilon};
    if (at::GradMode::is_enabled() || !takes(input, *weight)) {
      *out = new Tensor(plain_norm_relu(conv3x3(*x, *weight), norm, bound));
      return;
    }
    RECORD_FUNCTION("oxiseg::conv3x3_norm_relu", c10::ArrayRef<const c10::IValue>{});
    Running running(norm, weight->size(0));
    std::vector<float> times(running.a.begin(), running.a.end()), plus(running.b.begin(), running.b.end());
    winograd::NormRelu behind{times.data(), plus.data(), float(bound)};
    auto from = channels_innermost(input, input.scalar_type(), "the input of a convolution");
    auto kernel = channels_innermost(*weight, at::kFloat, "the weight of a convolution");
    *out = new Tensor(convolve(from, nullptr, kernel, false, weight->size(0), &behind));
  });
}
}
