// libtorch's c10d: its store, groups of processes over Gloo and NCCL, and operations on tensors of all of them.

#include "c10d.h"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <ifaddrs.h>
#include <netdb.h>
#include <net/if.h>
#include <sys/socket.h>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#include "shim.h"

namespace {
using c10d::ProcessGroup;
using std::chrono::milliseconds;

// Bytes that are sent at once.
constexpr size_t PIECE = 64 << 20;

struct Store {
  c10::intrusive_ptr<c10d::Store> keys;
};

struct Pending {
  Tensor tensor;
  c10::intrusive_ptr<c10d::Work> work;
  std::shared_ptr<Waits> waits;
};

struct Alarm {
  std::shared_ptr<Waits> waits;
};

// Time between two looks at the group's end.
constexpr milliseconds LOOK(500);

void check_kind(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat: case at::kDouble: case at::kHalf: case at::kBFloat16:
    case at::kChar: case at::kByte: case at::kInt: case at::kLong:
      return;
    default:
      TORCH_CHECK(false, "tensors of kind ", tensor.scalar_type(), " cannot be summed over ranks");
  }
}

Tensor* as_tensor(const void* bytes, size_t n) {
  auto tensor = at::empty({static_cast<int64_t>(n)}, at::kByte);
  if (n > 0) std::memcpy(tensor.data_ptr(), bytes, n);
  return new Tensor(std::move(tensor));
}

std::vector<std::string> lines(const char* text) {
  std::vector<std::string> all;
  std::string all_text(text);
  for (size_t from = 0; from <= all_text.size();) {
    auto to = std::min(all_text.find('\n', from), all_text.size());
    all.push_back(all_text.substr(from, to - from));
    from = to + 1;
  }
  return all;
}

std::vector<uint8_t> bytes(const char* text) { return {text, text + std::strlen(text)}; }

// Calls `body` with lists of tensors of one device and kind, of about PIECE bytes each, in an order that is the same on
// all ranks.
template <class F> void in_pieces(const std::vector<Tensor>& tensors, F&& body) {
  std::vector<bool> done(tensors.size(), false);
  for (size_t first = 0; first < tensors.size(); first++) {
    if (done[first]) continue;
    std::vector<Tensor> piece;
    size_t size = 0;
    for (size_t i = first; i < tensors.size(); i++) {
      const auto& tensor = tensors[i];
      if (done[i] || tensor.device() != tensors[first].device() || tensor.scalar_type() != tensors[first].scalar_type())
        continue;
      if (!piece.empty() && size + tensor.nbytes() > PIECE) break;
      piece.push_back(tensor);
      size += tensor.nbytes();
      done[i] = true;
    }
    body(piece);
  }
}

// Hands the values of `piece` to `body` as one flat tensor, and takes them back from it.
template <class F> void flat(const std::vector<Tensor>& piece, F&& body) {
  if (piece.size() == 1 && piece[0].is_contiguous()) {
    auto whole = piece[0].detach().view({-1});
    if (whole.numel() > 0) body(whole);
    return;
  }
  std::vector<Tensor> parts;
  for (const auto& tensor : piece) parts.push_back(tensor.detach().reshape({-1}));
  auto whole = at::cat(parts);
  if (whole.numel() == 0) return;
  body(whole);
  int64_t from = 0;
  for (const auto& tensor : piece) {
    tensor.detach().copy_(whole.narrow(0, from, tensor.numel()).view(tensor.sizes()));
    from += tensor.numel();
  }
}
}  // namespace

// What it throws is a failure of the group, not of the call. But where a step is being captured nothing has run, and
// it may be the capture that failed.
void await(c10d::Work& work, Waits& waits) {
  try {
    // One of NCCL waits on the device.
    if (dynamic_cast<c10d::ProcessGroupGloo::AsyncWork*>(&work)) {
      while (!work.isCompleted()) {
        TORCH_CHECK(!waits.failed.load(), "another operation of all ranks failed");
        try {
          work.wait(LOOK);
        } catch (...) {
          if (work.isCompleted()) throw;
        }
      }
    }
    work.wait();
  } catch (...) {
    if (captures_under_way == 0) waits.failed.store(true);
    throw;
  }
}

extern "C" {
int oxiseg_interface_address(const char* name, Tensor** out) {
  return guarded([&] {
    ifaddrs* all = nullptr;
    TORCH_CHECK(getifaddrs(&all) == 0, "the network interfaces cannot be listed");
    std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, freeifaddrs);
    for (auto family : {AF_INET, AF_INET6}) {
      for (auto* one = all; one; one = one->ifa_next) {
        if (!one->ifa_addr || one->ifa_addr->sa_family != family || std::string(one->ifa_name) != name) continue;
        char host[NI_MAXHOST];
        auto size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (getnameinfo(one->ifa_addr, size, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) continue;
        *out = as_tensor(host, std::strlen(host));
        return;
      }
    }
    TORCH_CHECK(false, "no network interface '", name, "' with an address");
  });
}

// `listener` is the socket of the server, which the store owns from here on, or -1 for a client.
int oxiseg_store(const char* host, int port, int listener, const char* prefix, int64_t timeout, Store** out) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = listener >= 0;
    if (listener >= 0) options.masterListenFd = listener;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout);
    auto tcp = c10::make_intrusive<c10d::TCPStore>(host, options);
    tcp->setTimeout(milliseconds(timeout));
    *out = new Store{c10::make_intrusive<c10d::PrefixStore>(prefix, tcp)};
  });
}
void oxiseg_free_store(Store* store) { delete store; }

int oxiseg_store_set(Store* store, const char* key, const char* value) {
  return guarded([&] { store->keys->set(key, bytes(value)); });
}

// `keys`, and the values, are separated by newlines. Waits for keys that nobody has set.
int oxiseg_store_get(Store* store, const char* keys, Tensor** out) {
  return guarded([&] {
    std::string all;
    for (const auto& value : store->keys->multiGet(lines(keys))) all.append(value.begin(), value.end()) += '\n';
    *out = as_tensor(all.data(), all.size());
  });
}

int oxiseg_store_has(Store* store, const char* key, int* has) {
  return guarded([&] { *has = store->keys->check({key}); });
}

int oxiseg_store_wait(Store* store, const char* keys, int64_t timeout) {
  return guarded([&] { store->keys->wait(lines(keys), milliseconds(timeout)); });
}

int oxiseg_store_replace(Store* store, const char* key, const char* expected, const char* value, Tensor** out) {
  return guarded([&] {
    auto now = store->keys->compareSet(key, bytes(expected), bytes(value));
    *out = as_tensor(now.data(), now.size());
  });
}

int oxiseg_has_nccl() {
#ifdef USE_C10D_NCCL
  return 1;
#else
  return 0;
#endif
}

// Listens on `address`. Tensors of GPUs go over NCCL if that is asked for, else over Gloo.
int oxiseg_group(Store* store, int rank, int count, const char* address, int nccl, int64_t timeout, Group** out) {
  return guarded([&] {
    auto processes = c10::make_intrusive<ProcessGroup>(store->keys, rank, count);
    auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout));
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    // Two for gradients, one for flags that are on their way meanwhile.
    options->threads = 3;
    auto keys = c10::make_intrusive<c10d::PrefixStore>("gloo/", store->keys);
    c10::intrusive_ptr<c10d::Backend> gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(keys, rank, count, options);
    gloo->setSequenceNumberForGroup();
    processes->setBackend(c10::DeviceType::CPU, ProcessGroup::BackendType::GLOO, gloo);
    processes->setDefaultBackend(ProcessGroup::BackendType::GLOO);
    if (nccl) {
#ifdef USE_C10D_NCCL
      // An operation that takes longer than the timeout is ended, and not the process: a call over Gloo fails then, and
      // tells which rank is lost. Whoever wants something else has set it.
      setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", std::to_string(c10d::CleanUpOnly).c_str(), 0);
      // A sum is made in the same way in a CUDA graph as outside of one: it has the same bits, and a rank that replays
      // its step can meet one that does not.
      setenv("NCCL_GRAPH_REGISTER", "0", 0);
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = milliseconds(timeout);
      auto keys = c10::make_intrusive<c10d::PrefixStore>("nccl/", store->keys);
      auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(keys, rank, count, options);
      processes->setBackend(c10::DeviceType::CUDA, ProcessGroup::BackendType::NCCL,
                            c10::intrusive_ptr<c10d::Backend>(backend));
#else
      TORCH_CHECK(false, "this program was built without NCCL");
#endif
    } else {
      processes->setBackend(c10::DeviceType::CUDA, ProcessGroup::BackendType::GLOO, gloo);
    }
    processes->setGroupName("oxiseg");
    *out = new Group{processes};
  });
}
int oxiseg_free_group(Group* group) {
  return guarded([&] {
    std::unique_ptr<Group> owner(group);
    // NCCL warns at its end if nobody has asked for it.
    owner->processes->shutdown();
  });
}
int oxiseg_group_failed(const Group* group) { return group->waits->failed.load(); }

int oxiseg_alarm(const Group* group, Alarm** out) {
  return guarded([&] { *out = new Alarm{group->waits}; });
}
int oxiseg_raise(Alarm* alarm) {
  return guarded([&] {
    auto& waits = *alarm->waits;
    waits.failed.store(true);
    std::lock_guard<std::mutex> guard(waits.lock);
    auto error = std::make_exception_ptr(std::runtime_error("another rank failed"));
    for (auto& sum : waits.sums)
      if (!sum->completed()) sum->setError(error);
    waits.sums.clear();
  });
}
void oxiseg_free_alarm(Alarm* alarm) { delete alarm; }

// Ends NCCL's operations on this rank's GPU, which would wait for a lost rank.
int oxiseg_abort_group(Group* group) {
  return guarded([&] { group->processes->getBackend(c10::DeviceType::CUDA)->abort(); });
}

int oxiseg_sum(Group* group, Tensor* const* tensors, size_t n) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto all = list(tensors, n);
    for (const auto& tensor : all) check_kind(tensor);
    in_pieces(all, [&](const std::vector<Tensor>& piece) {
      flat(piece, [&](Tensor whole) {
        std::vector<Tensor> sent{whole};
        await(*group->processes->allreduce(sent), *group->waits);
      });
    });
  });
}

int oxiseg_broadcast(Group* group, Tensor* const* tensors, size_t n, int from) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    c10d::BroadcastOptions options;
    options.rootRank = from;
    in_pieces(list(tensors, n), [&](const std::vector<Tensor>& piece) {
      flat(piece, [&](Tensor whole) {
        // As bytes, so that every kind can be sent.
        std::vector<Tensor> sent{whole.view(at::kByte)};
        await(*group->processes->broadcast(sent, options), *group->waits);
      });
    });
  });
}

// `own` is flat, of the same size and kind on all ranks; `out` has a row for each.
int oxiseg_gather(Group* group, Tensor* own, Tensor** out) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto count = group->processes->getSize();
    auto all = at::empty({count, own->numel()}, own->options());
    std::vector<std::vector<Tensor>> rows{{}};
    for (int i = 0; i < count; i++) rows[0].push_back(all.select(0, i));
    std::vector<Tensor> sent{own->contiguous()};
    await(*group->processes->allgather(rows, sent), *group->waits);
    *out = new Tensor(std::move(all));
  });
}

// Starts to replace `tensor` by its maximum over all ranks.
int oxiseg_start_max(Group* group, Tensor* tensor, Pending** out) {
  return guarded([&] {
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::MAX;
    std::vector<Tensor> sent{*tensor};
    auto work = group->processes->allreduce(sent, options);
    *out = new Pending{*tensor, work, group->waits};
  });
}
int oxiseg_finish(Pending* pending) {
  return guarded([&] { await(*pending->work, *pending->waits); });
}
int oxiseg_is_finished(const Pending* pending) {
  int done = 0;
  guarded([&] { done = pending->work->isCompleted(); });
  return done;
}
void oxiseg_free_pending(Pending* pending) { delete pending; }
}
