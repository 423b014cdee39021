// SPDX-License-Identifier: Apache-2.0
//
// Loaded before a server (LD_PRELOAD), shows it a wall clock that is ahead of the machine's by what
// the file $SHIFTED_CLOCK holds: seconds, as 8 bytes, which may change while the server runs. The
// monotonic clock stays. (libfaketime asks for memory while it starts, and jemalloc for the time.)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

const volatile int64_t* shift = nullptr;

__attribute__((constructor)) void begin() {
  const char* path = std::getenv("SHIFTED_CLOCK");
  int file = path ? ::open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* page = ::mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) shift = static_cast<const volatile int64_t*>(page);
  ::close(file);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  auto failed = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
  bool is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (failed == 0 && shift && is_wall) now->tv_sec += *shift;
  return failed;
}

int gettimeofday(timeval* __restrict now, void* __restrict) noexcept {
  timespec exact{};
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  constexpr long kNsPerUs = 1000;
  *now = {exact.tv_sec, exact.tv_nsec / kNsPerUs};
  return 0;
}

time_t time(time_t* out) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  if (out) *out = exact.tv_sec;
  return exact.tv_sec;
}

}  // extern "C"
