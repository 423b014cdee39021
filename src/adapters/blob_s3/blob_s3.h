// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "adapters/blob_s3/client.h"
#include "kernel/blobs.h"

namespace millrace::blob_s3 {

// Blobs as objects of an S3 bucket: PREFIX + reference is the key. All servers of a store use one.
// Errors: Invalid, BLB-0004: the options; those of `options.keys`. Nothing is asked yet.
Result<std::unique_ptr<kernel::Blobs>> open(Options options);

}  // namespace millrace::blob_s3
