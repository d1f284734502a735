// Update rules: libtorch's fused kernels, and RAdam and Lion, which it has none for, over its operators for lists.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcmul.h>
#include <ATen/ops/_foreach_div.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_reciprocal.h>
#include <ATen/ops/_foreach_sign.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>
#include "shim.h"

// libtorch's fused optimizers walk through the memory of all tensors in step, without checking their sizes.
static bool is_like(const Tensor& tensor, const Tensor& parameter) {
  if (!tensor.defined() || tensor.sizes() != parameter.sizes() || tensor.scalar_type() != parameter.scalar_type() ||
      tensor.device() != parameter.device() || tensor.layout() != at::kStrided || tensor.is_neg() || tensor.is_conj() ||
      tensor._is_zerotensor())
    return false;
  for (int64_t i = 0; i < tensor.dim(); i++)
    if (tensor.size(i) != 1 && tensor.stride(i) != parameter.stride(i)) return false;
  return true;
}

static std::vector<Tensor> parameters(Tensor* const* tensors, size_t n) {
  auto all = list(tensors, n);
  for (const auto& parameter : all)
    TORCH_CHECK(is_like(parameter, parameter) && parameter.is_non_overlapping_and_dense(),
                "a parameter must be a dense tensor without gaps or overlaps");
  return all;
}

static std::vector<Tensor> states(Tensor* const* tensors, const std::vector<Tensor>& parameters) {
  auto all = list(tensors, parameters.size());
  for (size_t i = 0; i < all.size(); i++)
    TORCH_CHECK(is_like(all[i], parameters[i]),
                "an optimizer's state must have the size, kind, device and layout of its parameter");
  return all;
}

// Brings gradients to the layout of their parameters.
static std::vector<Tensor> gradients(Tensor* const* tensors, const std::vector<Tensor>& parameters) {
  auto all = list(tensors, parameters.size());
  for (size_t i = 0; i < all.size(); i++) {
    if (is_like(all[i], parameters[i])) continue;
    bool fits = all[i].defined() && all[i].sizes() == parameters[i].sizes() &&
                all[i].device() == parameters[i].device();
    TORCH_CHECK(fits, "a gradient must have the size and the device of its parameter");
    all[i] = at::empty_like(parameters[i]).copy_(all[i]);
  }
  return all;
}

// Checks a number that the kernels read by its address.
static std::optional<Tensor> scalar(Tensor* tensor, const std::vector<Tensor>& parameters, const char* what) {
  if (!tensor) return std::nullopt;
  bool fits = tensor->defined() && tensor->numel() == 1 && tensor->scalar_type() == at::kFloat &&
              tensor->layout() == at::kStrided && !tensor->is_neg() && !tensor->_is_zerotensor();
  TORCH_CHECK(fits, what, " must be one f32");
  bool here = parameters.empty() || tensor->device() == parameters[0].device();
  TORCH_CHECK(here, what, " must be on the parameters' device");
  return *tensor;
}

// Checks a learning rate: the kernels of a CPU read its value, those of a GPU get its address.
static const Tensor& rate(Tensor* tensor, const std::vector<Tensor>& parameters) {
  bool on_cpu = tensor->defined() && tensor->device().is_cpu();
  bool fits = tensor->defined() && tensor->numel() == 1 && tensor->layout() == at::kStrided && !tensor->is_neg() &&
              !tensor->_is_zerotensor() &&
              (tensor->scalar_type() == at::kFloat || (on_cpu && tensor->scalar_type() == at::kDouble));
  TORCH_CHECK(fits, "the learning rate must be one f32, or one f64 on a CPU");
  bool here = parameters.empty() || tensor->device() == parameters[0].device();
  TORCH_CHECK(here, "the learning rate must be on the parameters' device");
  return *tensor;
}

namespace {
// What the rules over lists share. All that changes from step to step stays in tensors on the device. A step that is
// left out has gradients of 0 and factors of 0 or 1 that leave parameters and state as they are.
struct Step {
  std::vector<Tensor> parameters, gradients;
  // f64 scalars: 1 for a step that is made and 0 for one that is left out, and the learning rate times it.
  Tensor kept, rate;

  Step(Tensor* const* params, Tensor* const* grads, size_t n, Tensor* lr, Tensor* grad_scale, Tensor* found_inf)
      : parameters(::parameters(params, n)), gradients(::gradients(grads, parameters)) {
    auto scale = scalar(grad_scale, parameters, "the scale");
    auto left_out = scalar(found_inf, parameters, "found_inf");
    rate = ::rate(lr, parameters).to(at::kDouble);
    kept = left_out ? 1 - left_out->to(at::kDouble) : at::ones_like(rate);
    rate = rate * kept;
    if (scale) gradients = at::_foreach_div(gradients, *scale);
    if (!left_out) return;
    auto out = left_out->ne(0);
    // A product with 0 would keep NaN and infinity.
    for (auto& gradient : gradients) gradient = gradient.masked_fill(out, 0);
  }

  Tensor near(const Tensor& factor) const { return factor.to(parameters[0].scalar_type()); }

  // Decays the weights by the learning rate, as AdamW does.
  void decay(double weight_decay) {
    if (weight_decay != 0) at::_foreach_mul_(parameters, near(1 - rate * weight_decay));
  }

  // Moves `average` by the share `weight` of the way to `values`.
  void follow(const std::vector<Tensor>& average, const std::vector<Tensor>& values, double weight) {
    auto way = at::_foreach_sub(values, average);
    at::_foreach_mul_(way, near(kept * weight));
    at::_foreach_add_(average, way);
  }
};
}  // namespace

extern "C" {
int oxiseg_fused_adam(Tensor* const* params, Tensor* const* grads, Tensor* const* first, Tensor* const* second,
                      size_t n, Tensor* step, int decoupled, Tensor* lr, double beta1, double beta2,
                      double weight_decay, double epsilon, Tensor* grad_scale, Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto all = parameters(params, n);
    std::vector<Tensor> steps(n, *scalar(step, all, "the step"));
    auto update = [&](auto&& kernel) {
      kernel(all, gradients(grads, all), states(first, all), states(second, all),
             /*max_exp_avg_sqs=*/std::vector<Tensor>{}, steps, rate(lr, all), beta1, beta2, weight_decay, epsilon,
             /*amsgrad=*/false, /*maximize=*/false, scalar(grad_scale, all, "the scale"),
             scalar(found_inf, all, "found_inf"));
    };
    if (decoupled) update([](auto&&... args) { at::_fused_adamw_(args...); });
    else update([](auto&&... args) { at::_fused_adam_(args...); });
  });
}

int oxiseg_fused_sgd(Tensor* const* params, Tensor* const* grads, Tensor* const* momentum_buffers, size_t n, Tensor* lr,
                     double momentum, double weight_decay, int nesterov, Tensor* grad_scale, Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto all = parameters(params, n);
    auto buffers = momentum_buffers ? states(momentum_buffers, all) : std::vector<Tensor>{};
    at::_fused_sgd_(all, gradients(grads, all), buffers, weight_decay, momentum, rate(lr, all), /*dampening=*/0.0,
                    nesterov != 0, /*maximize=*/false, /*is_first_step=*/false, scalar(grad_scale, all, "the scale"),
                    scalar(found_inf, all, "found_inf"));
  });
}

// Liu et al., 2020, algorithm 2, with the threshold 5 and the place of epsilon of torch.optim.RAdam.
int oxiseg_radam(Tensor* const* params, Tensor* const* grads, Tensor* const* first, Tensor* const* second, size_t n,
                 Tensor* step, int decoupled, Tensor* lr, double beta1, double beta2, double weight_decay,
                 double epsilon, Tensor* grad_scale, Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    if (n == 0) return;
    Step made(params, grads, n, lr, grad_scale, found_inf);
    auto m = states(first, made.parameters), v = states(second, made.parameters);
    auto t = scalar(step, made.parameters, "the step")->to(at::kDouble);
    if (decoupled) made.decay(weight_decay);
    else if (weight_decay != 0) {
      auto pull = at::_foreach_mul(made.parameters, made.near(made.kept * weight_decay));
      made.gradients = at::_foreach_add(made.gradients, pull);
    }
    made.follow(m, made.gradients, 1 - beta1);
    made.follow(v, at::_foreach_mul(made.gradients, made.gradients), 1 - beta2);
    auto power = (t * std::log(beta2)).exp();
    auto corrected = 1 - power;
    double longest = 2 / (1 - beta2) - 1;
    auto length = longest - 2 * t * power / corrected;
    auto rectified = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)).sqrt();
    auto factor = made.rate / (1 - (t * std::log(beta1)).exp());
    auto zero = at::zeros_like(factor);
    auto adapts = length.gt(5), is_made = made.kept.ne(0);
    auto adaptive = at::where(adapts.logical_and(is_made), factor * rectified * corrected.sqrt(), zero);
    auto plain = at::where(adapts.logical_not().logical_and(is_made), factor, zero);
    auto way = at::_foreach_sqrt(v);
    at::_foreach_add_(way, epsilon);
    at::_foreach_reciprocal_(way);
    at::_foreach_mul_(way, made.near(adaptive));
    at::_foreach_add_(way, made.near(plain));
    at::_foreach_addcmul_(made.parameters, m, way, -1);
  });
}

// Chen et al., 2023, algorithm 2.
int oxiseg_lion(Tensor* const* params, Tensor* const* grads, Tensor* const* momenta, size_t n, Tensor* lr, double beta1,
                double beta2, double weight_decay, Tensor* grad_scale, Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    if (n == 0) return;
    Step made(params, grads, n, lr, grad_scale, found_inf);
    auto m = states(momenta, made.parameters);
    made.decay(weight_decay);
    auto way = at::_foreach_mul(m, beta1);
    at::_foreach_add_(way, made.gradients, 1 - beta1);
    at::_foreach_sign_(way);
    at::_foreach_mul_(way, made.near(made.rate));
    at::_foreach_sub_(made.parameters, way);
    made.follow(m, made.gradients, 1 - beta2);
  });
}
}
