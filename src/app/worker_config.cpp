// SPDX-License-Identifier: Apache-2.0
#include "app/worker_config.h"

#include <filesystem>
#include <memory>

#include "app/python_sdk.h"

namespace millrace::app {

worker::WorkerConfig worker_config(const WorkerSection& section, const std::string& data,
                                   const OpenFiles& files) {
  const LimitsSection& limits = section.limits;
  worker::WorkerConfig config;
  config.name = section.name;
  config.slots = static_cast<int>(section.slots);
  config.labels = section.labels;
  config.spawner.data_dir = std::filesystem::absolute(data);
  config.spawner.run_files = files.before;
  config.spawner.linger_ms = section.linger_ms;
  config.run.grace_ms = section.kill_grace_ms;
  config.run.output_cap = section.output_bytes;
  config.run.limits = {.processes = limits.processes,
                       .memory_bytes = limits.memory_bytes,
                       .open_files = limits.open_files,
                       .file_bytes = limits.file_bytes,
                       .cpu_s = limits.cpu_s,
                       .core_bytes = limits.core_bytes};
  config.run.env_allowed = section.env_allowed;
  config.run.python_sdk = [data,
                           staged = std::make_shared<std::string>()]() -> Result<std::string> {
    if (staged->empty()) {
      TRY(*staged, stage_python_sdk(data));
    }
    return *staged;
  };
  return config;
}

}  // namespace millrace::app
