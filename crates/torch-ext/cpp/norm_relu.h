// BatchNorm with ReLU (or ReLU6, by its bound) in training, and its parts.
#pragma once
#include <array>
#include <vector>
#include "shim.h"

struct BatchNorm {
  const Tensor &weight, &bias, &running_mean, &running_var;
  double momentum, epsilon;
};

// The values of a part of a BatchNorm of so many channels.
std::vector<double> numbers(const Tensor& part, int64_t channels);

Tensor batch_norm_relu(const Tensor& x, const BatchNorm&, double bound);

// Of x, whose channels lie innermost, four rows f64 for each channel: a, b (normalised, weighted and moved x is x * a + b), the mean,
// and 1 / standard deviation. The running statistics follow.
Tensor batch_statistics(const Tensor& x, const BatchNorm&);

// The gradients by x, weight and bias from that by the output. They may take the place of the latter where it is nobody else's.
std::array<Tensor, 3> norm_relu_gradients(const Tensor& x, const Tensor& statistics, Tensor gradient, double bound);
