// BatchNorm by the statistics of all ranks' batches together.

#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <algorithm>
#include <tuple>
#include "over_ranks.h"

RanksPointer taken(const SumOver* over) { return over ? c10::make_intrusive<Ranks>(*over) : RanksPointer(); }

// By Chan et al., 1979. Each rank writes into a row of its own of what is summed, so nothing is rounded on the way, and
// one sum brings all.
Moments merged(const Tensor& own, const Ranks& ranks) {
  auto channels = own.numel() / 2;
  auto all = at::zeros({int64_t(ranks.over.count), own.numel()}, own.options());
  all.select(0, ranks.over.rank).copy_(own);
  ranks.sum(all);
  auto counts = all.narrow(1, 0, 1), means = all.narrow(1, 1, channels);
  auto squares = all.narrow(1, 1 + channels, channels);
  auto count = counts.sum();
  auto divisor = count.clamp_min(1);
  auto mean = (counts * means).sum(0).div_(divisor);
  auto variance = (counts * (means - mean).square_()).add_(squares).sum(0).div_(divisor);
  return {count, mean, variance};
}

Moments merged(std::vector<double>& mean, std::vector<double>& variance, double count, const Ranks& ranks) {
  auto channels = int64_t(mean.size());
  auto own = at::empty({2 * channels + 1}, at::kDouble);
  double* values = own.mutable_data_ptr<double>();
  values[0] = count;
  for (int64_t c = 0; c < channels; c++) values[1 + c] = mean[c], values[1 + channels + c] = variance[c] * count;
  auto all = merged(own, ranks);
  std::copy_n(all.mean.contiguous().const_data_ptr<double>(), channels, mean.begin());
  std::copy_n(all.variance.contiguous().const_data_ptr<double>(), channels, variance.begin());
  return all;
}

void sum_over(const Ranks& ranks, std::vector<double>& product, const std::vector<double>& inverse,
              std::vector<double>& of_bias) {
  auto channels = int64_t(of_bias.size());
  auto sums = at::empty({2, channels}, at::kDouble);
  double* values = sums.mutable_data_ptr<double>();
  for (int64_t c = 0; c < channels; c++) values[c] = product[c] * inverse[c], values[channels + c] = of_bias[c];
  ranks.sum(sums);
  for (int64_t c = 0; c < channels; c++) product[c] = values[c] / inverse[c], of_bias[c] = values[channels + c];
}

void learn(const Moments& all, const Tensor& running_mean, const Tensor& running_var, double momentum) {
  auto kind = running_mean.scalar_type();
  const auto& count = all.count;
  // Nothing is learnt from no pixel.
  auto share = count.gt(0).to(kind).mul_(momentum);
  running_mean.lerp_(all.mean.to(kind), share);
  running_var.lerp_((all.variance * (count / (count - 1).clamp_min_(1))).to(kind), share);
}

namespace {
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Returns the rank's own statistics, as `merged` takes them.
Tensor own_statistics(const Tensor& x, at::ScalarType kind) {
  auto channels = x.size(1);
  auto own = at::zeros({2 * channels + 1}, x.options().dtype(at::kDouble));
  if (x.numel() == 0) return own;
  auto count = double(x.numel() / channels);
  // Running statistics that nobody reads: their kind is that of the results.
  auto unused = at::zeros({2, channels}, x.options().dtype(kind));
  auto [mean, variance] = at::batch_norm_update_stats(x, unused[0], unused[1], 0);
  own.select(0, 0).fill_(count);
  own.narrow(0, 1, channels).copy_(mean);
  own.narrow(0, 1 + channels, channels).copy_(variance).mul_(count);
  return own;
}

struct SyncNorm : torch::autograd::Function<SyncNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Tensor& running_mean, const Tensor& running_var, double momentum, double epsilon,
                        const RanksPointer& ranks) {
    RECORD_FUNCTION("oxiseg::sync_norm", c10::ArrayRef<const c10::IValue>{});
    auto kind = weight.scalar_type();
    auto all = merged(own_statistics(x, kind), *ranks);
    learn(all, running_mean, running_var, momentum);
    auto mean = all.mean.to(kind), variance = all.variance.to(kind);
    context->save_for_backward({x, weight, mean, variance, all.count});
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["ranks"] = c10::IValue::make_capsule(ranks);
    if (x.numel() == 0) return at::empty_like(x);
    return at::batch_norm(x, weight, bias, mean, variance, false, 0, epsilon, true);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("oxiseg::sync_norm_backward", c10::ArrayRef<const c10::IValue>{});
    refuse_second_derivative("BatchNorm over ranks");
    auto saved = context->get_saved_variables();
    auto x = saved[0], weight = saved[1], mean = saved[2], variance = saved[3], count = saved[4];
    auto epsilon = context->saved_data["epsilon"].toDouble();
    auto capsule = context->saved_data["ranks"].toCapsule();
    Tensor of_x = gradients[0], of_weight = at::zeros_like(weight), of_bias = at::zeros_like(weight);
    // As if mean and variance were constants.
    if (x.numel() > 0)
      std::tie(of_x, of_weight, of_bias) = at::native_batch_norm_backward(
          gradients[0], x, weight, mean, variance, {}, {}, false, epsilon, {true, true, true});
    // What they add depends on all ranks' gradients; those of weight and bias are this rank's share of the sum.
    auto sums = at::stack({of_weight, of_bias}).to(at::kDouble);
    static_cast<Ranks*>(capsule.get())->sum(sums);
    if (x.numel() > 0 && context->needs_input_grad(0)) {
      auto inverse = (variance.to(at::kDouble) + epsilon).rsqrt_();
      auto scale = weight.detach().to(at::kDouble) * inverse / count;
      auto slope = (scale * inverse * sums[0]).to(weight.scalar_type());
      auto level = (scale * sums[1]).to(weight.scalar_type());
      of_x = of_x - at::batch_norm(x, slope, level, mean, at::ones_like(variance), false, 0, 0, true);
    }
    auto none = Tensor();
    return {of_x, of_weight, of_bias, none, none, none, none, none};
  }
};
}  // namespace

extern "C" int oxiseg_sync_norm(Tensor* x, Tensor* weight, Tensor* bias, Tensor* running_mean, Tensor* running_var,
                                double momentum, double epsilon, const SumOver* over, Tensor** out) {
  return guarded([&] {
    auto ranks = taken(over);
    TORCH_CHECK(x->defined() && x->dim() == 4, "the input of a BatchNorm must have 4 dimensions");
    for (auto part : {weight, bias, running_mean, running_var})
      TORCH_CHECK(part->defined() && part->dim() == 1 && part->numel() == x->size(1) &&
                      part->scalar_type() == weight->scalar_type(),
                  "the parts of a BatchNorm of ", x->size(1), " channels must have as many values, of one kind");
    TORCH_CHECK(over->rank < over->count, "rank ", over->rank, " of ", over->count);
    *out = new Tensor(SyncNorm::apply(*x, *weight, *bias, *running_mean, *running_var, momentum, epsilon, ranks));
  });
}
