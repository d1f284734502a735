// Numbers in memory, and loops over them.
#pragma once
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>
#include <cstdint>
#include <cstring>

// Marks loops that are compiled for several kinds of processors; the right version is taken when the program starts.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

namespace {
// Numbers as stored in memory, with the type that they are computed in.
struct Bf16 {
  using Number = float;
  uint16_t bits;
  operator float() const {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  }
  void set(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof wide);
    // To the nearest, ties to even; NaN stays NaN.
    uint32_t rounded = (wide + 0x7fff + ((wide >> 16) & 1)) >> 16;
    bits = uint16_t((wide & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
  }
};

template <class T> struct Plain {
  using Number = T;
  T value;
  operator T() const { return value; }
  void set(T number) { value = number; }
};

// Calls `run` with the set of kernels for this kind of numbers, one of three.
template <class Bf16s, class F32s, class F64s, class F> void for_kind(c10::ScalarType kind, F&& run) {
  switch (kind) {
    case c10::ScalarType::BFloat16: return run(Bf16s{});
    case c10::ScalarType::Float: return run(F32s{});
    case c10::ScalarType::Double: return run(F64s{});
    default: TORCH_CHECK(false, "the kernels take f32, bf16 and f64, not ", kind);
  }
}
}  // namespace
