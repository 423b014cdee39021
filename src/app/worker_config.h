// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "app/config.h"
#include "app/open_files.h"
#include "services/worker/worker.h"

namespace millrace::app {

// What a worker of this process is told by its configuration. Where it finds releases and blobs is
// left to whoever makes it.
worker::WorkerConfig worker_config(const WorkerSection& section, const std::string& data,
                                   const OpenFiles& files);

}  // namespace millrace::app
