#include "winograd.h"
#include <c10/util/Exception.h>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#include <ATen/Parallel.h>
#include "avx512.h"
#include "machine.h"
#include "parallel.h"

namespace winograd {
namespace {
// Number of values of a transformed tile: 4 x 4.
constexpr int64_t PLACES = 16;

// Uninitialised memory that begins at a cache line.
template <class T> struct Scratch {
  std::unique_ptr<T, decltype(&std::free)> data{nullptr, &std::free};
  explicit Scratch(int64_t length) {
    data.reset(static_cast<T*>(std::aligned_alloc(64, (length * sizeof(T) + 63) / 64 * 64)));
    if (!data) throw std::bad_alloc();
  }
  T* get() const { return data.get(); }
};

// Positions of the tiles: 2 x 2 outputs each, by image, row and column.
struct Tiles {
  int64_t height, width, in_row, in_image, count;
  explicit Tiles(const Size& size)
      : height(size.height), width(size.width), in_row((width + 1) / 2), in_image((height + 1) / 2 * in_row),
        count(size.images * in_image) {}

  // Finds the SIDE x SIDE pixels that begin `before` pixels above and left of the tile's first output; `outside` where
  // there are none.
  template <int64_t SIDE, class T>
  void pixels(T* x, int64_t channels, int64_t tile, int64_t before, T* outside, T** found) const {
    int64_t image = tile / in_image, place = tile - image * in_image, row = place / in_row;
    int64_t top = row * 2 - before, left = (place - row * in_row) * 2 - before;
    T* corner = x + ((image * height + top) * width + left) * channels;
    if (tile < count && top >= 0 && left >= 0 && top + SIDE <= height && left + SIDE <= width) {
      for (int64_t i = 0; i < SIDE * SIDE; i++) found[i] = corner + (i / SIDE * width + i % SIDE) * channels;
      return;
    }
    for (int64_t i = 0; i < SIDE * SIDE; i++) {
      int64_t y = top + i / SIDE, x = left + i % SIDE;
      bool inside = tile < count && y >= 0 && y < height && x >= 0 && x < width;
      found[i] = inside ? corner + (i / SIDE * width + i % SIDE) * channels : outside;
    }
  }
};

INLINE __m512 norm_relu(__m512 x, const NormRelu& how, int64_t channel) {
  // max and min return their second operand if one is NaN, so NaN propagates.
  x = _mm512_fmadd_ps(x, _mm512_loadu_ps(how.scale + channel), _mm512_loadu_ps(how.shift + channel));
  return _mm512_min_ps(_mm512_set1_ps(how.bound), _mm512_max_ps(_mm512_setzero_ps(), x));
}

// Transforms a tile of 4 x 4 inputs, in the paper's words B^T d B; pixels that do not exist are `outside`.
template <class E>
INLINE void transform_input(const typename E::Number* const* pixels, const typename E::Number* outside,
                            const NormRelu* before, int64_t channel, __m512* out) {
  __m512 d[16], r[16];
  for (int i = 0; i < 16; i++) d[i] = E::load(pixels[i] + channel);
  if (before) {
    for (int i = 0; i < 16; i++)
      d[i] = _mm512_maskz_mov_ps(pixels[i] == outside ? 0 : 0xffff, norm_relu(d[i], *before, channel));
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_sub_ps(d[i], d[8 + i]);
    r[4 + i] = _mm512_add_ps(d[4 + i], d[8 + i]);
    r[8 + i] = _mm512_sub_ps(d[8 + i], d[4 + i]);
    r[12 + i] = _mm512_sub_ps(d[4 + i], d[12 + i]);
  }
  for (int i = 0; i < 16; i += 4) {
    out[i] = _mm512_sub_ps(r[i], r[i + 2]);
    out[i + 1] = _mm512_add_ps(r[i + 1], r[i + 2]);
    out[i + 2] = _mm512_sub_ps(r[i + 2], r[i + 1]);
    out[i + 3] = _mm512_sub_ps(r[i + 1], r[i + 3]);
  }
}

// Transforms a tile of 2 x 2 gradients of outputs, A dy A^T.
template <class E> INLINE void transform_gradient(const typename E::Number* const* pixels, int64_t channel, __m512* out) {
  __m512 d[4], r[8], zero = _mm512_setzero_ps();
  for (int i = 0; i < 4; i++) d[i] = E::load(pixels[i] + channel);
  for (int i = 0; i < 2; i++) {
    r[i] = d[i];
    r[2 + i] = _mm512_add_ps(d[i], d[2 + i]);
    r[4 + i] = _mm512_sub_ps(d[i], d[2 + i]);
    r[6 + i] = _mm512_sub_ps(zero, d[2 + i]);
  }
  for (int i = 0; i < 4; i++) {
    out[4 * i] = r[2 * i];
    out[4 * i + 1] = _mm512_add_ps(r[2 * i], r[2 * i + 1]);
    out[4 * i + 2] = _mm512_sub_ps(r[2 * i], r[2 * i + 1]);
    out[4 * i + 3] = _mm512_sub_ps(zero, r[2 * i + 1]);
  }
}

// Transforms a kernel of 3 x 3 weights whose pixels are `step` apart, G g G^T.
INLINE void transform_weight(const float* weight, int64_t step, bool turned, __m512* out) {
  __m512 g[9], r[12], half = _mm512_set1_ps(0.5f);
  for (int i = 0; i < 9; i++) g[i] = _mm512_loadu_ps(weight + (turned ? 8 - i : i) * step);
  for (int i = 0; i < 3; i++) {
    auto outer = _mm512_add_ps(g[i], g[6 + i]);
    r[i] = g[i];
    r[3 + i] = _mm512_mul_ps(half, _mm512_add_ps(outer, g[3 + i]));
    r[6 + i] = _mm512_mul_ps(half, _mm512_sub_ps(outer, g[3 + i]));
    r[9 + i] = g[6 + i];
  }
  for (int i = 0; i < 4; i++) {
    auto outer = _mm512_add_ps(r[3 * i], r[3 * i + 2]);
    out[4 * i] = r[3 * i];
    out[4 * i + 1] = _mm512_mul_ps(half, _mm512_add_ps(outer, r[3 * i + 1]));
    out[4 * i + 2] = _mm512_mul_ps(half, _mm512_sub_ps(outer, r[3 * i + 1]));
    out[4 * i + 3] = r[3 * i + 2];
  }
}

// Width of a panel of columns. The transformed weight is [place][panel][inputs / IN_UNIT][columns of the panel]; the
// last panel has half the columns if the outputs leave it no more.
constexpr int64_t PANEL = WIDE * LANES;

// Transforms and packs the weights of 16 inputs and 16 outputs.
template <class E>
AVX512 void pack_weight(const Size& size, const float* weight, bool turned, int64_t input, int64_t output, uint32_t* packed) {
  int64_t units = size.inputs / E::IN_UNIT, panel = output / PANEL * PANEL, width = std::min(PANEL, size.outputs - panel);
  uint32_t* to = packed + panel * units + output % PANEL;
  if (turned) {
    // Outputs lie side by side.
    for (int64_t i = input; i < input + LANES; i += E::IN_UNIT) {
      __m512 first[PLACES], second[PLACES];
      const float* from = weight + i * 9 * size.outputs + output;
      transform_weight(from, size.outputs, true, first);
      if (E::IN_UNIT == 2) transform_weight(from + 9 * size.outputs, size.outputs, true, second);
      for (int p = 0; p < PLACES; p++)
        _mm512_storeu_si512(to + p * units * size.outputs + i / E::IN_UNIT * width, E::unit(first[p], second[p]));
    }
    return;
  }
  // Inputs lie side by side: transposed as 16 x 16 values.
  alignas(64) float values[PLACES][LANES][LANES];
  for (int64_t o = 0; o < LANES; o++) {
    __m512 all[PLACES];
    transform_weight(weight + (output + o) * 9 * size.inputs + input, size.inputs, false, all);
    for (int p = 0; p < PLACES; p++) _mm512_store_ps(values[p][o], all[p]);
  }
  for (int p = 0; p < PLACES; p++) {
    __m512 rows[LANES];
    for (int i = 0; i < LANES; i++) rows[i] = _mm512_load_ps(values[p][i]);
    transpose(rows);
    for (int64_t i = 0; i < LANES; i += E::IN_UNIT)
      _mm512_storeu_si512(to + p * units * size.outputs + (input + i) / E::IN_UNIT * width,
                          E::unit(rows[i], rows[i + E::IN_UNIT - 1]));
  }
}

// Returns the length of a plane, one of which each place has. It is an odd number of cache lines, or all planes would
// compete for the same lines of the cache.
int64_t plane(int64_t length) { return ((length + 15) / 16 | 1) * 16; }

// Number of output channels, and of tiles, that are computed in one go: so many that intermediate values stay in a
// core's own cache.
constexpr int64_t OUTPUTS = 128;
template <class E> int64_t tiles_at_once(const Size& size, int64_t tiles) {
  constexpr int64_t CACHE = 640 << 10;
  int64_t of_tile = PLACES * 4 * (size.inputs / E::IN_UNIT + std::min(size.outputs, OUTPUTS));
  int64_t of_thread = (tiles + at::get_num_threads() - 1) / at::get_num_threads();
  return std::max<int64_t>(std::min(CACHE / of_tile, of_thread + ROWS - 1) / ROWS, 1) * ROWS;
}

template <class E>
AVX512 void convolve_tiles(const Size& size, const Tiles& tiles, const typename E::Number* x, const NormRelu* before,
                           const uint32_t* packed, typename E::Number* y, const NormRelu* behind, int64_t first, int64_t count,
                           const typename E::Number* zeros, typename E::Number* sink, uint32_t* transformed, float* product) {
  using T = typename E::Number;
  int64_t units = size.inputs / E::IN_UNIT, x_plane = plane(count * units);
  int64_t chunk = std::min(size.outputs, OUTPUTS), y_plane = plane(count * chunk);
  const T* inputs[16];
  T* outputs[4];
  for (int64_t tile = 0; tile < count; tile++) {
    tiles.pixels<4>(x, size.inputs, first + tile, 1, zeros, inputs);
    for (int64_t channel = 0; channel < size.inputs; channel += LANES) {
      __m512 values[PLACES];
      transform_input<E>(inputs, zeros, before, channel, values);
      for (int p = 0; p < PLACES; p++)
        E::store(reinterpret_cast<T*>(transformed + p * x_plane + tile * units) + channel, values[p]);
    }
  }
  for (int64_t from = 0; from < size.outputs; from += chunk) {
    int64_t to = std::min(from + chunk, size.outputs);
    for (int p = 0; p < PLACES; p++) {
      for (int64_t panel = from; panel < to; panel += PANEL) {
        const uint32_t* weight = packed + (p * size.outputs + panel) * units;
        for (int64_t tile = 0; tile < count; tile += ROWS) {
          const uint32_t* rows = transformed + p * x_plane + tile * units;
          float* into = product + p * y_plane + tile * chunk + panel - from;
          if (to - panel >= PANEL) multiply<E, WIDE, false>(rows, units, weight, PANEL, units, into, chunk, false);
          else multiply<E, 1, false>(rows, units, weight, LANES, units, into, chunk, false);
        }
      }
    }
    for (int64_t tile = 0; tile < count && first + tile < tiles.count; tile++) {
      tiles.pixels<2>(y, size.outputs, first + tile, 0, sink, outputs);
      for (int64_t channel = 0; channel < to - from; channel += LANES) {
        // A^T m A.
        __m512 m[PLACES], r[8], out[4];
        for (int p = 0; p < PLACES; p++) m[p] = _mm512_loadu_ps(product + p * y_plane + tile * chunk + channel);
        for (int i = 0; i < 4; i++) {
          r[i] = _mm512_add_ps(_mm512_add_ps(m[i], m[4 + i]), m[8 + i]);
          r[4 + i] = _mm512_sub_ps(_mm512_sub_ps(m[4 + i], m[8 + i]), m[12 + i]);
        }
        for (int i = 0; i < 2; i++) {
          out[2 * i] = _mm512_add_ps(_mm512_add_ps(r[4 * i], r[4 * i + 1]), r[4 * i + 2]);
          out[2 * i + 1] = _mm512_sub_ps(_mm512_sub_ps(r[4 * i + 1], r[4 * i + 2]), r[4 * i + 3]);
        }
        for (int i = 0; i < 4; i++) {
          if (behind) out[i] = norm_relu(out[i], *behind, from + channel);
          E::store(outputs[i] + from + channel, out[i]);
        }
      }
    }
  }
}

template <class E>
void convolve_as(const Size& size, const typename E::Number* x, const NormRelu* before, const float* weight, bool turned,
                 typename E::Number* y, const NormRelu* behind) {
  int64_t units = size.inputs / E::IN_UNIT;
  Scratch<uint32_t> packed(PLACES * units * size.outputs);
  int64_t columns = size.outputs / LANES;
  in_parallel(size.inputs / LANES * columns, [&](int64_t from, int64_t to) {
    for (int64_t block = from; block < to; block++)
      pack_weight<E>(size, weight, turned, block / columns * LANES, block % columns * LANES, packed.get());
  });
  Tiles tiles(size);
  int64_t count = tiles_at_once<E>(size, tiles.count);
  std::vector<typename E::Number> zeros(size.inputs);
  in_parallel((tiles.count + count - 1) / count, [&](int64_t from, int64_t to) {
    Scratch<uint32_t> transformed(PLACES * plane(count * units));
    Scratch<float> product(PLACES * plane(count * std::min(size.outputs, OUTPUTS)));
    Scratch<typename E::Number> sink(size.outputs);
    for (int64_t block = from; block < to; block++)
      convolve_tiles<E>(size, tiles, x, before, packed.get(), y, behind, block * count, count, zeros.data(), sink.get(),
                        transformed.get(), product.get());
  });
}

// Transforms tiles of inputs or gradients into units of IN_UNIT tiles, [place][tiles / IN_UNIT][channels].
template <class E, bool GRADIENT>
AVX512 void transform_tiles(const Tiles& tiles, const typename E::Number* x, int64_t channels, const NormRelu* before,
                            const typename E::Number* zeros, int64_t first, int64_t from, int64_t to, uint32_t* out, int64_t out_plane) {
  constexpr int64_t BEFORE = GRADIENT ? 0 : 1, SIDE = GRADIENT ? 2 : 4;
  const typename E::Number* pixels[2][16];
  for (int64_t unit = from; unit < to; unit++) {
    for (int64_t i = 0; i < E::IN_UNIT; i++)
      tiles.pixels<SIDE>(x, channels, first + unit * E::IN_UNIT + i, BEFORE, zeros, pixels[i]);
    for (int64_t channel = 0; channel < channels; channel += LANES) {
      __m512 values[2][PLACES];
      for (int64_t i = 0; i < E::IN_UNIT; i++) {
        if (GRADIENT) transform_gradient<E>(pixels[i], channel, values[i]);
        else transform_input<E>(pixels[i], zeros, before, channel, values[i]);
      }
      for (int p = 0; p < PLACES; p++)
        _mm512_storeu_si512(out + p * out_plane + unit * channels + channel, E::unit(values[0][p], values[1][p]));
    }
  }
}

// Adds the tiles' products to the transformed gradient of one place, 8 outputs and all inputs.
template <class E>
AVX512 void add_products(const Size& size, const uint32_t* x, const uint32_t* gradient, int64_t units, float* sum, bool add) {
  for (int64_t input = 0; input < size.inputs; input += PANEL) {
    if (size.inputs - input >= PANEL)
      multiply<E, WIDE, true>(gradient, size.outputs, x + input, size.inputs, units, sum + input, size.inputs, add);
    else multiply<E, 1, true>(gradient, size.outputs, x + input, size.inputs, units, sum + input, size.inputs, add);
  }
}

// Computes G^T m G for one output.
AVX512 void gradient_of_output(const Size& size, int64_t output, const float* sum, float* weight) {
  auto half = _mm512_set1_ps(0.5f);
  for (int64_t input = 0; input < size.inputs; input += LANES) {
    __m512 m[PLACES], r[12];
    for (int p = 0; p < PLACES; p++) m[p] = _mm512_loadu_ps(sum + (p * size.outputs + output) * size.inputs + input);
    for (int i = 0; i < 4; i++) {
      auto both = _mm512_mul_ps(half, _mm512_add_ps(m[4 + i], m[8 + i]));
      r[i] = _mm512_add_ps(m[i], both);
      r[4 + i] = _mm512_mul_ps(half, _mm512_sub_ps(m[4 + i], m[8 + i]));
      r[8 + i] = _mm512_add_ps(m[12 + i], both);
    }
    for (int i = 0; i < 3; i++) {
      float* to = weight + ((output * 3 + i) * 3) * size.inputs + input;
      auto both = _mm512_mul_ps(half, _mm512_add_ps(r[4 * i + 1], r[4 * i + 2]));
      _mm512_storeu_ps(to, _mm512_add_ps(r[4 * i], both));
      _mm512_storeu_ps(to + size.inputs, _mm512_mul_ps(half, _mm512_sub_ps(r[4 * i + 1], r[4 * i + 2])));
      _mm512_storeu_ps(to + 2 * size.inputs, _mm512_add_ps(r[4 * i + 3], both));
    }
  }
}

template <class E>
void weight_gradient_as(const Size& size, const typename E::Number* x, const NormRelu* before,
                        const typename E::Number* y_gradient, float* into) {
  constexpr int64_t CACHE = 3 << 20;
  Tiles tiles(size);
  int64_t count = std::clamp<int64_t>(CACHE / (PLACES * 4 / E::IN_UNIT * (size.inputs + size.outputs)), 128, 4096);
  int64_t units = (std::min(count, tiles.count) + E::IN_UNIT - 1) / E::IN_UNIT;
  count = units * E::IN_UNIT;
  int64_t x_plane = plane(units * size.inputs), y_plane = plane(units * size.outputs);
  Scratch<uint32_t> of_x(PLACES * x_plane), of_y(PLACES * y_plane);
  Scratch<float> sum(PLACES * size.outputs * size.inputs);
  std::vector<typename E::Number> zeros(std::max(size.inputs, size.outputs));
  for (int64_t first = 0; first < tiles.count; first += count) {
    in_parallel(units, [&](int64_t from, int64_t to) {
      transform_tiles<E, false>(tiles, x, size.inputs, before, zeros.data(), first, from, to, of_x.get(), x_plane);
      transform_tiles<E, true>(tiles, y_gradient, size.outputs, nullptr, zeros.data(), first, from, to, of_y.get(), y_plane);
    });
    int64_t rows = size.outputs / ROWS;
    in_parallel(PLACES * rows, [&](int64_t from, int64_t to) {
      for (int64_t task = from; task < to; task++) {
        int64_t place = task / rows, output = task % rows * ROWS;
        add_products<E>(size, of_x.get() + place * x_plane, of_y.get() + place * y_plane + output, units,
                        sum.get() + (place * size.outputs + output) * size.inputs, first > 0);
      }
    });
  }
  in_parallel(size.outputs, [&](int64_t from, int64_t to) {
    for (int64_t output = from; output < to; output++) gradient_of_output(size, output, sum.get(), into);
  });
}
}  // namespace

bool takes(const Size& size, bool bf16) {
  return (bf16 ? machine::has_avx512_bf16() : machine::has_avx512()) && size.inputs % LANES == 0 &&
         size.outputs % LANES == 0 && size.height > 1 && size.width > 1;
}

template <>
void convolve(const Size& size, const float* x, const NormRelu* before, const float* weight, bool turned, float* y,
              const NormRelu* behind) {
  convolve_as<F32>(size, x, before, weight, turned, y, behind);
}
template <>
void convolve(const Size& size, const uint16_t* x, const NormRelu* before, const float* weight, bool turned, uint16_t* y,
              const NormRelu* behind) {
  convolve_as<Bf16>(size, x, before, weight, turned, y, behind);
}
template <>
void weight_gradient(const Size& size, const float* x, const NormRelu* before, const float* y_gradient, float* into) {
  weight_gradient_as<F32>(size, x, before, y_gradient, into);
}
template <>
void weight_gradient(const Size& size, const uint16_t* x, const NormRelu* before, const uint16_t* y_gradient, float* into) {
  weight_gradient_as<Bf16>(size, x, before, y_gradient, into);
}
}  // namespace winograd
#else
namespace winograd {
bool takes(const Size&, bool) { return false; }
template <class T> void convolve(const Size&, const T*, const NormRelu*, const float*, bool, T*, const NormRelu*) {
  TORCH_CHECK(false, "not on this processor");
}
template <class T> void weight_gradient(const Size&, const T*, const NormRelu*, const T*, float*) {
  TORCH_CHECK(false, "not on this processor");
}
template void convolve(const Size&, const float*, const NormRelu*, const float*, bool, float*, const NormRelu*);
template void convolve(const Size&, const uint16_t*, const NormRelu*, const float*, bool, uint16_t*, const NormRelu*);
template void weight_gradient(const Size&, const float*, const NormRelu*, const float*, float*);
template void weight_gradient(const Size&, const uint16_t*, const NormRelu*, const uint16_t*, float*);
}  // namespace winograd
#endif
