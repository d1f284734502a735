// What libtorch has and tch does not bind. Every function returns 0, or 1 with a message in oxiseg_error().
// Tensors cross as torch-sys' C_tensor*, which is at::Tensor*. Nothing here throws across the border.

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/record_function.h>
#include <torch/version.h>
#include "shim.h"
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

thread_local std::string last_error;

static std::optional<Tensor> maybe(Tensor* tensor) {
  return tensor ? std::optional<Tensor>(*tensor) : std::nullopt;
}

static at::Device device_of(int cuda_index) {
  return cuda_index < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(cuda_index));
}

// Counted on each thread for itself.
static thread_local int64_t reads = 0;

static std::unique_ptr<at::ObserverContext> count_read(const at::RecordFunction& function) {
  // The operators by which the host asks for a value and waits for it.
  std::string_view name = function.name();
  if (name == "aten::_local_scalar_dense" || name == "aten::nonzero" || name == "aten::is_nonzero") reads++;
  return nullptr;
}

// One line for each operator that this thread calls itself: those that operators call in turn are not told.
static thread_local std::string operators, inputs;
static thread_local int depth = 0;
static thread_local std::chrono::steady_clock::time_point entered;

static std::string told(const c10::IValue& value) {
  if (!value.isTensor() || !value.toTensor().defined()) return "\t";
  const auto& tensor = value.toTensor();
  auto address = tensor.has_storage() ? reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) : 0;
  auto text = '\t' + std::to_string(address) + ':' + std::to_string(tensor.nbytes());
  for (auto side : tensor.sizes()) text += ',' + std::to_string(side);
  return text;
}

static std::unique_ptr<at::ObserverContext> enter_operator(const at::RecordFunction& function) {
  if (depth++ > 0) return nullptr;
  // The inputs are there only now, the outputs only at the end.
  inputs.clear();
  for (size_t i = 0; i < function.inputs().size() && i < 2; i++) inputs += told(function.inputs()[i]);
  entered = std::chrono::steady_clock::now();
  return nullptr;
}

static void leave_operator(const at::RecordFunction& function, at::ObserverContext*) {
  if (--depth > 0) return;
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - entered;
  auto output = function.outputs().empty() ? "\t" : told(function.outputs()[0]);
  operators += function.name() + ('\t' + std::to_string(took.count())) + output + inputs + '\n';
}

extern "C" {
const char* oxiseg_error() { return last_error.c_str(); }
const char* oxiseg_libtorch_version() { return TORCH_VERSION; }

int oxiseg_fused_adam(Tensor* const* params, Tensor* const* grads, Tensor* const* first, Tensor* const* second,
                      size_t n, Tensor* step, int decoupled, double lr, double beta1, double beta2,
                      double weight_decay, double epsilon, Tensor* grad_scale, Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto update = [&](auto&& kernel) {
      kernel(list(params, n), list(grads, n), list(first, n), list(second, n), /*max_exp_avg_sqs=*/std::vector<Tensor>{},
             std::vector<Tensor>(n, *step), lr, beta1, beta2, weight_decay, epsilon, /*amsgrad=*/false,
             /*maximize=*/false, maybe(grad_scale), maybe(found_inf));
    };
    if (decoupled) update([](auto&&... args) { at::_fused_adamw_(args...); });
    else update([](auto&&... args) { at::_fused_adam_(args...); });
  });
}

int oxiseg_fused_sgd(Tensor* const* params, Tensor* const* grads, Tensor* const* momentum_buffers, size_t n, double lr,
                     double momentum, double weight_decay, int nesterov, Tensor* grad_scale, Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto buffers = momentum_buffers ? list(momentum_buffers, n) : std::vector<Tensor>{};
    at::_fused_sgd_(list(params, n), list(grads, n), buffers, weight_decay, momentum, lr, /*dampening=*/0.0,
                    nesterov != 0, /*maximize=*/false, /*is_first_step=*/false, maybe(grad_scale), maybe(found_inf));
  });
}

int oxiseg_global_norm(Tensor* const* tensors, size_t n, Tensor** out) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    *out = new Tensor(at::linalg_vector_norm(at::stack(at::_foreach_norm(list(tensors, n)))));
  });
}

int oxiseg_lerp(Tensor* const* into, Tensor* const* towards, size_t n, double weight) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    if (n > 0) at::_foreach_lerp_(list(into, n), list(towards, n), weight);
  });
}

int oxiseg_copy(Tensor* const* into, Tensor* const* from, size_t n) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    if (n > 0) at::_foreach_copy_(list(into, n), list(from, n));
  });
}

int oxiseg_set_grad(Tensor* tensor, Tensor* grad) {
  return guarded([&] { tensor->mutable_grad() = grad ? *grad : Tensor(); });
}

int oxiseg_generator_state(int cuda_index, Tensor** out) {
  return guarded([&] {
    auto generator = at::globalContext().defaultGenerator(device_of(cuda_index));
    std::lock_guard<std::mutex> lock(generator.mutex());
    *out = new Tensor(generator.get_state());
  });
}

int oxiseg_set_generator_state(int cuda_index, Tensor* state) {
  return guarded([&] {
    auto generator = at::globalContext().defaultGenerator(device_of(cuda_index));
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(*state);
  });
}

int oxiseg_autocast_enter(int cuda, int scalar_type, int* was_enabled, int* was_type) {
  return guarded([&] {
    auto device = cuda ? at::kCUDA : at::kCPU;
    *was_enabled = at::autocast::is_autocast_enabled(device);
    *was_type = static_cast<int>(at::autocast::get_autocast_dtype(device));
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(scalar_type));
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
  });
}

int oxiseg_autocast_leave(int cuda, int was_enabled, int was_type) {
  return guarded([&] {
    auto device = cuda ? at::kCUDA : at::kCPU;
    // The casts of the weights are cached for one pass; the next update changes the weights.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, was_enabled != 0);
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(was_type));
  });
}

int oxiseg_allow_tf32(int allowed) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(allowed != 0);
    at::globalContext().setAllowTF32CuDNN(allowed != 0);
  });
}

int oxiseg_tf32_allowed() {
  return at::globalContext().allowTF32CuBLAS() && at::globalContext().allowTF32CuDNN();
}

int oxiseg_channels_last(Tensor* tensor, Tensor** out) {
  return guarded([&] { *out = new Tensor(tensor->contiguous(at::MemoryFormat::ChannelsLast)); });
}

int oxiseg_make_channels_last(Tensor* tensor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    tensor->set_data(tensor->detach().contiguous(at::MemoryFormat::ChannelsLast));
  });
}

int oxiseg_watch_reads(uint64_t* handle) {
  return guarded([&] {
    *handle = at::addThreadLocalCallback(at::RecordFunctionCallback(count_read).scopes({at::RecordScope::FUNCTION}));
  });
}
int oxiseg_unwatch(uint64_t handle) {
  return guarded([&] { at::removeCallback(handle); });
}
int64_t oxiseg_reads() { return reads; }

int oxiseg_watch_operators(uint64_t* handle) {
  return guarded([&] {
    operators.clear();
    depth = 0;
    auto callback = at::RecordFunctionCallback(enter_operator, leave_operator).needsInputs(true).needsOutputs(true);
    *handle = at::addThreadLocalCallback(callback.scopes({at::RecordScope::FUNCTION}));
  });
}
const char* oxiseg_operators() { return operators.c_str(); }

void oxiseg_tune_allocator() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}
}
