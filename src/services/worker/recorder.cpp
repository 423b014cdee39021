// SPDX-License-Identifier: Apache-2.0
#include "services/worker/recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

namespace millrace::worker {
namespace {

// Asking for write-back early keeps the sync at the end short.
constexpr int64_t kWriteBackStep = 1 << 20;

int open_beneath(int folder, const char* name, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.mode = flags & O_CREAT ? 0600 : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(syscall(SYS_openat2, folder, name, &how, sizeof how));
}

// The number of bytes that reached the file; short only on a fault, with errno set.
size_t write_some(int fd, std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace

Result<OutputFolder> OutputFolder::open(const std::string& path) {
  TRY(make_folders(path, 0700));
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error(fmt::format("cannot open folder '{}'", path));
  return OutputFolder(std::move(fd));
}

Result<Fd> OutputFolder::create_file(const std::string& name) const {
  std::string folder = name.substr(0, name.find('/'));
  constexpr uint64_t kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
  Fd file(open_beneath(fd_.get(), name.c_str(), kFlags));
  if (!file && errno == ENOENT) {
    if (mkdirat(fd_.get(), folder.c_str(), 0700) == 0) fsync(fd_.get());
    file = Fd(open_beneath(fd_.get(), name.c_str(), kFlags));
  }
  if (!file) return system_error(fmt::format("cannot create 'output/{}'", name));
  // The new name must be as durable as the bytes: they are synced at the end.
  Fd parent(open_beneath(fd_.get(), folder.c_str(), O_RDONLY | O_DIRECTORY));
  if (parent) fsync(parent.get());
  return file;
}

void OutputFolder::remove(const std::string& name) const { unlinkat(fd_.get(), name.c_str(), 0); }

std::string OutputFolder::tail(const std::string& name, size_t n) const {
  std::string bytes;
  Fd file(open_beneath(fd_.get(), name.c_str(), O_RDONLY));
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0) return bytes;
  bytes.resize(std::min(n, static_cast<size_t>(info.st_size)));
  auto from = info.st_size - static_cast<off_t>(bytes.size());
  ssize_t got = pread(file.get(), bytes.data(), bytes.size(), from);
  return got == static_cast<ssize_t>(bytes.size()) ? bytes : std::string();
}

StreamRecorder::StreamRecorder(std::shared_ptr<const SecretSet> secrets, const OutputFolder& folder,
                               std::string file_name, int64_t cap)
    : masker_(std::move(secrets)), folder_(folder), file_name_(std::move(file_name)), cap_(cap) {}

std::string_view StreamRecorder::append(std::string_view raw) {
  if (full_) {
    output_.dropped += static_cast<int64_t>(raw.size());
    return {};
  }
  return store(masker_.feed(raw));
}

std::string_view StreamRecorder::store(std::string_view masked) {
  auto room = static_cast<size_t>(std::max<int64_t>(cap_ - output_.size, 0));
  std::string_view fitting = masked.substr(0, room);
  size_t kept = keep(fitting);
  if (kept == masked.size()) return masked;

  std::string note =
      kept < fitting.size()
          ? fmt::format("\n[millrace: the output could not be stored: {}]\n", fault_)
          : fmt::format("\n[millrace: output capped at {} bytes, the rest was dropped]\n", cap_);
  full_ = true;
  output_.dropped += static_cast<int64_t>(masked.size() - kept);
  noted_.assign(masked.substr(0, kept));
  noted_.append(note, 0, keep(note));
  return noted_;
}

// Returns how many of the bytes are stored; fewer than given only on a fault, with fault_ set.
size_t StreamRecorder::keep(std::string_view bytes) {
  size_t kept = bytes.size();
  if (!file_ && (full_ || output_.bytes.size() + bytes.size() <= kMemoryPerStream)) {
    output_.bytes += bytes;
  } else if (file_ || spill()) {
    kept = write_some(file_.get(), bytes);
    if (kept < bytes.size()) fault_ = errno_text(errno);
  } else {
    kept = 0;
  }
  output_.size += static_cast<int64_t>(kept);
  if (file_) write_back(static_cast<int64_t>(kept));
  return kept;
}

// Moves what memory holds into the file. Memory stays as it is when that fails.
bool StreamRecorder::spill() {
  auto file = folder_.create_file(file_name_);
  if (!file.ok()) {
    fault_ = file.error().message();
    return false;
  }
  if (write_some(file->get(), output_.bytes) < output_.bytes.size()) {
    fault_ = errno_text(errno);
    folder_.remove(file_name_);
    return false;
  }
  file_ = std::move(*file);
  output_.blob = file_name_;
  output_.bytes = std::string();
  return true;
}

void StreamRecorder::write_back(int64_t added) {
  unsynced_ += added;
  if (unsynced_ < kWriteBackStep) return;
  sync_file_range(file_.get(), output_.size - unsynced_, unsynced_, SYNC_FILE_RANGE_WRITE);
  unsynced_ = 0;
}

kernel::StreamOutput StreamRecorder::finish() {
  if (!full_) store(masker_.finish());
  if (file_ && fdatasync(file_.get()) != 0) {
    output_.bytes = fmt::format("[millrace: the output is lost, it could not be synced: {}]\n",
                                errno_text(errno));
    output_.dropped += output_.size;
    output_.size = static_cast<int64_t>(output_.bytes.size());
    output_.blob.clear();
    folder_.remove(file_name_);
  }
  file_.reset();
  return std::move(output_);
}

std::string StreamRecorder::tail(size_t n) const {
  if (file_) return folder_.tail(file_name_, n);
  return output_.bytes.substr(output_.bytes.size() - std::min(n, output_.bytes.size()));
}

}  // namespace millrace::worker
