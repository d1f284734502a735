// Numbers in AVX-512 registers, and products of matrices of them.
#pragma once
#include <immintrin.h>
#include <cstdint>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define INLINE AVX512 __attribute__((always_inline)) inline

namespace {
// Number of channels in a register.
constexpr int64_t LANES = 16;
// Size of the part of a product that is held in registers: its rows, and its columns in registers.
constexpr int64_t ROWS = 8;
constexpr int64_t WIDE = 2;

// Kinds of numbers. Products are made of units of 32 bits: one f32, or two bf16 that are multiplied and added at once.
struct F32 {
  using Number = float;
  static constexpr int64_t IN_UNIT = 1;
  static INLINE __m512 load(const float* from) { return _mm512_loadu_ps(from); }
  static INLINE void store(float* to, __m512 values) { _mm512_storeu_ps(to, values); }
  static INLINE __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
  static INLINE __m512i unit(__m512 values, __m512) { return _mm512_castps_si512(values); }
};

struct Bf16 {
  using Number = uint16_t;
  static constexpr int64_t IN_UNIT = 2;
  static INLINE __m512 load(const uint16_t* from) {
    auto bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
  }
  static INLINE void store(uint16_t* to, __m512 values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(values));
  }
  static INLINE __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  // Packs the two values of each lane side by side.
  static INLINE __m512i unit(__m512 first, __m512 second) {
    auto low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    auto high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
};

// c[ROWS][WIDTH * LANES] = (or +=) a b, over `depth` units.
// A unit of a is at [row * a_step + k], or, transposed, at [k * a_step + row]; those of b at [k * b_step + column].
template <class E, int64_t WIDTH, bool TRANSPOSED>
INLINE void multiply(const uint32_t* a, int64_t a_step, const uint32_t* b, int64_t b_step, int64_t depth, float* c,
                     int64_t c_step, bool add) {
  __m512 sum[ROWS][WIDTH];
  for (int r = 0; r < ROWS; r++)
    for (int w = 0; w < WIDTH; w++) sum[r][w] = add ? _mm512_loadu_ps(c + r * c_step + w * LANES) : _mm512_setzero_ps();
  for (int64_t k = 0; k < depth; k++) {
    __m512i right[WIDTH];
    for (int w = 0; w < WIDTH; w++) right[w] = _mm512_loadu_si512(b + k * b_step + w * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
      auto left = _mm512_set1_epi32(int(a[TRANSPOSED ? k * a_step + r : r * a_step + k]));
      for (int w = 0; w < WIDTH; w++) sum[r][w] = E::multiply_add(sum[r][w], left, right[w]);
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int w = 0; w < WIDTH; w++) _mm512_storeu_ps(c + r * c_step + w * LANES, sum[r][w]);
}

// Transposes 16 x 16 values: within groups of four rows and lanes first, then the groups.
INLINE void transpose(__m512* rows) {
  __m512 r[16];
  for (int i = 0; i < 16; i += 4) {
    auto low = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i], rows[i + 1])), high = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i], rows[i + 1]));
    auto low2 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i + 2], rows[i + 3]));
    auto high2 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i + 2], rows[i + 3]));
    r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
    r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
    r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
    r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
  }
  for (int i = 0; i < 4; i++) {
    auto a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88), b = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
    auto c = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88), d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
    rows[i] = _mm512_shuffle_f32x4(a, c, 0x88);
    rows[4 + i] = _mm512_shuffle_f32x4(b, d, 0x88);
    rows[8 + i] = _mm512_shuffle_f32x4(a, c, 0xdd);
    rows[12 + i] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}
}  // namespace
