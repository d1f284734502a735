// Runs a piece of a network once more in the backward pass, instead of keeping its intermediate activations.

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <memory>
#include <vector>
#include "shim.h"

namespace {
using Drop = void (*)(void* self);
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The caller's piece, dropped with the graph that may still need it.
struct Piece : torch::CustomClassHolder {
  void* self;
  Run run;
  Drop drop;
  std::vector<Tensor> buffers;

  Piece(void* self, Run run, Drop drop) : self(self), run(run), drop(drop) {}
  ~Piece() override { drop(self); }

  Tensor operator()(at::TensorList inputs) const { return called(run, self, inputs); }
};

// Sets the precision of the first run for the second.
struct Autocast {
  at::DeviceType device;
  bool was_enabled;
  at::ScalarType was_type;

  Autocast(at::DeviceType device, bool enabled, at::ScalarType type)
      : device(device), was_enabled(at::autocast::is_autocast_enabled(device)),
        was_type(at::autocast::get_autocast_dtype(device)) {
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, type);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, was_enabled);
    at::autocast::set_autocast_dtype(device, was_type);
  }
};

struct Recompute : torch::autograd::Function<Recompute> {
  // The anchor requires a gradient, so that the output does even if the input is an image and only weights require one.
  static Tensor forward(AutogradContext* ctx, const Tensor& anchor, at::TensorList inputs,
                        const c10::intrusive_ptr<Piece>& piece) {
    ctx->save_for_backward(inputs.vec());
    ctx->saved_data["piece"] = c10::IValue::make_capsule(piece);
    auto device = anchor.device().type();
    ctx->saved_data["enabled"] = at::autocast::is_autocast_enabled(device);
    ctx->saved_data["type"] = static_cast<int64_t>(at::autocast::get_autocast_dtype(device));
    return (*piece)(inputs);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    refuse_second_derivative("what is recomputed");
    // Detached from the graph that leads to them, requiring a gradient if they did.
    variable_list inputs;
    for (const auto& input : ctx->get_saved_variables()) {
      inputs.push_back(input.detach().set_requires_grad(input.requires_grad()));
    }
    auto capsule = ctx->saved_data["piece"].toCapsule();
    const auto& piece = *static_cast<Piece*>(capsule.get());
    // Via variable_data(), which bumps no version counter: buffers may be saved for a backward pass, and this is no
    // change.
    std::vector<Tensor> before;
    for (const auto& buffer : piece.buffers) before.push_back(buffer.variable_data().clone());
    Tensor y;
    {
      at::AutoGradMode grad(true);
      Autocast autocast(gradients[0].device().type(), ctx->saved_data["enabled"].toBool(),
                        static_cast<at::ScalarType>(ctx->saved_data["type"].toInt()));
      y = piece(inputs);
    }
    TORCH_CHECK(y.sizes() == gradients[0].sizes(), "the second run gave ", y.sizes(), ", the first ",
                gradients[0].sizes());
    for (size_t i = 0; i < before.size(); i++) piece.buffers[i].variable_data().copy_(before[i]);
    torch::autograd::backward({y}, {gradients[0]});
    variable_list all{Tensor()};
    for (const auto& input : inputs) all.push_back(input.grad());
    all.emplace_back();
    return all;
  }
};
}  // namespace

extern "C" {
int oxiseg_recompute(Tensor* const* inputs, size_t n, Tensor* const* buffers, size_t n_buffers, void* self, Run run,
                     Drop drop, Tensor** out) {
  return guarded([&] {
    auto piece = c10::make_intrusive<Piece>(self, run, drop);
    piece->buffers = list(buffers, n_buffers);
    auto all = list(inputs, n);
    TORCH_CHECK(!all.empty() && all[0].defined(), "nothing to compute of: the first input is undefined");
    if (!at::GradMode::is_enabled() || torch::jit::tracer::isTracing()) {
      *out = new Tensor((*piece)(all));
      return;
    }
    auto anchor = at::empty({0}, all[0].options().dtype(at::kFloat)).set_requires_grad(true);
    *out = new Tensor(Recompute::apply(anchor, at::TensorList(all), piece));
  });
}
}
