// SPDX-License-Identifier: Apache-2.0
//
// The test binary is also its own spawner, as the server is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>

#include "adapters/blob_fs/blob_fs.h"
#include "services/worker/spawner.h"

namespace {

using namespace millrace;

// Throws what it is asked for, while the data folder holds a file `throws`.
class ThrowingBlobs final : public kernel::Blobs {
 public:
  ThrowingBlobs(std::unique_ptr<kernel::Blobs> real, const std::string& data)
      : real_(std::move(real)), switch_(data + "/throws") {}
  Result<std::unique_ptr<kernel::BlobWriter>> create(const std::string& ref) override {
    throw_if_told();
    return real_->create(ref);
  }
  Result<std::string> read(const std::string& ref, int64_t from, int64_t count) override {
    return real_->read(ref, from, count);
  }
  Result<int64_t> size(const std::string& ref) override { return real_->size(ref); }
  Result<void> remove(const std::string& ref) override { return real_->remove(ref); }
  Result<void> remove_all(const std::string& prefix) override { return real_->remove_all(prefix); }
  Result<void> each(const std::string& prefix,
                    const std::function<void(const kernel::BlobEntry&)>& visit) override {
    return real_->each(prefix, visit);
  }
  Result<void> take_folder(const std::string& prefix, const std::string& folder) override {
    throw_if_told();
    return real_->take_folder(prefix, folder);
  }

 private:
  void throw_if_told() const {
    if (access(switch_.c_str(), F_OK) == 0) throw std::runtime_error("the test says so");
  }
  std::unique_ptr<kernel::Blobs> real_;
  std::string switch_;
};

Result<std::unique_ptr<kernel::Blobs>> open_blobs(const std::string& data) {
  TRY(auto real, blob_fs::open(data));
  return std::unique_ptr<kernel::Blobs>(std::make_unique<ThrowingBlobs>(std::move(real), data));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace millrace::worker;
  if (is_spawner_invocation(argc, argv)) return spawner_main(argc, argv, open_blobs);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
