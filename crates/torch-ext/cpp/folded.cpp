// libtorch's convolutions in evaluation, with the BatchNorm behind them folded into weight and bias, and with the ReLU
// behind that.

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/relu6.h>
#include <ATen/record_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <cmath>
#include "machine.h"
#include "memory.h"
#include "norm_relu.h"
#include "numbers.h"
#include "parallel.h"

namespace {
constexpr auto LAST = at::MemoryFormat::ChannelsLast;

struct Geometry {
  int64_t stride, padding, groups;
};

// Returns weight[o] * a[o] in bf16, in as many passes as autocast takes to round the weight alone.
Tensor folded(const Tensor& weight, const std::vector<double>& a) {
  auto from = channels_innermost(weight, at::kFloat, "the weight of a convolution");
  auto into = at::empty_like(from, from.options().dtype(at::kBFloat16).memory_format(LAST));
  int64_t length = from.numel() / from.size(0);
  const float* x = from.const_data_ptr<float>();
  auto y = static_cast<Bf16*>(into.mutable_data_ptr());
  in_parallel(from.size(0), [&](int64_t first, int64_t last) {
    for (auto output = first; output < last; output++)
      for (int64_t i = output * length; i < (output + 1) * length; i++) y[i].set(x[i] * float(a[output]));
  });
  return into;
}

// oneDNN's convolution with a pointwise operator behind it; libtorch has it for its compiler.
using Pointwise = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, at::IntArrayRef, at::IntArrayRef,
                         at::IntArrayRef, int64_t, std::string_view, c10::List<std::optional<at::Scalar>>,
                         std::optional<std::string_view>);

std::optional<c10::TypedOperatorHandle<Pointwise>> pointwise() {
  auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_convolution_pointwise", ""});
  if (!found) return std::nullopt;
  return found->typed<Pointwise>();
}

Tensor convolve(const Tensor& x, const Tensor& weight, const Tensor& bias, Geometry how, double bound, bool relu) {
  std::array<int64_t, 2> stride{how.stride, how.stride}, padding{how.padding, how.padding}, dilation{1, 1};
  static const auto fused = pointwise();
  if (fused && machine::has_amx()) {
    c10::List<std::optional<at::Scalar>> limits;
    bool bounded = relu && !std::isinf(bound);
    if (bounded) limits.push_back(at::Scalar(0.0)), limits.push_back(at::Scalar(bound));
    auto behind = !relu ? "none" : bounded ? "hardtanh" : "relu";
    return fused->call(x, weight, bias, padding, stride, dilation, how.groups, behind, limits, std::nullopt);
  }
  auto y = at::conv2d(x, weight, bias.to(x.scalar_type()), stride, padding, dilation, how.groups);
  return !relu ? y : std::isinf(bound) ? at::relu_(y) : at::relu6_(y);
}

// Returns true if x is in bf16, or if autocast computes its convolution in bf16.
bool in_bf16(const Tensor& x) {
  bool cast = at::autocast::is_autocast_enabled(at::kCPU) && at::autocast::get_autocast_dtype(at::kCPU) == at::kBFloat16;
  return x.scalar_type() == at::kBFloat16 || (cast && x.scalar_type() == at::kFloat);
}

bool folds(const Tensor& x, const Tensor& weight) {
  return x.device().is_cpu() && weight.device().is_cpu() && x.layout() == at::kStrided && x.dim() == 4 &&
         weight.dim() == 4 && x.numel() > 0 && weight.numel() > 0 && weight.scalar_type() == at::kFloat && in_bf16(x) &&
         !at::GradMode::is_enabled() && !torch::jit::tracer::isTracing();
}
}  // namespace

extern "C" int oxiseg_folded(Tensor* x, Tensor* weight, int64_t stride, int64_t padding, int64_t groups,
                             Tensor* scale, Tensor* shift, Tensor* mean, Tensor* var, double epsilon, double bound,
                             int relu, Tensor** out) {
  return guarded([&] {
    if (!folds(*x, *weight)) return;
    TORCH_CHECK(groups > 0 && stride > 0 && padding >= 0 && x->size(1) == weight->size(1) * groups &&
                    weight->size(0) % groups == 0,
                "a convolution of ", weight->sizes(), " in ", groups, " groups with stride ", stride, " and padding ",
                padding, " of an input of ", x->sizes(), ": the channels differ, or it cannot be");
    RECORD_FUNCTION("oxiseg::folded_convolution", c10::ArrayRef<const c10::IValue>{});
    Running running({*scale, *shift, *mean, *var, 0, epsilon}, weight->size(0));
    auto bias = at::from_blob(running.b.data(), {weight->size(0)}, at::kDouble).to(at::kFloat);
    auto input = channels_innermost(*x, at::kBFloat16, "the input of a convolution");
    // Nothing is left to cast.
    c10::impl::ExcludeDispatchKeyGuard as_it_is(c10::DispatchKey::AutocastCPU);
    *out = new Tensor(convolve(input, folded(*weight, running.a), bias, {stride, padding, groups}, bound, relu != 0));
  });
}
