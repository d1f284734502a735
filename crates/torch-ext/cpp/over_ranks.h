// Statistics of a BatchNorm over the batches of several ranks. They are reached through a callback of the host
// language, forward and backward, on whichever thread libtorch runs either.
#pragma once
#include <ATen/core/ivalue.h>
#include <c10/util/intrusive_ptr.h>
#include "shim.h"

// The caller's group of ranks, as it is handed over; `drop` is called once.
struct SumOver {
  size_t rank, count;
  void* self;
  Run run;
  void (*drop)(void* self);
};

// Ranks whose batches count as one, dropped with the graph that may still need them.
struct Ranks : torch::CustomClassHolder {
  SumOver over;
  explicit Ranks(const SumOver& over) : over(over) {}
  ~Ranks() override { over.drop(over.self); }

  // Replaces the tensor by its sum over all ranks.
  void sum(const Tensor& x) const { called(over.run, over.self, {x}); }
};
using RanksPointer = c10::intrusive_ptr<Ranks>;

// Takes what `over` holds; null without it.
RanksPointer taken(const SumOver* over);

// Number of pixels of all ranks, and mean and variance of each channel, in f64.
struct Moments {
  Tensor count, mean, variance;
};

// Merges the ranks' statistics: the number of pixels, then each channel's mean, then its sum of squared deviations, in
// f64. A rank without a pixel has zeros.
Moments merged(const Tensor& own, const Ranks& ranks);

// Replaces mean and variance of each channel, from so many pixels, by those of all ranks.
Moments merged(std::vector<double>& mean, std::vector<double>& variance, double count, const Ranks& ranks);

// Replaces by their sums over all ranks the gradients by weight, which is `product` times `inverse`, and by bias.
void sum_over(const Ranks& ranks, std::vector<double>& product, const std::vector<double>& inverse,
              std::vector<double>& of_bias);

// Moves running statistics towards those of all ranks. It is one function so that all ranks round alike.
void learn(const Moments& all, const Tensor& running_mean, const Tensor& running_var, double momentum);
