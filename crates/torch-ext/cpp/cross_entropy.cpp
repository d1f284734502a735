// Cross entropy whose every sum has one order, on any device and any number of threads.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>
#include <optional>
#include "shim.h"

namespace {
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Numbers that are added up in one go. libtorch may share out the rows of a matrix among its threads, but not the
// elements of a row, and one row is too short to be shared out.
constexpr int64_t ROW = 4096;

// Returns the sum of all elements in f64: of rows, of rows of their sums, and so on.
Tensor ordered_sum(const Tensor& x) {
  auto sums = x.reshape({-1});
  do {
    auto rows = (sums.numel() + ROW - 1) / ROW;
    if (rows > 1) sums = at::constant_pad_nd(sums, {0, rows * ROW - sums.numel()}).view({rows, ROW});
    sums = at::sum(sums, at::IntArrayRef{-1}, /*keepdim=*/false, at::kDouble).reshape({-1});
  } while (sums.numel() > 1);
  return sums.reshape({});
}

// Returns the weight of each pixel `[N, H, W, 1]`, 0 where it is ignored.
Tensor weights_of(const Tensor& classes, const Tensor& ignored, const std::optional<Tensor>& weights,
                  const Tensor& like) {
  if (!weights) return ignored.logical_not().to(like.scalar_type());
  auto chosen = at::index_select(weights->to(like.options()), 0, classes.reshape({-1})).view_as(classes);
  return chosen.masked_fill_(ignored, 0);
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static Tensor forward(AutogradContext* context, const Tensor& logits, const Tensor& targets,
                        const std::optional<Tensor>& weights, int64_t ignored_id) {
    auto kind = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    // Classes innermost, as the output of a network that is channels-last has them already.
    auto logarithms = at::log_softmax(logits.permute({0, 2, 3, 1}).to(kind), -1);
    auto ids = targets.unsqueeze(-1);
    auto ignored = at::eq(ids, ignored_id);
    auto classes = ids.masked_fill(ignored, 0);
    auto weight = weights_of(classes, ignored, weights, logarithms);
    // Filled, since NaN times 0 would be NaN.
    auto losses = at::gather(logarithms, -1, classes).neg().mul_(weight).masked_fill_(ignored, 0);
    context->save_for_backward({logarithms, classes, weight});
    context->saved_data["kind"] = static_cast<int64_t>(logits.scalar_type());
    return ordered_sum(losses).to(kind);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivative("the deterministic cross entropy");
    auto saved = context->get_saved_variables();
    const auto &logarithms = saved[0], &classes = saved[1], &weight = saved[2];
    auto ids = at::arange(logarithms.size(-1), classes.options());
    auto gradient = logarithms.exp().sub_(at::eq(classes, ids).to(logarithms.scalar_type()));
    gradient.mul_(at::mul(weight, gradients[0]));
    auto kind = static_cast<at::ScalarType>(context->saved_data["kind"].toInt());
    return {gradient.to(kind).permute({0, 3, 1, 2}), Tensor(), Tensor(), Tensor()};
  }
};
}  // namespace

extern "C" int oxiseg_cross_entropy(Tensor* logits, Tensor* targets, Tensor* weights, int64_t ignored, Tensor** out) {
  return guarded([&] {
    TORCH_CHECK(logits->dim() == 4 && targets->dim() == 3 && logits->is_floating_point() &&
                    targets->scalar_type() == at::kLong && targets->size(0) == logits->size(0) &&
                    targets->size(1) == logits->size(2) && targets->size(2) == logits->size(3),
                "expected logits [N, K, H, W] and targets [N, H, W] of i64, found ", logits->sizes(), " of ",
                logits->scalar_type(), " and ", targets->sizes(), " of ", targets->scalar_type());
    TORCH_CHECK(!weights || (weights->dim() == 1 && weights->size(0) == logits->size(1)),
                "expected one weight for each of the ", logits->size(1), " classes, found ",
                weights ? weights->numel() : 0);
    auto of_classes = weights ? std::optional<Tensor>(*weights) : std::nullopt;
    *out = new Tensor(CrossEntropy::apply(*logits, *targets, of_classes, ignored));
  });
}
