// SPDX-License-Identifier: Apache-2.0
#include "adapters/blob_s3/blob_s3.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "adapters/blob_s3/answers.h"
#include "base/files.h"
#include "base/log.h"

namespace millrace::blob_s3 {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kReadPiece = 8 << 20;  // what one GET asks for; HttpClient takes 16 MiB
constexpr size_t kTail = 256 << 10;      // what a writer keeps of parts that have gone up
constexpr size_t kLongestKey = 1024;     // S3's own limit
constexpr int kMostParts = 10'000;       // the same

Error not_there(const std::string& ref) {
  return Error(ErrorKind::NotFound, "BLB-0001",
               fmt::format("cannot read blob '{}': it is not in the bucket", ref));
}

Error strange(const std::string& ref, std::string_view what) {
  return Error(ErrorKind::Unavailable, "BLB-0003", fmt::format("blob '{}': S3 {}", ref, what));
}

Result<void> check_ref(std::string_view ref, const Options& options) {
  return kernel::check_blob_ref(ref, kLongestKey - std::min(kLongestKey, options.prefix.size()));
}

// `prefix` ends with `/`.
Result<void> check_prefix(std::string_view prefix, const Options& options) {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  return check_ref(prefix, options);
}

// Small blobs go up whole with the commit, larger ones in parts as they come: in memory is one
// part.
class Writer final : public kernel::BlobWriter {
 public:
  Writer(Client& client, std::string ref)
      : client_(client), ref_(std::move(ref)), key_(client.options().prefix + ref_) {}
  ~Writer() override {
    if (upload_.empty()) return;
    // May fail: what is left is removed by the bucket's rule for parts.
    auto aborted = client_.ask({"DELETE", key_, {{"uploadId", upload_}}});
    if (!aborted.ok()) log_warn("blob_s3.not_aborted", aborted.error());
  }

  size_t append(std::string_view bytes) override {
    auto most = static_cast<size_t>(client_.options().part_bytes);
    size_t taken = 0;
    while (taken < bytes.size()) {
      if (part_.size() == most) {
        auto gone = send_part();
        if (!gone.ok()) {
          fault_ = gone.error();
          break;
        }
      }
      auto piece = bytes.substr(taken, most - part_.size());
      part_ += piece;
      taken += piece.size();
    }
    size_ += static_cast<int64_t>(taken);
    return taken;
  }
  const Error& fault() const override { return fault_; }

  std::string tail(size_t n) const override {
    n = std::min(n, static_cast<size_t>(size_));
    if (n <= part_.size()) return part_.substr(part_.size() - n);
    size_t before = n - part_.size();
    if (before > tail_.size()) return {};
    return tail_.substr(tail_.size() - before) + part_;
  }

  Result<void> commit() override {
    if (upload_.empty()) return put_whole();
    if (!part_.empty()) TRY(send_part());
    return complete();
  }

 private:
  Pairs encryption() const {
    if (client_.options().sse.empty()) return {};
    return {{"x-amz-server-side-encryption", client_.options().sse}};
  }

  Result<void> put_whole() {
    TRY(auto answer, client_.ask({"PUT", key_, {}, encryption(), std::move(part_)}));
    if (answer.status / 100 == 2) return {};
    return strange(ref_, fmt::format("took it not: {}", answer.status));
  }

  Result<void> begin() {
    TRY(auto answer, client_.ask({"POST", key_, {{"uploads", ""}}, encryption()}));
    upload_ = text_of(answer.body, "UploadId");
    if (upload_.empty()) return strange(ref_, "began no upload in parts");
    return {};
  }

  Result<void> send_part() {
    if (etags_.size() == kMostParts) {
      return Error(ErrorKind::TooLarge, "BLB-0003",
                   fmt::format("blob '{}': expected at most {} parts of {} bytes", ref_, kMostParts,
                               client_.options().part_bytes));
    }
    if (upload_.empty()) TRY(begin());
    auto number = std::to_string(etags_.size() + 1);
    TRY(auto answer,
        client_.ask({"PUT", key_, {{"partNumber", number}, {"uploadId", upload_}}, {}, part_}));
    std::string etag(answer.find_header("etag"));
    if (answer.status / 100 != 2 || etag.empty()) {
      return strange(ref_, fmt::format("took part {} not: {}", number, answer.status));
    }
    etags_.push_back(std::move(etag));
    tail_ += part_;
    if (tail_.size() > kTail) tail_.erase(0, tail_.size() - kTail);
    part_.clear();
    return {};
  }

  // S3 may have done it although its answer was lost: then it knows the upload no more.
  Result<void> complete() {
    std::string body = "<CompleteMultipartUpload>";
    for (size_t i = 0; i < etags_.size(); ++i) {
      body +=
          fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, etags_[i]);
    }
    body += "</CompleteMultipartUpload>";
    TRY(auto answer, client_.ask({"POST", key_, {{"uploadId", upload_}}, {}, std::move(body)}));
    bool is_done = answer.status / 100 == 2 && answer.body.find("<Error>") == answer.body.npos;
    if (!is_done && answer.status == 404) {
      TRY(auto there, client_.ask({"HEAD", key_}));
      is_done = there.status == 200 && there.find_header("content-length") == std::to_string(size_);
    }
    if (!is_done) {
      return strange(ref_, fmt::format("did not put its parts together: {} {}", answer.status,
                                       text_of(answer.body, "Code")));
    }
    upload_.clear();
    return {};
  }

  Client& client_;
  const std::string ref_;
  const std::string key_;
  std::string part_;  // the one that is being filled
  std::string tail_;  // of those before
  int64_t size_ = 0;
  std::string upload_;  // empty: not in parts
  std::vector<std::string> etags_;
  Error fault_{ErrorKind::Unavailable, "BLB-0003", ""};
};

class Bucket final : public kernel::Blobs {
 public:
  explicit Bucket(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  Result<std::unique_ptr<kernel::BlobWriter>> create(const std::string& ref) override {
    TRY(check_ref(ref, client_->options()));
    return std::make_unique<Writer>(*client_, ref);
  }

  Result<std::string> read(const std::string& ref, int64_t from, int64_t count) override {
    TRY(check_ref(ref, client_->options()));
    from = std::max<int64_t>(from, 0);
    if (count <= 0) {
      TRY(size(ref));
      return std::string();
    }
    std::string bytes;
    for (;;) {
      int64_t at = static_cast<int64_t>(bytes.size());
      int64_t wanted = std::min(count - at, kReadPiece);
      TRY(auto piece, read_piece(ref, from + at, wanted));
      bytes += piece;
      bool is_end = std::cmp_less(piece.size(), wanted);
      if (is_end || std::cmp_equal(bytes.size(), count)) return bytes;
    }
  }

  Result<int64_t> size(const std::string& ref) override {
    TRY(check_ref(ref, client_->options()));
    TRY(auto answer, client_->ask({"HEAD", key_of(ref)}));
    if (answer.status == 404) return not_there(ref);
    auto text = answer.find_header("content-length");
    int64_t size = 0;
    auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (wrong == std::errc() && end == text.data() + text.size()) return size;
    return strange(ref, "does not say how large it is");
  }

  Result<void> remove(const std::string& ref) override {
    TRY(check_ref(ref, client_->options()));
    TRY(client_->ask({"DELETE", key_of(ref)}));
    return {};
  }

  Result<void> remove_all(const std::string& prefix) override {
    std::vector<std::string> refs;
    TRY(each(prefix, [&](const kernel::BlobEntry& entry) { refs.push_back(entry.ref); }));
    for (const auto& ref : refs) TRY(client_->ask({"DELETE", key_of(ref)}));
    return {};
  }

  Result<void> each(const std::string& prefix,
                    const std::function<void(const kernel::BlobEntry&)>& visit) override {
    TRY(check_prefix(prefix, client_->options()));
    std::string next;
    do {
      Pairs query = {{"list-type", "2"}, {"encoding-type", "url"}, {"prefix", key_of(prefix)}};
      if (!next.empty()) query.emplace_back("continuation-token", next);
      TRY(auto answer, client_->ask({"GET", "", std::move(query)}));
      if (answer.status != 200) {
        return strange(prefix, fmt::format("lists it not: {} {}", answer.status,
                                           text_of(answer.body, "Code")));
      }
      TRY(auto page, read_list(answer.body));
      for (auto& entry : page.entries) {
        if (!entry.key.starts_with(client_->options().prefix)) continue;
        visit({entry.key.substr(client_->options().prefix.size()), entry.size});
      }
      next = std::move(page.next);
    } while (!next.empty());
    return {};
  }

  // Regular files only; then the folder is gone. What has gone up when it fails is written anew.
  Result<void> take_folder(const std::string& prefix, const std::string& folder) override {
    TRY(check_prefix(prefix, client_->options()));
    TRY(Fd root, open_folder(folder));
    std::error_code ec;
    auto files = fs::recursive_directory_iterator(folder, ec);
    for (; !ec && files != fs::recursive_directory_iterator(); files.increment(ec)) {
      if (files->is_symlink(ec) || !files->is_regular_file(ec)) continue;
      TRY(take_file(root, files->path().lexically_relative(folder).string(), prefix));
    }
    if (!ec) fs::remove_all(folder, ec);
    if (!ec) return {};
    return Error(ErrorKind::Unavailable, "BLB-0001",
                 fmt::format("cannot move files to '{}': {}", prefix, ec.message()));
  }

 private:
  std::string key_of(const std::string& ref) const { return client_->options().prefix + ref; }

  Result<std::string> read_piece(const std::string& ref, int64_t from, int64_t count) {
    TRY(auto answer,
        client_->ask({"GET",
                      key_of(ref),
                      {},
                      {{"range", fmt::format("bytes={}-{}", from, from + count - 1)}}}));
    if (answer.status == 404) return not_there(ref);
    if (answer.status == 416) return std::string();  // it ends before
    if (answer.status != 206) {
      return strange(ref, fmt::format("gave all of it instead of a part: {}", answer.status));
    }
    if (std::cmp_greater(answer.body.size(), count))
      return strange(ref, "gave more than was asked for");
    return std::move(answer.body);
  }

  Result<void> take_file(const Fd& root, const std::string& name, const std::string& prefix) {
    TRY(Fd file, open_beneath(root, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    TRY(auto writer, create(prefix + name));
    std::string piece(1 << 20, '\0');
    for (;;) {
      ssize_t got = ::read(file.get(), piece.data(), piece.size());
      if (got < 0) {
        return Error(ErrorKind::Unavailable, "BLB-0001", fmt::format("cannot read '{}'", name));
      }
      if (got == 0) return writer->commit();
      std::string_view bytes(piece.data(), static_cast<size_t>(got));
      if (writer->append(bytes) < bytes.size()) return writer->fault();
    }
  }

  std::unique_ptr<Client> client_;
};

}  // namespace

Result<std::unique_ptr<kernel::Blobs>> open(Options options) {
  TRY(auto client, Client::open(std::move(options)));
  return std::make_unique<Bucket>(std::move(client));
}

}  // namespace millrace::blob_s3
