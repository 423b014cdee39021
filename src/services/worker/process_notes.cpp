// SPDX-License-Identifier: Apache-2.0
#include "services/worker/process_notes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

// A process starts so soon after its note was begun; one that started later got its number again.
constexpr uint64_t kMostSeconds = 10;

uint64_t ticks_since_boot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  auto per_second = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  return static_cast<uint64_t>(now.tv_sec) * per_second +
         static_cast<uint64_t>(now.tv_nsec) * per_second / 1'000'000'000;
}

}  // namespace

Result<ProcessNotes> ProcessNotes::create(const std::string& path) {
  constexpr size_t kBytes = kSlots * sizeof(Note);
  Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || ftruncate(file.get(), kBytes) != 0) {
    return system_error(fmt::format("cannot make '{}'", path));
  }
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return system_error(fmt::format("cannot map '{}'", path));
  return ProcessNotes(static_cast<Note*>(memory));
}

ProcessNotes::~ProcessNotes() {
  if (notes_) munmap(notes_, kSlots * sizeof(Note));
}

std::vector<Process> ProcessNotes::read(const std::string& path) {
  std::vector<Process> found;
  std::string bytes = read_small_file(path);
  uint64_t most = kMostSeconds * static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  for (size_t at = 0; at + sizeof(Note) <= bytes.size(); at += sizeof(Note)) {
    Note note;
    std::memcpy(&note, bytes.data() + at, sizeof note);
    Process process = note.pid > 0 ? read_process(note.pid) : Process{};
    if (process.pid > 0 && process.start_ticks >= note.not_before &&
        process.start_ticks <= note.not_before + most) {
      found.push_back(process);
    }
  }
  return found;
}

pid_t* ProcessNotes::begin(int slot) {
  if (!notes_ || slot >= kSlots) return nullptr;
  notes_[slot] = {ticks_since_boot(), 0};
  return &notes_[slot].pid;
}

void ProcessNotes::clear(int slot) {
  if (notes_ && slot < kSlots) notes_[slot] = {};
}

}  // namespace millrace::worker
