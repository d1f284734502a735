// BatchNorm with ReLU (or ReLU6) behind it as one operator. In training it makes two passes over the activations
// forward and two backward, where libtorch makes three and one forward, and two and one backward; in evaluation it
// makes one. Also the gradient of a bias, by the same sums. On a CPU, for activations whose channels lie innermost.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/relu6.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <algorithm>
#include <cmath>
#include <vector>
#include "memory.h"
#include "norm_relu.h"
#include "numbers.h"
#include "parallel.h"

namespace {
// Number of pixels whose sums are made together. They are always the same ones, so that sums do not depend on the
// number of threads.
constexpr int64_t ROWS = 1024;
// Number of channels that are kept in registers.
constexpr int64_t LANES = 32;

// Sums x - origin and its square over rows of channels.
template <class T, class N = typename T::Number>
__attribute__((always_inline)) inline void sum_lanes(const T* x, int64_t rows, int64_t channels, int64_t lanes,
                                                     const N* origin, N* sum, N* square) {
  N s[LANES] = {}, q[LANES] = {};
  for (int64_t row = 0; row < rows; row++) {
    const T* here = x + row * channels;
    for (int64_t i = 0; i < lanes; i++) {
      N d = N(here[i]) - origin[i];
      s[i] += d;
      q[i] += d * d;
    }
  }
  std::copy_n(s, lanes, sum);
  std::copy_n(q, lanes, square);
}

// Returns the gradient that passes the ReLU: none for values at or below 0 and at or above the bound. NaN values let it
// pass.
template <class N> __attribute__((always_inline)) inline N passed(N gradient, N value, N bound) {
  return value <= N(0) || value >= bound ? N(0) : gradient;
}

// Sums the gradient, and its product with x - mean.
template <class T, class N = typename T::Number>
__attribute__((always_inline)) inline void sum_gradients(const T* x, const T* gradient, int64_t rows, int64_t channels,
                                                         int64_t lanes, const N* a, const N* b, const N* mean, N bound,
                                                         N* sum, N* product) {
  N s[LANES] = {}, p[LANES] = {};
  for (int64_t row = 0; row < rows; row++) {
    const T *here = x + row * channels, *from = gradient + row * channels;
    for (int64_t i = 0; i < lanes; i++) {
      N value = here[i];
      N g = passed(N(from[i]), value * a[i] + b[i], bound);
      s[i] += g;
      p[i] += g * (value - mean[i]);
    }
  }
  std::copy_n(s, lanes, sum);
  std::copy_n(p, lanes, product);
}

template <class T, class N = typename T::Number>
__attribute__((always_inline)) inline void apply(const T* x, T* y, int64_t rows, int64_t channels, const N* a, const N* b,
                                                 N bound) {
  for (int64_t row = 0; row < rows; row++, x += channels, y += channels) {
    for (int64_t i = 0; i < channels; i++) {
      N value = N(x[i]) * a[i] + b[i];
      value = value <= N(0) ? N(0) : value;
      y[i].set(value >= bound ? bound : value);
    }
  }
}

template <class T, class N = typename T::Number>
__attribute__((always_inline)) inline void apply_back(const T* x, const T* gradient, T* into, int64_t rows,
                                                      int64_t channels, const N* a, const N* b, const N* mean,
                                                      const N* slope, const N* level, N bound) {
  for (int64_t row = 0; row < rows; row++, x += channels, gradient += channels, into += channels) {
    for (int64_t i = 0; i < channels; i++) {
      N value = x[i];
      N g = passed(N(gradient[i]), value * a[i] + b[i], bound);
      into[i].set(g * a[i] - (value - mean[i]) * slope[i] - level[i]);
    }
  }
}

// Full lanes have a length that the compiler knows.
#define KERNELS(NAME, T)                                                                                                 \
  FOR_EACH_PROCESSOR void sum_##NAME(const T* x, int64_t rows, int64_t channels, const T::Number* origin,                \
                                     T::Number* sum, T::Number* square) {                                                \
    int64_t c = 0;                                                                                                       \
    for (; c + LANES <= channels; c += LANES) sum_lanes(x + c, rows, channels, LANES, origin + c, sum + c, square + c);  \
    if (c < channels) sum_lanes(x + c, rows, channels, channels - c, origin + c, sum + c, square + c);                   \
  }                                                                                                                      \
  FOR_EACH_PROCESSOR void gradients_##NAME(const T* x, const T* g, int64_t rows, int64_t channels, const T::Number* a,   \
                                           const T::Number* b, const T::Number* mean, T::Number bound, T::Number* sum,   \
                                           T::Number* product) {                                                         \
    int64_t c = 0;                                                                                                       \
    for (; c + LANES <= channels; c += LANES)                                                                            \
      sum_gradients(x + c, g + c, rows, channels, LANES, a + c, b + c, mean + c, bound, sum + c, product + c);           \
    if (c < channels)                                                                                                    \
      sum_gradients(x + c, g + c, rows, channels, channels - c, a + c, b + c, mean + c, bound, sum + c, product + c);    \
  }                                                                                                                      \
  FOR_EACH_PROCESSOR void apply_##NAME(const T* x, T* y, int64_t rows, int64_t channels, const T::Number* a,             \
                                       const T::Number* b, T::Number bound) {                                            \
    apply(x, y, rows, channels, a, b, bound);                                                                            \
  }                                                                                                                      \
  FOR_EACH_PROCESSOR void back_##NAME(const T* x, const T* g, T* into, int64_t rows, int64_t channels,                   \
                                      const T::Number* a, const T::Number* b, const T::Number* mean,                     \
                                      const T::Number* slope, const T::Number* level, T::Number bound) {                 \
    apply_back(x, g, into, rows, channels, a, b, mean, slope, level, bound);                                             \
  }                                                                                                                      \
  struct Kernels_##NAME {                                                                                                \
    using Type = T;                                                                                                      \
    static constexpr auto sum = sum_##NAME;                                                                              \
    static constexpr auto gradients = gradients_##NAME;                                                                  \
    static constexpr auto apply = apply_##NAME;                                                                          \
    static constexpr auto back = back_##NAME;                                                                            \
  };

KERNELS(bf16, Bf16)
KERNELS(f32, Plain<float>)
KERNELS(f64, Plain<double>)

// A tensor `[N, C, H, W]` whose channels lie innermost, as rows of channels.
template <class T> struct Rows {
  T* data;
  int64_t rows, channels;
  explicit Rows(const Tensor& x)
      : data(static_cast<T*>(x.mutable_data_ptr())), rows(x.size(0) * x.size(2) * x.size(3)), channels(x.size(1)) {}
  int64_t blocks() const { return (rows + ROWS - 1) / ROWS; }
  int64_t in(int64_t block) const { return std::min(ROWS, rows - block * ROWS); }
  T* at(int64_t block) const { return data + block * ROWS * channels; }
};

// Returns two sums for each channel, made of the blocks' sums in their order.
template <class N, class F> std::pair<std::vector<double>, std::vector<double>> summed(int64_t blocks, int64_t channels, F&& block_sums) {
  std::vector<N> parts(size_t(blocks) * 2 * channels);
  in_parallel(blocks, [&](int64_t from, int64_t to) {
    for (auto block = from; block < to; block++) {
      N* first = parts.data() + block * 2 * channels;
      block_sums(block, first, first + channels);
    }
  });
  std::pair<std::vector<double>, std::vector<double>> all{std::vector<double>(channels), std::vector<double>(channels)};
  for (int64_t block = 0; block < blocks; block++) {
    const N* first = parts.data() + block * 2 * channels;
    for (int64_t c = 0; c < channels; c++) {
      all.first[c] += first[c];
      all.second[c] += first[channels + c];
    }
  }
  return all;
}

template <class F> void for_type(const Tensor& x, F&& run) {
  for_kind<Kernels_bf16, Kernels_f32, Kernels_f64>(x.scalar_type(), run);
}

// Returns an origin for x near its mean, so that the variance is no small difference of large numbers.
template <class T, class N = typename T::Number> std::vector<N> origin(const Rows<T>& x) {
  std::vector<N> sum(x.channels);
  int64_t samples = std::min<int64_t>(16, x.rows);
  for (int64_t sample = 0; sample < samples; sample++) {
    const T* row = x.data + x.rows / samples * sample * x.channels;
    for (int64_t c = 0; c < x.channels; c++) sum[c] += N(row[c]) / N(samples);
  }
  return sum;
}

// Returns the values of a part of a BatchNorm of so many channels.
std::vector<double> numbers(const Tensor& part, int64_t channels) {
  check_memory(part, "a part of a BatchNorm");
  TORCH_CHECK(part.numel() == channels && (part.scalar_type() == at::kFloat || part.scalar_type() == at::kDouble),
              "a BatchNorm of ", channels, " channels has a part of ", part.numel(), ", ", part.scalar_type());
  auto plain = written_down(part.detach()).contiguous();
  if (plain.scalar_type() == at::kDouble) return {plain.const_data_ptr<double>(), plain.const_data_ptr<double>() + channels};
  return {plain.const_data_ptr<float>(), plain.const_data_ptr<float>() + channels};
}

// Returns the values of running statistics, which `store` will write.
std::vector<double> running(const Tensor& part, int64_t channels) {
  auto values = numbers(part, channels);
  TORCH_CHECK(part.is_contiguous() && !part.is_neg() && !part.is_conj() && !part._is_zerotensor(),
              "running statistics of a BatchNorm must be contiguous, these have strides ", part.strides());
  return values;
}

void store(const Tensor& into, const std::vector<double>& values) {
  if (into.scalar_type() == at::kDouble) std::copy(values.begin(), values.end(), into.mutable_data_ptr<double>());
  else std::copy(values.begin(), values.end(), into.mutable_data_ptr<float>());
}

// Returns one of the rows of batch_statistics.
template <class N> std::vector<N> row(const Tensor& kept, int64_t number) {
  const double* from = kept.const_data_ptr<double>() + number * kept.size(1);
  return {from, from + kept.size(1)};
}
}  // namespace

Running::Running(const BatchNorm& norm, int64_t channels)
    : a(numbers(norm.weight, channels)), b(numbers(norm.bias, channels)) {
  auto mean = numbers(norm.running_mean, channels), var = numbers(norm.running_var, channels);
  for (int64_t c = 0; c < channels; c++) {
    a[c] /= std::sqrt(var[c] + norm.epsilon);
    b[c] -= mean[c] * a[c];
  }
}

Tensor plain_norm_relu(const Tensor& x, const BatchNorm& norm, double bound) {
  auto y = at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var, false, 0, norm.epsilon, true);
  return std::isinf(bound) ? at::relu_(y) : at::relu6_(y);
}

Tensor batch_statistics(const Tensor& x, const BatchNorm& norm) {
  auto kept = at::empty({5, x.size(1)}, x.options().dtype(at::kDouble).memory_format(at::MemoryFormat::Contiguous));
  for_type(x, [&](auto kernels) {
    using T = typename decltype(kernels)::Type;
    using N = typename T::Number;
    Rows<T> from(x);
    auto channels = from.channels;
    auto near = origin(from);
    auto [sum, square] = summed<N>(from.blocks(), channels, [&](int64_t block, N* s, N* q) {
      kernels.sum(from.at(block), from.in(block), channels, near.data(), s, q);
    });
    auto count = double(from.rows);
    auto w = numbers(norm.weight, channels), shift = numbers(norm.bias, channels);
    auto old_mean = running(norm.running_mean, channels), old_var = running(norm.running_var, channels);
    std::vector<double> mean(channels), variance(channels);
    for (int64_t c = 0; c < channels; c++) {
      double offset = sum[c] / count;
      mean[c] = double(near[c]) + offset;
      variance[c] = std::max(square[c] / count - offset * offset, 0.0);
      // NaN stays NaN.
      if (std::isnan(square[c])) variance[c] = square[c];
    }
    if (norm.ranks) {
      auto all = merged(mean, variance, count, *norm.ranks);
      learn(all, norm.running_mean, norm.running_var, norm.momentum);
      count = all.count.item<double>();
    } else {
      for (int64_t c = 0; c < channels; c++) {
        old_mean[c] += norm.momentum * (mean[c] - old_mean[c]);
        old_var[c] += norm.momentum * (variance[c] * count / std::max(count - 1, 1.0) - old_var[c]);
      }
      store(norm.running_mean, old_mean);
      store(norm.running_var, old_var);
    }
    double* out = kept.mutable_data_ptr<double>();
    for (int64_t c = 0; c < channels; c++) {
      double inverse = 1 / std::sqrt(variance[c] + norm.epsilon);
      // Rounded as they will be used, forward and backward.
      out[c] = N(w[c] * inverse), out[channels + c] = N(shift[c] - mean[c] * w[c] * inverse);
      out[2 * channels + c] = mean[c], out[3 * channels + c] = inverse, out[4 * channels + c] = count;
    }
  });
  return kept;
}

void keep(torch::autograd::AutogradContext& context, const RanksPointer& ranks) {
  if (ranks) context.saved_data["ranks"] = c10::IValue::make_capsule(ranks);
}

const Ranks* kept_ranks(torch::autograd::AutogradContext& context) {
  auto found = context.saved_data.find("ranks");
  return found == context.saved_data.end() ? nullptr : static_cast<Ranks*>(found->second.toCapsule().get());
}

std::array<Tensor, 3> norm_relu_gradients(const Tensor& x, const Tensor& kept, Tensor given, double bound,
                                          const Ranks* ranks) {
  auto gradient = gradient_innermost(given, x.scalar_type(), x.sizes());
  // In place if nobody else holds the gradient: it is ours alone, and not a part of something larger.
  bool ours = !gradient.is_same(given) || (given.use_count() == 2 && given.storage().use_count() == 1);
  auto into = ours ? gradient : at::empty_like(x);
  auto of_channels = x.options().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  auto of_weight = at::empty({x.size(1)}, of_channels.memory_format(at::MemoryFormat::Contiguous));
  auto of_bias = at::empty_like(of_weight);
  for_type(x, [&](auto kernels) {
    using T = typename decltype(kernels)::Type;
    using N = typename T::Number;
    Rows<T> from(x), behind(gradient), to(into);
    auto channels = from.channels;
    auto a = row<N>(kept, 0), b = row<N>(kept, 1), mean = row<N>(kept, 2);
    auto inverse = row<double>(kept, 3), count = row<double>(kept, 4);
    auto [sum, product] = summed<N>(from.blocks(), channels, [&](int64_t block, N* s, N* p) {
      kernels.gradients(from.at(block), behind.at(block), from.in(block), channels, a.data(), b.data(), mean.data(),
                        N(bound), s, p);
    });
    for (int64_t c = 0; c < channels; c++) {
      of_weight.mutable_data_ptr<N>()[c] = N(product[c] * inverse[c]);
      of_bias.mutable_data_ptr<N>()[c] = N(sum[c]);
    }
    // Those of weight and bias are this rank's share; what is behind mean and variance is everybody's.
    if (ranks) sum_over(*ranks, product, inverse, sum);
    std::vector<N> slope(channels), level(channels);
    for (int64_t c = 0; c < channels; c++) {
      slope[c] = N(double(a[c]) * inverse[c] * inverse[c] * product[c] / count[c]);
      level[c] = N(double(a[c]) * sum[c] / count[c]);
    }
    in_parallel(from.blocks(), [&](int64_t first, int64_t last) {
      for (auto block = first; block < last; block++)
        kernels.back(from.at(block), behind.at(block), to.at(block), from.in(block), channels, a.data(), b.data(),
                     mean.data(), slope.data(), level.data(), N(bound));
    });
  });
  return {into, of_weight, of_bias};
}

namespace {
struct BatchNormRelu : torch::autograd::Function<BatchNormRelu> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight,
                        const Tensor& bias, const Tensor& running_mean, const Tensor& running_var, double momentum,
                        double epsilon, const RanksPointer& ranks, double bound) {
    RECORD_FUNCTION("oxiseg::batch_norm_relu", c10::ArrayRef<const c10::IValue>{});
    auto x = channels_innermost(input, input.scalar_type(), "the input of a BatchNorm");
    auto kept = batch_statistics(x, {weight, bias, running_mean, running_var, momentum, epsilon, ranks});
    auto y = at::empty_like(x);
    for_type(x, [&](auto kernels) {
      using T = typename decltype(kernels)::Type;
      using N = typename T::Number;
      Rows<T> from(x), to(y);
      auto a = row<N>(kept, 0), b = row<N>(kept, 1);
      in_parallel(from.blocks(), [&](int64_t first, int64_t last) {
        for (auto block = first; block < last; block++)
          kernels.apply(from.at(block), to.at(block), from.in(block), from.channels, a.data(), b.data(), N(bound));
      });
    });
    context->save_for_backward({x, kept});
    keep(*context, ranks);
    context->saved_data["bound"] = bound;
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    RECORD_FUNCTION("oxiseg::batch_norm_relu_backward", c10::ArrayRef<const c10::IValue>{});
    refuse_second_derivative("BatchNorm with ReLU by our kernel");
    auto saved = context->get_saved_variables();
    auto bound = context->saved_data["bound"].toDouble();
    auto found = norm_relu_gradients(saved[0], saved[1], std::move(gradients[0]), bound, kept_ranks(*context));
    auto none = Tensor();
    return {found[0], found[1], found[2], none, none, none, none, none, none};
  }
};

// Gradient of a bias: sums over images and pixels. Where channels lie innermost, libtorch's own take longer than the
// convolution's other gradients.
struct Bias : torch::autograd::Function<Bias> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& y, const Tensor& bias) {
    TORCH_CHECK(y.dim() == 4 && bias.dim() == 1 && bias.numel() == y.size(1), "a bias of ", bias.sizes(), " behind ",
                y.sizes());
    context->saved_data["kind"] = int64_t(bias.scalar_type());
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    RECORD_FUNCTION("oxiseg::bias_backward", c10::ArrayRef<const c10::IValue>{});
    auto kind = at::ScalarType(context->saved_data["kind"].toInt());
    auto given = gradients[0].scalar_type();
    bool known = given == at::kBFloat16 || given == at::kFloat || given == at::kDouble;
    // Second derivatives are left to libtorch.
    if (!known || !gradients[0].device().is_cpu() || at::GradMode::is_enabled())
      return {gradients[0], gradients[0].sum(at::IntArrayRef{0, 2, 3}, false, kind)};
    auto gradient = channels_innermost(gradients[0], given, "a gradient");
    auto of_bias = at::empty({gradient.size(1)}, gradient.options().dtype(at::kDouble).memory_format(at::MemoryFormat::Contiguous));
    for_type(gradient, [&](auto kernels) {
      using T = typename decltype(kernels)::Type;
      using N = typename T::Number;
      Rows<T> rows(gradient);
      std::vector<N> zeros(rows.channels);
      auto sums = summed<N>(rows.blocks(), rows.channels, [&](int64_t block, N* s, N* q) {
        kernels.sum(rows.at(block), rows.in(block), rows.channels, zeros.data(), s, q);
      });
      std::copy(sums.first.begin(), sums.first.end(), of_bias.mutable_data_ptr<double>());
    });
    return {gradients[0], of_bias.to(kind)};
  }
};
}  // namespace

// Normalises by the running statistics, in place of x where no derivative is wanted.
static Tensor norm_relu(const Tensor& x, const BatchNorm& norm, double bound) {
  bool fits = x.is_contiguous(at::MemoryFormat::ChannelsLast) && written_down(x).is_same(x);
  if (at::GradMode::is_enabled() || torch::jit::tracer::isTracing() || !fits)
    return plain_norm_relu(x, norm, bound);
  RECORD_FUNCTION("oxiseg::norm_relu", c10::ArrayRef<const c10::IValue>{});
  check_memory(x, "the input of a BatchNorm");
  for_type(x, [&](auto kernels) {
    using T = typename decltype(kernels)::Type;
    using N = typename T::Number;
    Rows<T> rows(x);
    Running running(norm, rows.channels);
    std::vector<N> a(running.a.begin(), running.a.end()), b(running.b.begin(), running.b.end());
    in_parallel(rows.blocks(), [&](int64_t from, int64_t to) {
      for (auto block = from; block < to; block++)
        kernels.apply(rows.at(block), rows.at(block), rows.in(block), rows.channels, a.data(), b.data(), N(bound));
    });
  });
  // A backward pass that has kept x must see that it changed.
  x.unsafeGetTensorImpl()->bump_version();
  return x;
}

extern "C" int oxiseg_norm_relu(Tensor* x, Tensor* weight, Tensor* bias, Tensor* mean, Tensor* var, double epsilon,
                                double bound, Tensor** out) {
  return guarded([&] { *out = new Tensor(norm_relu(*x, {*weight, *bias, *mean, *var, 0, epsilon}, bound)); });
}

extern "C" int oxiseg_bias(Tensor* y, Tensor* bias, Tensor** out) {
  return guarded([&] { *out = new Tensor(Bias::apply(*y, *bias)); });
}

Tensor batch_norm_relu(const Tensor& x, const BatchNorm& norm, double bound) {
  return BatchNormRelu::apply(x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.epsilon,
                              norm.ranks, bound);
}

extern "C" int oxiseg_batch_norm_relu(Tensor* x, Tensor* weight, Tensor* bias, Tensor* running_mean, Tensor* running_var,
                                      double momentum, double epsilon, const SumOver* over, double bound,
                                      Tensor** out) {
  return guarded([&] {
    BatchNorm norm{*weight, *bias, *running_mean, *running_var, momentum, epsilon, taken(over)};
    *out = new Tensor(batch_norm_relu(*x, norm, bound));
  });
}
