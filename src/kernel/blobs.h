// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "kernel/work.h"

namespace millrace::kernel {

// What is too large for a row: output of runs, artifacts. A blob has a reference, a text of
// components with `/` between, and is written once. Where it lies is the adapter's business.
//
//   output/TENANT/EE/EXECUTION.ATTEMPT.EPOCH.out      one stream of one run (.err, .result)
//   artifacts/TENANT/EE/EXECUTION/ATTEMPT/NAME        what a run left in its artifacts folder
//
// EE: the last byte of the execution's id, so that no folder grows without end.
std::string output_ref(TenantId tenant, const RunKey& key, Stream stream);
std::string artifacts_prefix(TenantId tenant, const RunKey& key);  // ends with `/`
inline constexpr std::string_view kOutputBlobs = "output/";
inline constexpr std::string_view kArtifactBlobs = "artifacts/";
// The execution that a blob is of; none when the reference is not of these forms.
Of<ExecutionId> execution_of(std::string_view ref);
// Errors (Invalid, BLB-0002): empty, above `most` bytes, with a NUL, or a component is empty, `.`
// or `..`.
Result<void> check_blob_ref(std::string_view ref, size_t most);

// A blob that is being written. Destroyed before `commit`: it is gone. When the process dies
// before, part of it may stay.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // How many of the bytes were taken: fewer than given only on a fault, which `fault` then tells.
  virtual size_t append(std::string_view bytes) = 0;
  virtual const Error& fault() const = 0;
  // The last `n` bytes appended, or what there is of them; none when they cannot be read.
  virtual std::string tail(size_t n) const = 0;
  // Durable, under its reference. Nothing may be appended after.
  virtual Result<void> commit() = 0;
};

struct BlobEntry {
  std::string ref;
  int64_t size = 0;
};

// The room for blobs. Thread-safe; everything blocks. A reference that leads out of the room, or
// through a link, is Invalid or not there.
class Blobs {
 public:
  virtual ~Blobs() = default;
  // A blob that is there already is written anew.
  virtual Result<std::unique_ptr<BlobWriter>> create(const std::string& ref) = 0;
  // Up to `count` bytes from the offset `from` on; fewer only at the end. NotFound.
  virtual Result<std::string> read(const std::string& ref, int64_t from, int64_t count) = 0;
  virtual Result<int64_t> size(const std::string& ref) = 0;
  // Also when it is not there.
  virtual Result<void> remove(const std::string& ref) = 0;
  // Every blob whose reference begins with `prefix`, which ends with `/`.
  virtual Result<void> remove_all(const std::string& prefix) = 0;
  virtual Result<void> each(const std::string& prefix,
                            const std::function<void(const BlobEntry&)>& visit) = 0;
  // Takes in a local folder with all its files, as PREFIX/NAME; the folder is gone then.
  virtual Result<void> take_folder(const std::string& prefix, const std::string& folder) = 0;
};

}  // namespace millrace::kernel
