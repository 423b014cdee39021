// SPDX-License-Identifier: Apache-2.0
#include "app/worker_config.h"

#include <filesystem>
#include <map>
#include <memory>

#include "app/sdks.h"

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
  const WarmSection& warm = section.warm;
  config.run.warm = {.processes = warm.processes,
                     .calls = warm.calls,
                     .age_ms = warm.age_s * 1000,
                     .idle_ms = warm.idle_s * 1000,
                     .memory_bytes = warm.memory_bytes};
  config.run.allow_sudo = section.allow_sudo;
  config.run.known_hosts = section.known_hosts;
  config.run.env_allowed = section.env_allowed;
  config.run.sdk = [data, staged = std::make_shared<std::map<Sdk, std::string>>()](
                       Sdk sdk) -> Result<std::string> {
    auto at = staged->find(sdk);
    if (at == staged->end()) {
      TRY(std::string folder, stage_sdk(data, sdk));
      at = staged->emplace(sdk, std::move(folder)).first;
    }
    return at->second;
  };
  return config;
}

}  // namespace millrace::app
