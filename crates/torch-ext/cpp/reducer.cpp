// Sums gradients over all ranks in buckets: by c10d's Reducer, while the backward pass goes on, or at its end.

#include "c10d.h"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/StreamGuard.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/default_comm_hooks.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
#include "shim.h"

namespace {
using c10::ivalue::Future;
using torch::autograd::Node;
using torch::autograd::variable_list;

// Drops one warning, and hands on all others. A gradient whose sides of length 1 have other strides than the weight's,
// as channels-last ones have, lies in memory as the weight does and is copied as fast.
struct Quiet : c10::WarningHandler {
  c10::WarningHandler* before = nullptr;

  void process(const c10::Warning& warning) override {
    if (warning.msg().find("Grad strides do not match bucket view strides") == std::string::npos)
      before->process(warning);
  }

  // For this thread: warnings of a backward pass come in the one that called it.
  static void install() {
    static thread_local Quiet quiet;
    auto* before = c10::WarningUtils::get_warning_handler();
    if (before == &quiet) return;
    quiet.before = before;
    c10::WarningUtils::set_warning_handler(&quiet);
  }
};

// Sums a bucket; PyTorch's own hooks divide by the number of ranks.
struct Sum : c10d::CppCommHookInterface<Group*> {
  bool bf16;
  // Stream on which the sums of a GPU are used.
  std::optional<c10::Stream> stream;

  Sum(Group* group, bool bf16) : CppCommHookInterface(group), bf16(bf16) {}

  c10::intrusive_ptr<Future> runHook(c10d::GradBucket& bucket) override {
    auto gradients = bucket.getBuffer();
    auto rounds = bf16 && gradients.scalar_type() == at::kFloat;
    std::vector<Tensor> sent{rounds ? gradients.to(at::kBFloat16) : gradients};
    auto work = state_->processes->allreduce(sent);
    auto sum = work->getFuture();
    auto done = sum->createInstance(c10::TensorType::get());
    auto waits = state_->waits;
    {
      std::lock_guard<std::mutex> guard(waits->lock);
      auto& open = waits->sums;
      open.erase(std::remove_if(open.begin(), open.end(), [](auto& sum) { return sum->completed(); }), open.end());
      open.push_back(done);
      if (waits->failed) done->setError(std::make_exception_ptr(std::runtime_error("another operation failed")));
    }
    // As `then`, but what it returns may have ended before.
    sum->addCallback([gradients, work, done, waits, stream = stream](Future& sum) {
      // Gloo's future knows no streams: the copy back to the GPU may be under way. What reads the sums waits for it.
      c10::OptionalStreamGuard on_stream;
      std::exception_ptr error = sum.hasError() ? sum.exception_ptr() : nullptr;
      try {
        if (!error) {
          if (stream && sum.devices().empty()) {
            on_stream.reset_stream(*stream);
            work->synchronize();
          }
          auto value = sum.value();
          auto received = value.isTensor() ? value.toTensor() : value.toTensorVector().at(0);
          if (!received.is_same(gradients)) Tensor(gradients).copy_(received);
        }
      } catch (...) {
        error = std::current_exception();
      }
      if (error) waits->failed.store(true);
      std::lock_guard<std::mutex> guard(waits->lock);
      if (done->completed()) return;
      if (error) done->setError(error);
      else done->markCompleted(c10::IValue(gradients));
    });
    return done;
  }
};

// Returns a gradient with the strides of its parameter. Those of dimensions of size 1 may differ and mean nothing, but
// the reducer would warn of them.
Tensor strided_as(const Tensor& parameter, const Tensor& gradient) {
  if (!gradient.defined() || gradient.layout() != at::kStrided) return gradient;
  if (gradient.sizes() != parameter.sizes()) return gradient;
  for (int64_t i = 0; i < parameter.dim(); i++)
    if (parameter.size(i) != 1 && gradient.stride(i) != parameter.stride(i)) return gradient;
  return gradient.as_strided(parameter.sizes(), parameter.strides(), gradient.storage_offset());
}

// Has the engine call `then` at the end of the backward pass of `loss`.
void at_end_of_pass(const Tensor& loss, std::function<void()> then) {
  loss.register_hook([then](const Tensor&) {
    // A call of its own: the engine may move the callback while it runs, and what it captured.
    torch::autograd::Engine::get_default_engine().queue_callback([then] { then(); });
  });
}

// Numbers of the parameters in each bucket.
using Buckets = std::vector<std::vector<size_t>>;

struct Reducer {
  virtual ~Reducer() noexcept(false) = default;
  // Has the backward pass of `loss` replace the gradients by their sums.
  virtual void prepare(const Tensor& loss) = 0;
  virtual size_t count() const = 0;
};

struct Overlapping final : Reducer, private c10d::Reducer {
  // Its buckets stay as they are: the order in which numbers are added depends on them, and must be the same in a
  // resumed run.
  Overlapping(std::vector<Tensor> parameters, Buckets buckets, Group* group, int64_t bucket, int64_t first, bool bf16)
      : c10d::Reducer(parameters, std::move(buckets), group->processes, std::vector<bool>(parameters.size(), false),
                      bucket, false, true, {}, first, false, false, {}),
        ready(parameters.size(), false) {
    has_rebuilt_bucket_ = true;
    auto hook = std::make_unique<Sum>(group, bf16);
    sum = hook.get();
    register_comm_hook(std::move(hook));
    for (size_t i = 0; i < parameters.size(); i++) {
      auto node = torch::autograd::impl::grad_accumulator(parameters[i]);
      auto mark = [this, i](const variable_list& outputs, const variable_list&) {
        ready[i] = true;
        return outputs;
      };
      auto key = node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(mark));
      hooks.emplace_back(std::move(node), key);
      auto sizes = parameters[i].sizes();
      if (std::find(sizes.begin(), sizes.end(), 1) == sizes.end()) continue;
      // Of its form only: a tensor that its own hook holds is never freed.
      auto form = parameters[i].detach();
      auto alike = [form](const Tensor& gradient) { return strided_as(form, gradient); };
      striding.emplace_back(parameters[i], parameters[i].register_hook(alike));
    }
  }
  ~Overlapping() noexcept(false) override {
    for (auto& [node, key] : hooks) node->del_post_hook(key);
    for (auto& [parameter, place] : striding) parameter.remove_hook(place);
  }

  void prepare(const Tensor& loss) override {
    std::fill(ready.begin(), ready.end(), false);
    // A backward pass ends on the stream on which it was begun.
    if (loss.is_cuda()) sum->stream = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(loss.device());
    prepare_for_forward();
    prepare_for_backward({});
    // Called in the backward pass, whose end is the first moment at which the parameters without gradient are known:
    // a piece that is recomputed has parameters that no search of the graph finds.
    at_end_of_pass(loss, [this] { complete(); });
  }

  size_t count() const override { return get_grad_buckets().size(); }

  // Takes parameters that got no gradient for ready.
  void complete() {
    for (size_t i = 0; i < ready.size(); i++)
      if (!ready[i]) autograd_hook(i);
  }

  // The reducer's own.
  Sum* sum;
  // Integers, not bits: several threads set them.
  std::vector<char> ready;
  std::vector<std::pair<std::shared_ptr<Node>, uintptr_t>> hooks;
  std::vector<std::pair<Tensor, unsigned>> striding;
};

// Sums all buckets at the end of the pass, without a hook on any gradient: all that it does on the device can be
// captured in a CUDA graph, and the order of the operations does not depend on when a gradient is finished. Its buckets
// lie in memory as those of c10d's Reducer do, so its sums have the same bits.
struct Late final : Reducer {
  struct Bucket {
    Tensor flat, sent;
    std::vector<Tensor> gradients, places;
    c10::intrusive_ptr<c10d::Work> work;
  };

  Late(std::vector<Tensor> parameters, Buckets buckets, Group* group, bool bf16)
      : parameters(std::move(parameters)), buckets(std::move(buckets)), group(group), bf16(bf16) {
    for (const auto& parameter : this->parameters)
      TORCH_CHECK(parameter.requires_grad(), "a parameter requires no gradient");
  }

  void prepare(const Tensor& loss) override {
    at_end_of_pass(loss, [this] { sum(); });
  }
  size_t count() const override { return buckets.size(); }

  void sum() {
    at::NoGradGuard no_grad;
    std::vector<Bucket> all;
    for (const auto& members : buckets) all.push_back(started(members));
    for (auto& bucket : all) {
      await(*bucket.work, *group->waits);
      if (!bucket.sent.is_same(bucket.flat)) bucket.flat.copy_(bucket.sent);
      at::_foreach_copy_(bucket.gradients, bucket.places);
    }
  }

  Bucket started(const std::vector<size_t>& members) {
    Bucket bucket;
    int64_t size = 0, from = 0;
    for (auto i : members) size += parameters[i].numel();
    bucket.flat = at::empty({size}, parameters[members.at(0)].options());
    for (auto i : members) {
      const auto& parameter = parameters[i];
      auto& gradient = parameter.mutable_grad();
      // The loss does not reach it here; on other ranks it may.
      if (!gradient.defined()) gradient = at::zeros_like(parameter);
      auto place = parameter.is_non_overlapping_and_dense()
                       ? bucket.flat.as_strided(parameter.sizes(), parameter.strides(), from)
                       : bucket.flat.narrow(0, from, parameter.numel()).view(parameter.sizes());
      bucket.places.push_back(place);
      bucket.gradients.push_back(gradient);
      from += parameter.numel();
    }
    at::_foreach_copy_(bucket.places, bucket.gradients);
    bucket.sent = bf16 && bucket.flat.scalar_type() == at::kFloat ? bucket.flat.to(at::kBFloat16) : bucket.flat;
    std::vector<Tensor> sent{bucket.sent};
    bucket.work = group->processes->allreduce(sent);
    return bucket;
  }

  std::vector<Tensor> parameters;
  Buckets buckets;
  Group* group;
  bool bf16;
};

// Returns the parameters' numbers in the order in which a backward pass of `loss` finishes their gradients; last those
// that it does not reach.
std::vector<int64_t> order(const Tensor& loss, const std::vector<Tensor>& parameters) {
  std::vector<std::shared_ptr<Node>> accumulators;
  std::unordered_map<Node*, size_t> place;
  for (size_t i = 0; i < parameters.size(); i++) {
    accumulators.push_back(torch::autograd::impl::grad_accumulator(parameters[i]));
    place[accumulators.back().get()] = i;
  }
  // The engine takes nodes that were made later first.
  constexpr auto UNREACHED = std::numeric_limits<uint64_t>::max();
  std::vector<uint64_t> last(parameters.size(), UNREACHED);
  std::vector<Node*> open;
  std::unordered_set<Node*> seen;
  if (loss.grad_fn()) open.push_back(loss.grad_fn().get());
  while (!open.empty()) {
    auto* node = open.back();
    open.pop_back();
    for (const auto& edge : node->next_edges()) {
      auto* next = edge.function.get();
      if (!next) continue;
      auto parameter = place.find(next);
      if (parameter != place.end()) {
        auto& number = last[parameter->second];
        number = std::min(number, node->sequence_nr());
      } else if (seen.insert(next).second) {
        open.push_back(next);
      }
    }
  }
  std::vector<int64_t> order(parameters.size());
  std::iota(order.begin(), order.end(), 0);
  auto key = [&](int64_t i) { return last[i] == UNREACHED ? 0 : last[i] + 1; };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return key(a) > key(b); });
  return order;
}
}  // namespace

extern "C" {
int oxiseg_gradient_order(Tensor* loss, Tensor* const* parameters, size_t n, Tensor** out) {
  return guarded([&] { *out = new Tensor(at::tensor(order(*loss, list(parameters, n)), at::kLong)); });
}

// `parameters` in the order in which their gradients are expected; `bucket` and `first` in bytes.
int oxiseg_reducer(Group* group, Tensor* const* parameters, size_t n, int64_t bucket, int64_t first, int bf16,
                   int overlap, Reducer** out) {
  return guarded([&] {
    auto all = list(parameters, n);
    std::vector<bool> sparse(n, false);
    std::vector<size_t> sizes{static_cast<size_t>(first), static_cast<size_t>(bucket)};
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(all, sizes, sparse));
    if (!overlap) {
      *out = new Late(std::move(all), std::move(buckets), group, bf16 != 0);
      return;
    }
    Quiet::install();
    *out = new Overlapping(std::move(all), std::move(buckets), group, bucket, first, bf16 != 0);
  });
}

int oxiseg_reducer_prepare(Reducer* reducer, Tensor* loss) {
  return guarded([&] { reducer->prepare(*loss); });
}

size_t oxiseg_reducer_buckets(const Reducer* reducer) {
  size_t buckets = 0;
  guarded([&] { buckets = reducer->count(); });
  return buckets;
}

int oxiseg_free_reducer(Reducer* reducer) {
  return guarded([&] { delete reducer; });
}
}
