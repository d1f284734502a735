// Switches of libtorch's context: deterministic algorithms, share of a GPU's memory, and what a GPU is.

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/scatter_add.h>
#include <ATen/ops/zeros.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>
#include <cstdio>
#include "shim.h"

namespace {
// Shared with the host language.
struct Determinism {
  int cudnn, benchmark, algorithms, warn_only, fill;
};

Determinism determinism() {
  const auto& context = at::globalContext();
  return {context.deterministicCuDNN(), context.benchmarkCuDNN(), context.deterministicAlgorithms(),
          context.deterministicAlgorithmsWarnOnly(), context.deterministicFillUninitializedMemory()};
}

void set_determinism(const Determinism& to) {
  auto& context = at::globalContext();
  context.setDeterministicCuDNN(to.cudnn != 0);
  context.setBenchmarkCuDNN(to.benchmark != 0);
  context.setDeterministicAlgorithms(to.algorithms != 0, to.warn_only != 0);
  context.setDeterministicFillUninitializedMemory(to.fill != 0);
}

// Shared with the host language. Texts are empty and numbers 0 where they are not known.
struct Gpu {
  char name[256], driver[96];
  int64_t cudnn;
  int cuda, major, minor;
  uint64_t total, free;
};

// A library of the driver, if this machine has it. It stays open.
struct Library {
  void* handle;
  explicit Library(const char* name) : handle(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {}
  template <class F> F function(const char* name) const {
    return handle ? reinterpret_cast<F>(dlsym(handle, name)) : nullptr;
  }
};

void ask_driver(int index, Gpu& gpu) {
  static const Library cuda("libcuda.so.1");
  auto init = cuda.function<int (*)(unsigned)>("cuInit");
  auto version = cuda.function<int (*)(int*)>("cuDriverGetVersion");
  auto get = cuda.function<int (*)(int*, int)>("cuDeviceGet");
  auto name = cuda.function<int (*)(char*, int, int)>("cuDeviceGetName");
  auto attribute = cuda.function<int (*)(int*, int, int)>("cuDeviceGetAttribute");
  int device = 0;
  if (!init || !version || !get || !name || !attribute || init(0) != 0 || get(&device, index) != 0) return;
  if (version(&gpu.cuda) != 0) gpu.cuda = 0;
  if (name(gpu.name, sizeof gpu.name - 1, device) != 0) gpu.name[0] = 0;
  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
  if (attribute(&gpu.major, 75, device) != 0 || attribute(&gpu.minor, 76, device) != 0) gpu.major = gpu.minor = 0;
}

void ask_management(Gpu& gpu) {
  static const Library management("libnvidia-ml.so.1");
  auto init = management.function<int (*)()>("nvmlInit_v2");
  auto version = management.function<int (*)(char*, unsigned)>("nvmlSystemGetDriverVersion");
  auto shutdown = management.function<int (*)()>("nvmlShutdown");
  if (!init || !version || !shutdown || init() != 0) return;
  if (version(gpu.driver, sizeof gpu.driver - 1) != 0) gpu.driver[0] = 0;
  shutdown();
}
}  // namespace

extern "C" {
void oxiseg_determinism(Determinism* out) { *out = determinism(); }
int oxiseg_set_determinism(const Determinism* to) {
  return guarded([&] { set_determinism(*to); });
}

int oxiseg_warn(const char* text) {
  return guarded([&] { TORCH_WARN(text); });
}

// Returns the former setting of this thread.
int oxiseg_cache_weights(int enabled) {
  int before = at::autocast::is_autocast_cache_enabled();
  at::autocast::set_autocast_cache_enabled(enabled != 0);
  return before;
}

int oxiseg_count(Tensor* bins, int64_t n, Tensor** out) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    TORCH_CHECK(bins->dim() == 2 && bins->scalar_type() == at::kLong && n > 0, "bins must be [N, P] of i64");
    // Integers add up to the same in any order. libtorch would sort them first where it is to be deterministic.
    auto before = determinism();
    auto any_order = before;
    any_order.algorithms = 0;
    struct Restore {
      Determinism to;
      ~Restore() { set_determinism(to); }
    } restore{before};
    set_determinism(any_order);
    auto counts = at::zeros({bins->size(0), n}, bins->options());
    counts.scatter_add_(1, *bins, at::ones({}, bins->options()).expand_as(*bins));
    *out = new Tensor(std::move(counts));
  });
}

int oxiseg_memory_fraction(double fraction) {
  return guarded([&] {
    TORCH_CHECK(fraction > 0 && fraction <= 1, "a share of a GPU's memory must be above 0 and at most 1, is ",
                fraction);
    TORCH_CHECK(at::Context::hasCUDA(), "there is no GPU whose memory could be shared");
    TORCH_CHECK(!c10::getDeviceAllocator(at::kCUDA)->initialized(),
                "the share of a GPU's memory must be set before the GPU is used");
    auto settings = c10::CachingAllocator::getAllocatorSettings();
    if (!settings.empty()) settings += ',';
    char text[64];
    std::snprintf(text, sizeof text, "per_process_memory_fraction:%.6f", fraction);
    c10::CachingAllocator::setAllocatorSettings(settings + text);
  });
}

int oxiseg_gpu(int index, Gpu* gpu) {
  return guarded([&] {
    TORCH_CHECK(index >= 0 && at::Context::hasCUDA() && index < at::detail::getCUDAHooks().deviceCount(),
                "there is no GPU ", index);
    at::globalContext().lazyInitDevice(at::kCUDA);
    ask_driver(index, *gpu);
    ask_management(*gpu);
    const auto& hooks = at::detail::getCUDAHooks();
    gpu->cudnn = hooks.hasCuDNN() ? hooks.versionRuntimeCuDNN() : 0;
    auto [free, total] = c10::getDeviceAllocator(at::kCUDA)->getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    gpu->free = free;
    gpu->total = total;
  });
}
}
