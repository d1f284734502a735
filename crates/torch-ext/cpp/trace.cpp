// Watches a step: which memory it uses that it did not make, and which operators it runs with which arguments.
//
// The backward pass of a GPU runs on threads of libtorch's own. They inherit the callbacks of the thread that asked for
// it, so what is found is kept in one place for all threads.

#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>
#include <cstdio>
#include <mutex>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include "shim.h"

namespace {
struct Trace {
  // Memory that was there before the step, kept alive by this: nothing else can come to be at its address.
  std::unordered_map<const c10::StorageImpl*, c10::Storage> outside;
  std::unordered_set<const c10::StorageImpl*> made;
  bool with_lines = false;
  std::string lines;

  void read(const Tensor& tensor) {
    if (!tensor.defined() || !tensor.has_storage()) return;
    auto* storage = tensor.storage().unsafeGetStorageImpl();
    if (!made.count(storage)) outside.emplace(storage, tensor.storage());
  }
  void wrote(const Tensor& tensor) {
    if (!tensor.defined() || !tensor.has_storage()) return;
    auto* storage = tensor.storage().unsafeGetStorageImpl();
    if (!outside.count(storage)) made.insert(storage);
  }

  void describe(const Tensor& tensor) {
    if (!tensor.defined()) {
      lines += "none";
      return;
    }
    // A number that libtorch made a tensor of.
    if (tensor.unsafeGetTensorImpl()->is_wrapped_number() && tensor.device().is_cpu()) {
      if (tensor.scalar_type() == at::kDouble) return describe(*static_cast<const double*>(tensor.const_data_ptr()));
      if (tensor.scalar_type() == at::kLong) {
        lines += std::to_string(*static_cast<const int64_t*>(tensor.const_data_ptr()));
        return;
      }
    }
    std::ostringstream text;
    text << tensor.scalar_type() << tensor.sizes();
    if (tensor.has_storage() && outside.count(tensor.storage().unsafeGetStorageImpl()))
      text << '@' << tensor.const_data_ptr();
    lines += text.str();
  }
  void describe(double number) {
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", number);
    lines += text;
  }
  void describe(const c10::IValue& value) {
    if (value.isTensor()) return describe(value.toTensor());
    if (value.isDouble()) return describe(value.toDouble());
    if (value.isList()) {
      lines += '[';
      for (const c10::IValue& each : value.toListRef()) describe(each), lines += ' ';
      lines += ']';
    } else if (value.isInt() || value.isBool() || value.isString() || value.isDevice() || value.isNone()) {
      std::ostringstream text;
      text << value;
      lines += text.str();
    } else {
      lines += value.tagKind();
    }
  }

  template <class F> static void tensors_of(const c10::IValue& value, F&& each) {
    if (value.isTensor()) return each(value.toTensor());
    if (value.isTensorList() || (value.isList() && !value.isIntList() && !value.isDoubleList() && !value.isBoolList()))
      for (const c10::IValue& item : value.toListRef()) tensors_of(item, each);
    if (value.isTuple())
      for (const c10::IValue& item : value.toTupleRef().elements()) tensors_of(item, each);
  }
};

std::mutex mutex;
Trace* active = nullptr;
thread_local int depth = 0;

// The backward pass tells of each of its nodes as if it were an operator, with the node's operators inside.
bool is_node(const at::RecordFunction& function) {
  return std::string_view(function.name()).rfind("autograd::engine::", 0) == 0;
}

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction& function) {
  if (is_node(function) || depth++ > 0) return nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  if (!active) return nullptr;
  for (const auto& input : function.inputs())
    Trace::tensors_of(input, [](const Tensor& tensor) { active->read(tensor); });
  if (!active->with_lines) return nullptr;
  active->lines += function.name();
  active->lines += '(';
  const char* comma = "";
  for (const auto& input : function.inputs()) {
    active->lines += comma;
    active->describe(input);
    comma = ", ";
  }
  active->lines += ")\n";
  return nullptr;
}

void leave(const at::RecordFunction& function, at::ObserverContext*) {
  if (is_node(function)) return;
  depth--;
  std::lock_guard<std::mutex> lock(mutex);
  if (!active) return;
  // Also those of operators inside others: a backward pass reads what its forward pass has kept.
  for (const auto& output : function.outputs())
    Trace::tensors_of(output, [](const Tensor& tensor) { active->wrote(tensor); });
}
}  // namespace

extern "C" {
int oxiseg_new_trace(Trace** out) {
  return guarded([&] { *out = new Trace(); });
}
void oxiseg_free_trace(Trace* trace) { delete trace; }

int oxiseg_start_trace(Trace* trace, int with_lines, uint64_t* handle) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(mutex);
    TORCH_CHECK(!active, "another step is being captured");
    trace->with_lines = with_lines != 0;
    trace->lines.clear();
    trace->made.clear();
    depth = 0;
    auto callback = at::RecordFunctionCallback(enter, leave).needsInputs(true).needsOutputs(true);
    *handle = at::addThreadLocalCallback(callback.scopes({at::RecordScope::FUNCTION}));
    active = trace;
  });
}

int oxiseg_stop_trace(uint64_t handle) {
  return guarded([&] {
    {
      std::lock_guard<std::mutex> lock(mutex);
      active = nullptr;
    }
    at::removeCallback(handle);
  });
}

const char* oxiseg_trace_lines(const Trace* trace) { return trace->lines.c_str(); }

// Returns 1 if the memory of the tensor was there before the step.
int oxiseg_was_outside(const Trace* trace, const Tensor* tensor) {
  return tensor->has_storage() && trace->outside.count(tensor->storage().unsafeGetStorageImpl());
}
}
