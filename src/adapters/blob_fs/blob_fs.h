// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "kernel/blobs.h"

namespace millrace::blob_fs {

// Blobs as files below a data folder, at {data}/REFERENCE. Makes the folders that are missing,
// with mode 0700. Several processes may use it side by side: the spawner writes, the server reads.
Result<std::unique_ptr<kernel::Blobs>> open(const std::string& data);

}  // namespace millrace::blob_fs
