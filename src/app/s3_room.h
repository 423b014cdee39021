// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "app/config.h"
#include "base/result.h"
#include "kernel/blobs.h"

namespace millrace::app {

// The bucket of the configuration, with keys from files or, where it names none, from AWS's own
// environment variables. Null: it names no bucket. Errors: those of blob_s3::open; Invalid,
// BLB-0004: there are no keys; those of the files.
Result<std::unique_ptr<kernel::Blobs>> open_s3_room(const S3Section& section);

}  // namespace millrace::app
