// SPDX-License-Identifier: Apache-2.0
#include "adapters/blob_fs/blob_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"

namespace millrace::blob_fs {
namespace {

namespace fs = std::filesystem;
using kernel::BlobEntry;

constexpr int64_t kWriteBackStep = 1 << 20;
// A folder that the sweep has just removed may be needed again, and be removed again: each try can
// lose its folder to another removal.
constexpr int kTries = 1000;

Error blob_error(std::string_view doing, const std::string& ref, int error) {
  ErrorKind kind = error == ENOENT || error == ENOTDIR || error == ELOOP ? ErrorKind::NotFound
                                                                         : ErrorKind::Unavailable;
  return Error(kind, "BLB-0001",
               fmt::format("cannot {} blob '{}': {}", doing, ref, strerror(error)));
}

std::string parent_of(const std::string& ref) {
  size_t slash = ref.rfind('/');
  return slash == ref.npos ? "." : ref.substr(0, slash);
}
std::string name_of(const std::string& ref) { return ref.substr(ref.rfind('/') + 1); }

Result<void> check_ref(std::string_view ref) { return kernel::check_blob_ref(ref, PATH_MAX - 1); }

class Writer final : public kernel::BlobWriter {
 public:
  Writer(const Fd& root, std::string ref, Fd file)
      : root_(root), ref_(std::move(ref)), file_(std::move(file)) {}
  ~Writer() override {
    if (file_) unlinkat(root_.get(), ref_.c_str(), 0);
  }

  size_t append(std::string_view bytes) override {
    size_t taken = write_all(file_.get(), bytes);
    if (taken < bytes.size()) fault_ = blob_error("write", ref_, errno);
    size_ += static_cast<int64_t>(taken);
    // Asking for write-back early keeps the sync at the end short.
    if (size_ - asked_ >= kWriteBackStep) {
      sync_file_range(file_.get(), asked_, size_ - asked_, SYNC_FILE_RANGE_WRITE);
      asked_ = size_;
    }
    return taken;
  }
  const Error& fault() const override { return fault_; }

  std::string tail(size_t n) const override {
    std::string bytes(std::min(n, static_cast<size_t>(size_)), '\0');
    auto from = size_ - static_cast<int64_t>(bytes.size());
    ssize_t got = pread(file_.get(), bytes.data(), bytes.size(), from);
    return got == static_cast<ssize_t>(bytes.size()) ? bytes : std::string();
  }

  Result<void> commit() override {
    if (fdatasync(file_.get()) != 0) return blob_error("sync", ref_, errno);
    file_ = Fd();
    return {};
  }

 private:
  const Fd& root_;
  std::string ref_;
  Fd file_;
  int64_t size_ = 0;
  int64_t asked_ = 0;  // bytes that the kernel was asked to write back
  Error fault_{ErrorKind::Unavailable, "BLB-0001", ""};
};

class Folder final : public kernel::Blobs {
 public:
  Folder(Fd root, std::string path) : root_(std::move(root)), path_(std::move(path)) {}

  Result<std::unique_ptr<kernel::BlobWriter>> create(const std::string& ref) override {
    TRY(check_ref(ref));
    for (int i = 1;; ++i) {
      auto file = open_beneath(root_, ref, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
      if (file.ok()) {
        // The new name must be as durable as the bytes, which are synced at the end.
        TRY(sync_parent(ref));
        return std::make_unique<Writer>(root_, ref, std::move(*file));
      }
      if (file.error().kind() != ErrorKind::NotFound || i == kTries) return file.error();
      TRY(make_parents(ref));
    }
  }

  Result<std::string> read(const std::string& ref, int64_t from, int64_t count) override {
    TRY(Fd file, open_file(ref));
    TRY(int64_t size, size_of(file, ref));
    int64_t begin = std::clamp<int64_t>(from, 0, size);
    std::string bytes(static_cast<size_t>(std::clamp<int64_t>(count, 0, size - begin)), '\0');
    size_t got = 0;
    while (got < bytes.size()) {
      ssize_t n = pread(file.get(), bytes.data() + got, bytes.size() - got,
                        begin + static_cast<off_t>(got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return blob_error("read", ref, errno);
      if (n == 0) break;
      got += static_cast<size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }

  Result<int64_t> size(const std::string& ref) override {
    TRY(Fd file, open_file(ref));
    return size_of(file, ref);
  }

  Result<void> remove(const std::string& ref) override {
    TRY(check_ref(ref));
    auto folder = open_beneath(root_, parent_of(ref), kFolder);
    if (!folder.ok()) return absent_is_fine(folder.error());
    if (unlinkat(folder->get(), name_of(ref).c_str(), 0) != 0 && errno != ENOENT) {
      return blob_error("remove", ref, errno);
    }
    prune(parent_of(ref));
    return {};
  }

  Result<void> remove_all(const std::string& prefix) override {
    TRY(std::string folder, folder_of(prefix));
    // Opened first: no part of the way to it may be a link.
    auto there = open_beneath(root_, folder, kFolder);
    if (!there.ok()) return absent_is_fine(there.error());
    std::error_code ec;
    fs::remove_all(path_ + "/" + folder, ec);
    if (ec) return blob_error("remove", prefix, ec.value());
    prune(parent_of(folder));
    return {};
  }

  Result<void> each(const std::string& prefix,
                    const std::function<void(const BlobEntry&)>& visit) override {
    TRY(std::string folder, folder_of(prefix));
    auto there = open_beneath(root_, folder, kFolder);
    if (!there.ok()) return absent_is_fine(there.error());
    return walk(folder, visit);
  }

  Result<void> take_folder(const std::string& prefix, const std::string& folder) override {
    TRY(std::string target, folder_of(prefix));
    for (int i = 1;; ++i) {
      TRY(make_parents(target));
      auto parent = open_beneath(root_, parent_of(target), kFolder);
      if (parent.ok() &&
          renameat(AT_FDCWD, folder.c_str(), parent->get(), name_of(target).c_str()) == 0) {
        return {};
      }
      bool swept = parent.ok() ? errno == ENOENT : parent.error().kind() == ErrorKind::NotFound;
      if (swept && i < kTries) continue;
      return parent.ok() ? blob_error("move files to", prefix, errno) : parent.error();
    }
  }

 private:
  static constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

  static Result<void> absent_is_fine(const Error& error) {
    if (error.kind() == ErrorKind::NotFound) return {};
    return error;
  }

  static Result<std::string> folder_of(const std::string& prefix) {
    std::string folder = prefix;
    if (folder.ends_with('/')) folder.pop_back();
    TRY(check_ref(folder));
    return folder;
  }

  Result<Fd> open_file(const std::string& ref) const {
    TRY(check_ref(ref));
    // O_NONBLOCK: a FIFO that a run left among its artifacts must hold up nobody.
    return open_beneath(root_, ref, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  }

  static Result<int64_t> size_of(const Fd& file, const std::string& ref) {
    struct stat info{};
    if (fstat(file.get(), &info) != 0) return blob_error("read", ref, errno);
    if (!S_ISREG(info.st_mode)) return blob_error("read", ref, ENOENT);
    return int64_t{info.st_size};
  }

  Result<void> make_parents(const std::string& ref) const {
    for (size_t at = ref.find('/'); at != ref.npos; at = ref.find('/', at + 1)) {
      std::string folder = ref.substr(0, at);
      auto parent = open_beneath(root_, parent_of(folder), O_RDONLY | O_DIRECTORY);
      if (!parent.ok()) return absent_is_fine(parent.error());  // swept meanwhile: tried again
      if (mkdirat(parent->get(), name_of(folder).c_str(), 0700) != 0) {
        if (errno == ENOENT) return {};  // swept as well
        if (errno != EEXIST) return blob_error("make the folder of", ref, errno);
      } else if (fsync(parent->get()) != 0) {
        return blob_error("sync the folder of", ref, errno);
      }
    }
    return {};
  }

  Result<void> sync_parent(const std::string& ref) const {
    auto parent = open_beneath(root_, parent_of(ref), O_RDONLY | O_DIRECTORY);
    if (!parent.ok()) return absent_is_fine(parent.error());
    if (fsync(parent->get()) != 0) return blob_error("sync the folder of", ref, errno);
    return {};
  }

  // Removes folders that have become empty, but not those of the kind and the tenant.
  void prune(std::string folder) const {
    while (std::ranges::count(folder, '/') >= 2 &&
           unlinkat(root_.get(), folder.c_str(), AT_REMOVEDIR) == 0) {
      folder = parent_of(folder);
    }
  }

  // In no order; what vanishes meanwhile is left out.
  Result<void> walk(const std::string& folder,
                    const std::function<void(const BlobEntry&)>& visit) const {
    std::error_code ec;
    auto files = fs::recursive_directory_iterator(path_ + "/" + folder, ec);
    for (; !ec && files != fs::recursive_directory_iterator(); files.increment(ec)) {
      std::error_code gone;
      if (files->is_directory(gone) && !files->is_symlink(gone)) continue;
      auto size = files->is_regular_file(gone) ? files->file_size(gone) : 0;
      if (gone) continue;
      visit({files->path().string().substr(path_.size() + 1), static_cast<int64_t>(size)});
    }
    if (ec && ec != std::errc::no_such_file_or_directory) {
      return blob_error("list", folder, ec.value());
    }
    return {};
  }

  Fd root_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<kernel::Blobs>> open(const std::string& data) {
  TRY(Fd root, open_folder(data));
  return std::make_unique<Folder>(std::move(root), data);
}

}  // namespace millrace::blob_fs
