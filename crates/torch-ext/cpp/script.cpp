// A network traced by libtorch: frozen TorchScript, its file, and its graph.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/shape_analysis.h>
#include <torch/csrc/jit/serialization/export.h>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>
#include "shim.h"

namespace {
using torch::jit::Module;

// Graph of a script, one line for each input, constant, operator and output; constant tensors are referred to by
// number.
struct Graph {
  std::string text;
  std::vector<Tensor> tensors;
};

template <class T> std::string joined(const T& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ",") + item;
  return text;
}

std::string names(at::ArrayRef<torch::jit::Value*> values) {
  std::vector<std::string> all;
  for (auto* value : values) all.push_back(value->debugName());
  return joined(all);
}

std::string text_of(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", number);
  return text;
}

// Returns a constant as its kind and its value; other kinds are named, for the error message.
std::string constant(const c10::IValue& value, std::vector<Tensor>& tensors) {
  if (value.isNone()) return "none\t";
  if (value.isTensor()) {
    tensors.push_back(value.toTensor());
    return "tensor\t" + std::to_string(tensors.size() - 1);
  }
  if (value.isBool()) return value.toBool() ? "int\t1" : "int\t0";
  if (value.isInt()) return "int\t" + std::to_string(value.toInt());
  auto plain = [](unsigned char letter) { return letter >= ' '; };
  if (value.isString() && std::all_of(value.toStringRef().begin(), value.toStringRef().end(), plain)) {
    return "text\t" + value.toStringRef();
  }
  if (value.isDouble()) return "float\t" + text_of(value.toDouble());
  std::vector<std::string> all;
  if (value.isIntList()) {
    for (int64_t item : value.toIntList()) all.push_back(std::to_string(item));
    return "ints\t" + joined(all);
  }
  if (value.isDoubleList()) {
    for (double item : value.toDoubleList()) all.push_back(text_of(item));
    return "floats\t" + joined(all);
  }
  return "other\t" + value.tagKind();
}

using Sizes = std::unordered_map<const torch::jit::Value*, std::vector<int64_t>>;

// Returns the value of a node if it is a constant.
std::optional<c10::IValue> constant_of(const torch::jit::Node* node) {
  return node->outputs().size() == 1 ? torch::jit::toIValue(node->output()) : std::nullopt;
}

// Runs the operators one after the other, except branches and loops, with `input` for every input, and shows every
// tensor right after it was made. (It may be changed in place later.)
template <class F> void run(const torch::jit::Graph& code, const Tensor& input, F&& show) {
  at::NoGradGuard no_grad;
  // Each known value, and how often it is still needed.
  std::unordered_map<const torch::jit::Value*, std::pair<c10::IValue, size_t>> values;
  auto know = [&](const torch::jit::Value* value, const c10::IValue& known) {
    if (known.isTensor() && known.toTensor().defined()) show(value, known.toTensor());
    if (value->hasUses()) values[value] = {known, value->uses().size()};
  };
  for (size_t i = 1; i < code.inputs().size(); i++) know(code.inputs()[i], input);
  for (auto* node : code.nodes()) {
    if (auto value = constant_of(node)) {
      know(node->output(), *value);
      continue;
    }
    torch::jit::Stack stack;
    for (auto* value : node->inputs()) {
      auto found = values.find(value);
      if (found == values.end()) break;
      stack.push_back(found->second.first);
      if (--found->second.second == 0) values.erase(found);
    }
    if (stack.size() < node->inputs().size()) continue;
    if (node->kind() == torch::jit::prim::ListConstruct) {
      c10::impl::GenericList items(node->output()->type()->expectRef<c10::ListType>().getElementType());
      for (auto& item : stack) items.push_back(std::move(item));
      stack = {c10::IValue(items)};
    } else if (node->kind() == torch::jit::prim::ListUnpack) {
      stack = stack.at(0).toListRef().vec();
    } else if (node->blocks().empty() && node->maybeOperator()) {
      node->getOperation()(stack);
    } else {
      continue;
    }
    for (size_t i = 0; i < node->outputs().size(); i++) know(node->outputs()[i], stack.at(i));
  }
}

// Returns the sizes of all tensors if every input is `input`. libtorch's own analyses know some operators by their rank
// only, and others not at all.
Sizes sizes_of(const torch::jit::Graph& code, const Tensor& input) {
  Sizes sizes;
  run(code, input, [&](const torch::jit::Value* value, const Tensor& tensor) { sizes[value] = tensor.sizes().vec(); });
  return sizes;
}

// Returns the smallest and the largest value of all floating-point tensors that are computed from `input`.
Graph ranges_of(const torch::jit::Graph& code, const Tensor& input) {
  Graph graph;
  run(code, input, [&](const torch::jit::Value* value, const Tensor& tensor) {
    if (torch::jit::toIValue(value) || !tensor.is_floating_point() || tensor.numel() == 0) return;
    auto [least, most] = at::aminmax(tensor);
    graph.text += "range\t" + value->debugName() + '\t' + text_of(least.item<double>()) + '\t' +
                  text_of(most.item<double>()) + '\n';
  });
  return graph;
}

// Returns the sizes of an operator's outputs, a semicolon after each; "?" if they are not known.
std::string shapes(const torch::jit::Node* node, const Sizes& sizes) {
  std::string text;
  for (auto* output : node->outputs()) {
    auto found = sizes.find(output);
    std::vector<std::string> all;
    if (found != sizes.end()) {
      for (auto side : found->second) all.push_back(std::to_string(side));
    }
    text += (found == sizes.end() ? "?" : joined(all)) + ';';
  }
  return text;
}

Graph graph_of(const torch::jit::Module& script, const std::optional<Tensor>& input) {
  Graph graph;
  auto code = script.get_method("forward").graph();
  auto sizes = input ? sizes_of(*code, *input) : Sizes();
  auto inputs = code->inputs();
  // The first input is the script itself, which is empty when it is frozen.
  for (size_t i = 1; i < inputs.size(); i++) graph.text += "input\t" + inputs[i]->debugName() + '\n';
  for (auto* node : code->nodes()) {
    if (auto value = constant_of(node)) {
      graph.text += "constant\t" + node->output()->debugName() + '\t' + constant(*value, graph.tensors) + '\n';
    } else {
      graph.text += std::string("operator\t") + node->kind().toQualString() + '\t' + names(node->inputs()) + '\t' +
                    names(node->outputs()) + '\t' + shapes(node, sizes) + '\n';
    }
  }
  graph.text += "output\t" + names(code->outputs()) + '\n';
  return graph;
}
}  // namespace

extern "C" {
// Traces and freezes a network: parameters become constants, and BatchNorm is folded into the convolutions before it.
int oxiseg_follow(void* network, Run run, const Tensor* example, Module** out) {
  return guarded([&] {
    Module script("Network");
    auto follow = [&](torch::jit::Stack inputs) -> torch::jit::Stack {
      return {called(run, network, {inputs.at(0).toTensor()})};
    };
    auto no_name = [](const Tensor&) { return std::string(); };
    constexpr bool strict = true, force_outplace = false;
    auto code = torch::jit::tracer::trace({*example}, follow, no_name, strict, force_outplace, &script).first->graph;
    // Otherwise the sizes of the example would be taken for those of all inputs.
    torch::jit::EraseShapeInformation(code);
    auto name = c10::QualifiedName(*script.type()->name(), "forward");
    script.type()->addMethod(script._ivalue()->compilation_unit()->create_function(name, code));
    script.eval();
    *out = new Module(torch::jit::freeze(script));
  });
}
void oxiseg_free_script(Module* script) { delete script; }

// Passes the bytes of the file to `write`, one part after the other. To memory: libtorch ends the program where a file
// cannot be written.
int oxiseg_script_bytes(const Module* script, void* into, void (*write)(void* into, const void* bytes, size_t n)) {
  return guarded([&] {
    auto writer = [&](const void* bytes, size_t n) {
      write(into, bytes, n);
      return n;
    };
    torch::jit::ExportModule(*script, writer);
  });
}

// With `sides`, of which there are n, inputs are zeros of that shape; if it is null, no shapes are given.
int oxiseg_graph(const Module* script, const int64_t* sides, size_t n, Graph** out) {
  return guarded([&] {
    std::optional<Tensor> input;
    if (sides) input = at::zeros(at::IntArrayRef(sides, n));
    *out = new Graph(graph_of(*script, input));
  });
}
// The ranges of all tensors that are computed from `input`, as the text of a graph.
int oxiseg_ranges(const Module* script, const Tensor* input, Graph** out) {
  return guarded([&] { *out = new Graph(ranges_of(*script->get_method("forward").graph(), *input)); });
}
const char* oxiseg_graph_text(const Graph* graph) { return graph->text.c_str(); }
int oxiseg_graph_tensor(const Graph* graph, size_t number, Tensor** out) {
  return guarded([&] { *out = new Tensor(graph->tensors.at(number)); });
}
void oxiseg_free_graph(Graph* graph) { delete graph; }
}
