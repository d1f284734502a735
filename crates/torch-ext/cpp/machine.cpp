// The processor's instructions, and the OpenMP runtime that runs libtorch's loops.

#include "machine.h"
#include <ATen/Context.h>
#include <ATen/cpu/Utils.h>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <string>
#include "shim.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

namespace machine {
#if defined(__x86_64__) && defined(__GNUC__)
bool has_avx512() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has;
}

bool has_avx512_bf16() {
  static const bool has = has_avx512() && __builtin_cpu_supports("avx512bf16");
  return has;
}

// Checks leaf 7 of CPUID, and the registers that the system saves and restores (XCR0: 17 and 18 are those of the
// tiles).
static bool has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned TILES = 3u << 17, AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24;
  if ((low & TILES) != TILES || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (d & AMX_BF16) && (d & AMX_TILE);
}

// Checks that oneDNN's variable for the allowed instructions, by either of its names, does not exclude AMX.
static bool onednn_may() {
  const char* said = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (!said) said = std::getenv("DNNL_MAX_CPU_ISA");
  if (!said) return true;
  std::string isa = said;
  std::transform(isa.begin(), isa.end(), isa.begin(), [](unsigned char letter) { return std::toupper(letter); });
  return isa.empty() || isa == "DEFAULT" || isa == "ALL" || isa.find("AMX") != std::string::npos;
}

bool has_amx() {
  // Linux gives the tiles only to a process that asks for them.
  static const bool has = has_avx512_bf16() && has_tiles() && onednn_may() && at::hasMKLDNN() && at::cpu::init_amx();
  return has && at::globalContext().userEnabledMkldnn();
}
#else
bool has_avx512() { return false; }
bool has_avx512_bf16() { return false; }
bool has_amx() { return false; }
#endif
}  // namespace machine

extern "C" {
// Writes the processor's own name, of up to 48 letters and a NUL; empty if it has none.
void oxiseg_processor(char name[49]) {
  std::memset(name, 0, 49);
#if defined(__x86_64__) && defined(__GNUC__)
  unsigned words[12] = {};
  if (__get_cpuid_max(0x80000000, nullptr) < 0x80000004) return;
  for (unsigned i = 0; i < 3; i++)
    __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
  std::memcpy(name, words, 48);
#endif
}

int oxiseg_has_avx512() { return machine::has_avx512(); }
int oxiseg_has_avx512_bf16() { return machine::has_avx512_bf16(); }
int oxiseg_has_amx(int* has) {
  return guarded([&] { *has = machine::has_amx(); });
}

// Returns the file of the OpenMP runtime in force, by the function that all of them have; null if there is none.
const char* oxiseg_openmp_file() {
#if defined(__unix__) || defined(__APPLE__)
  Dl_info found;
  void* function = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  if (function && dladdr(function, &found)) return found.dli_fname;
#endif
  return nullptr;
}

// Returns the time in ms that threads of this thread's teams spin for work before they sleep, or -1 if the runtime has
// no such function. LLVM's and Intel's have it.
int oxiseg_openmp_block_time() {
#if defined(__unix__) || defined(__APPLE__)
  if (auto get = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "kmp_get_blocktime"))) return get();
#endif
  return -1;
}

// Returns 1 if it was set, 0 if the environment says how threads wait or the runtime has no such function.
int oxiseg_set_openmp_block_time(int milliseconds) {
  for (auto name : {"KMP_BLOCKTIME", "KMP_LIBRARY", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})
    if (std::getenv(name)) return 0;
#if defined(__unix__) || defined(__APPLE__)
  if (auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "kmp_set_blocktime"))) {
    set(milliseconds);
    return 1;
  }
#endif
  return 0;
}
}
