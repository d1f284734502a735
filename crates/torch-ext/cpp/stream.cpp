// Streams and events of a GPU through c10's own interface, which a build without CUDA has too.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include "shim.h"

namespace {
using c10::impl::VirtualGuardImpl;

// Device and stream that were current before another stream was entered.
struct Former {
  at::Device device;
  c10::Stream stream;
};

// Makes work that is enqueued on `later` from now on wait for what `earlier` holds. The host does not wait.
void order(const c10::Stream& earlier, const c10::Stream& later) {
  c10::Event reached(earlier.device_type());
  reached.record(earlier);
  reached.block(later);
}
}  // namespace

extern "C" {
int oxiseg_new_stream(int cuda_index, c10::Stream** out) {
  return guarded([&] {
    auto device = device_of(cuda_index);
    *out = new c10::Stream(VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
  });
}
void oxiseg_free_stream(c10::Stream* stream) { delete stream; }

int oxiseg_enter_stream(const c10::Stream* stream, Former** out) {
  return guarded([&] {
    VirtualGuardImpl devices(stream->device_type());
    auto now = devices.getStream(stream->device());
    order(now, *stream);
    auto former = std::make_unique<Former>(Former{devices.exchangeDevice(stream->device()), now});
    devices.exchangeStream(*stream);
    *out = former.release();
  });
}

int oxiseg_leave_stream(const c10::Stream* stream, Former* former) {
  return guarded([&] {
    std::unique_ptr<Former> owner(former);
    VirtualGuardImpl devices(stream->device_type());
    // First, so that the former stream is current even where the rest fails.
    devices.exchangeStream(former->stream);
    devices.setDevice(former->device);
    order(*stream, former->stream);
  });
}

int oxiseg_new_event(int cuda_index, c10::Event** out) {
  return guarded([&] { *out = new c10::Event(device_of(cuda_index).type()); });
}
void oxiseg_free_event(c10::Event* event) { delete event; }

int oxiseg_record_event(c10::Event* event, int cuda_index) {
  return guarded([&] {
    auto device = device_of(cuda_index);
    event->record(VirtualGuardImpl(device.type()).getStream(device));
  });
}

int oxiseg_event_passed(const c10::Event* event, int* passed) {
  return guarded([&] { *passed = event->query(); });
}

int oxiseg_wait_for_event(const c10::Event* event) {
  return guarded([&] { event->synchronize(); });
}

int oxiseg_upload(const c10::Stream* stream, Tensor* host, c10::Event* copied, Tensor** out) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto current = VirtualGuardImpl(stream->device_type()).getStream(stream->device());
    Tensor uploaded;
    {
      c10::StreamGuard guard(*stream);
      uploaded = at::empty(host->sizes(), host->options().device(stream->device()));
      uploaded.copy_(*host, /*non_blocking=*/true);
      copied->record(*stream);
    }
    copied->block(current);
    // The memory is the copying stream's: it may be used again there only after what the current stream does with it.
    uploaded.record_stream(current);
    *out = new Tensor(std::move(uploaded));
  });
}

int oxiseg_download(const c10::Stream* stream, const Tensor* from, Tensor* into, c10::Event* copied) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto current = VirtualGuardImpl(stream->device_type()).getStream(stream->device());
    order(current, *stream);
    {
      c10::StreamGuard guard(*stream);
      into->copy_(*from, /*non_blocking=*/true);
      copied->record(*stream);
    }
    // The memory is the current stream's: it may be used again there only after the copy.
    from->record_stream(*stream);
  });
}

// Without a device to pin for, which is deprecated: libtorch knows it by itself.
int oxiseg_pinned_bytes(int64_t bytes, Tensor** out) {
  return guarded([&] {
    auto options = at::TensorOptions().dtype(at::kByte).device(at::kCPU).pinned_memory(true);
    *out = new Tensor(at::empty({bytes}, options));
  });
}
}
