// BatchNorm with ReLU (or ReLU6, by its bound), and its parts.
#pragma once
#include <array>
#include <vector>
#include "shim.h"

struct BatchNorm {
  const Tensor &weight, &bias, &running_mean, &running_var;
  double momentum, epsilon;
};

// By the running statistics normalised, weighted and moved x is x * a + b.
struct Running {
  std::vector<double> a, b;
  Running(const BatchNorm&, int64_t channels);
};

// The same by libtorch's operators, with their derivatives.
Tensor plain_norm_relu(const Tensor& x, const BatchNorm&, double bound);

// By the statistics of the batch.
Tensor batch_norm_relu(const Tensor& x, const BatchNorm&, double bound);

// Of x, whose channels lie innermost, four rows f64 for each channel: a, b (normalised, weighted and moved x is x * a + b), the mean,
// and 1 / standard deviation. The running statistics follow.
Tensor batch_statistics(const Tensor& x, const BatchNorm&);

// The gradients by x, weight and bias from that by the output. They may take the place of the latter where it is nobody else's.
std::array<Tensor, 3> norm_relu_gradients(const Tensor& x, const Tensor& statistics, Tensor gradient, double bound);
