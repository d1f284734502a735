// BatchNorm with ReLU (or ReLU6, by its bound), and its parts.
#pragma once
#include <array>
#include <vector>
#include <torch/csrc/autograd/custom_function.h>
#include "over_ranks.h"

struct BatchNorm {
  const Tensor &weight, &bias, &running_mean, &running_var;
  double momentum, epsilon;
  // Null if the batch is the own one alone.
  RanksPointer ranks = {};
};

// BatchNorm by the running statistics as x * a + b.
struct Running {
  std::vector<double> a, b;
  Running(const BatchNorm&, int64_t channels);
};

// Computes the same with libtorch's operators, which have derivatives.
Tensor plain_norm_relu(const Tensor& x, const BatchNorm&, double bound);

// Computes it by the statistics of the batch.
Tensor batch_norm_relu(const Tensor& x, const BatchNorm&, double bound);

// Returns five f64 rows with a value for each channel of x, whose channels lie innermost: a, b, the mean, 1 / standard
// deviation, and the number of pixels. BatchNorm is x * a + b. Updates the running statistics.
Tensor batch_statistics(const Tensor& x, const BatchNorm&);

// Returns the gradients by x, weight and bias, from that by the output. The gradient by x takes its place if nobody
// else holds it.
std::array<Tensor, 3> norm_relu_gradients(const Tensor& x, const Tensor& statistics, Tensor gradient, double bound,
                                          const Ranks* ranks);

// Keeps the ranks, if there are any, for a backward pass, which finds them again.
void keep(torch::autograd::AutogradContext& context, const RanksPointer& ranks);
const Ranks* kept_ranks(torch::autograd::AutogradContext& context);
