// Bindings of libtorch that tch lacks. Every function that can fail returns 0, or 1 with a message in oxiseg_error().
// Tensors cross as torch-sys' C_tensor*, which is at::Tensor*. No exception crosses the border.

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/empty_like.h>
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
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Message of this thread's last call that returned 1, and true if there was no memory to keep it.
static thread_local std::string last_error;
static thread_local bool unsaid = false;

static void keep(const char* message, size_t length) noexcept {
  try {
    last_error.assign(message, length);
    unsaid = false;
  } catch (...) {
    unsaid = true;
  }
}

std::atomic<int> captures_under_way = 0;

const char* last_message() noexcept { return unsaid ? "out of memory" : last_error.c_str(); }

void complain() noexcept {
  auto keep_all = [](const char* message) { keep(message, std::strlen(message)); };
  try {
    throw;
  } catch (const c10::Error& error) {
    // It makes its message on request, and that may throw.
    try {
      keep_all(error.what_without_backtrace());
    } catch (...) {
      unsaid = true;
    }
  } catch (const std::bad_alloc&) {
    keep_all("out of memory");
  } catch (const std::exception& error) {
    keep_all(error.what());
  } catch (...) {
    keep_all("unknown C++ exception");
  }
}

void refuse_second_derivative(const char* kernel) {
  TORCH_CHECK(!at::GradMode::is_enabled(), kernel, " has no second derivative: compute this with libtorch's operators "
              "(Fusion::new(Kernels::Libtorch), or model.fused off and model.recompute false)");
}

// Counted per thread.
static thread_local int64_t reads = 0;

static std::unique_ptr<at::ObserverContext> count_read(const at::RecordFunction& function) {
  // Operators by which the host asks for a value and waits for it.
  std::string_view name = function.name();
  if (name == "aten::_local_scalar_dense" || name == "aten::nonzero" || name == "aten::is_nonzero") reads++;
  return nullptr;
}

// Keeps warnings instead of printing them.
struct Warnings : c10::WarningHandler {
  std::string text;
  void process(const c10::Warning& warning) override { text += warning.msg() + '\n'; }
};
static thread_local Warnings warnings;

// One line for each operator that this thread calls itself, without those that operators call in turn.
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
  // The inputs are available only now, the outputs only at the end.
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
const char* oxiseg_error() { return last_message(); }
void oxiseg_complain(const char* message, size_t length) { keep(message, length); }
const char* oxiseg_libtorch_version() { return TORCH_VERSION; }

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
  return guarded([&] {
    TORCH_CHECK(tensor->defined(), "an undefined tensor has no gradient");
    TORCH_CHECK(!grad || (grad->defined() && !grad->is_same(*tensor) && grad->sizes() == tensor->sizes() &&
                          grad->scalar_type() == tensor->scalar_type() && grad->device() == tensor->device()),
                "a gradient must be another tensor of the same size, kind and device");
    tensor->mutable_grad() = grad ? *grad : Tensor();
  });
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

int oxiseg_tf32_allowed(int* allowed) {
  return guarded([&] { *allowed = at::globalContext().allowTF32CuBLAS() && at::globalContext().allowTF32CuDNN(); });
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

int oxiseg_watch_warnings(void** before) {
  return guarded([&] {
    warnings.text.clear();
    *before = c10::WarningUtils::get_warning_handler();
    c10::WarningUtils::set_warning_handler(&warnings);
  });
}
void oxiseg_unwatch_warnings(void* before) {
  c10::WarningUtils::set_warning_handler(static_cast<c10::WarningHandler*>(before));
}
const char* oxiseg_warnings() { return warnings.text.c_str(); }

// Throws, for the test that no exception crosses the border.
int oxiseg_throw(int what) {
  return guarded([&] {
    if (what == 0) throw 5;
    if (what == 1) throw std::bad_alloc();
    if (what == 2) throw std::runtime_error("as told");
    TORCH_CHECK(false, "by libtorch");
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
