// SPDX-License-Identifier: Apache-2.0
// The binary of all fuzz targets. Called as NAME_fuzz it tries NAME; tools/fuzz.py calls it.
#include <sys/types.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>

#include "base/fuzzing.h"

namespace {

using namespace millrace;

// Of one input. Not of the wall: on a busy machine an honest input may take long.
constexpr int64_t kMostCpuMs = 1000;

std::map<std::string, fuzz::Target, std::less<>>& targets() {
  static std::map<std::string, fuzz::Target, std::less<>> all;
  return all;
}
fuzz::Target chosen = nullptr;

int64_t cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

namespace millrace::fuzz {

Registration::Registration(const char* name, Target target) { targets().emplace(name, target); }

bool planted() {
  static const bool is = std::getenv("MILLRACE_FUZZ_PLANTED") != nullptr;
  return is;
}

}  // namespace millrace::fuzz

// In place of the kernel's, so that the same inputs take the same paths: tables are seeded with it.
extern "C" ssize_t getrandom(void* bytes, size_t size, unsigned) {
  std::memset(bytes, 0x5a, size);
  return static_cast<ssize_t>(size);
}

extern "C" int LLVMFuzzerInitialize(int*, char*** arguments) {
  std::string_view name = (*arguments)[0];
  if (auto slash = name.rfind('/'); slash != name.npos) name.remove_prefix(slash + 1);
  if (name.ends_with("_fuzz")) name.remove_suffix(5);
  auto found = targets().find(name);
  if (found != targets().end()) {
    chosen = found->second;
    return 0;
  }
  std::fprintf(stderr, "no fuzz target '%s': call this as one of", std::string(name).c_str());
  for (const auto& [known, target] : targets()) std::fprintf(stderr, " %s_fuzz", known.c_str());
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  int64_t begin = cpu_ms();
  chosen({reinterpret_cast<const char*>(data), size});
  int64_t took = cpu_ms() - begin;
  ASSERT_MSG(took <= kMostCpuMs, std::to_string(took) + " ms of CPU for one input");
  return 0;
}
