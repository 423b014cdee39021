// SPDX-License-Identifier: Apache-2.0
#include "app/agent_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "app/agent.h"
#include "app/local_commands.h"
#include "auth/peer.h"
#include "base/log.h"
#include "cli/target.h"
#include "cli/values.h"
#include "model/labels.h"

namespace millrace::app {
namespace {

// The machine's, unless --name says another one.
std::string name_of(const cli::Invocation& in) {
  if (in.has("--name")) return in.get("--name");
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return {};
  return host.data();
}

Result<AgentOptions> agent_options(const cli::Invocation& in) {
  AgentOptions options;
  auto data = cli::data_folder(in, cli::process_environment);
  options.data = std::filesystem::absolute(data).lexically_normal().string();
  options.server = in.get("--server");
  while (options.server.ends_with('/')) options.server.pop_back();
  options.join_file = in.get("--join-file");
  options.ca_file = in.get("--ca-file");
  options.grpc = in.get("--grpc");
  options.name = name_of(in);
  if (!auth::is_peer_name(options.name)) {
    return cli::usage_error(
        fmt::format("--name '{}': expected letters, digits, '.', '_' and '-'", options.name));
  }
  if (in.has("--drain-timeout")) {
    TRY(options.drain_timeout_ms,
        cli::parse_duration("--drain-timeout", in.get("--drain-timeout")));
  }
  return options;
}

Result<int> agent(const cli::Invocation& in) {
  UpOptions up{.data = {}, .config_file = in.get("--config"), .settings = in.all("--set")};
  if (in.has("--slots")) up.settings.push_back("worker.slots=" + in.get("--slots"));
  TRY(auto config, read_config(up));
  TRY(auto options, agent_options(in));
  if (in.has("--labels")) config.worker.labels = split_labels(in.get("--labels"));
  for (const auto& label : config.worker.labels) TRY(check_label(label));
  TRY(open_log({.level = config.log.level, .format = config.log.format, .file = config.log.file}));
  TRY(run_agent(config, options));
  return 0;
}

}  // namespace

cli::Command agent_command() {
  return {.path = "agent",
          .help = "Run actions for a server on another machine",
          .options = {{.name = "--server",
                       .value = "URL",
                       .help = "The server's HTTP address",
                       .required = true},
                      {"--join-file", "FILE", "What `millrace worker token` printed"},
                      {"--name", "NAME", "Of this agent; the machine's name"},
                      {"--labels", "A,B", "What it offers to actions (runs_on)"},
                      {"--slots", "N", "Runs at the same time; twice the cores"},
                      {"--drain-timeout", "TIME", "How long runs may take after SIGTERM; 1h"},
                      {"--grpc", "HOST:PORT", "Where the server's gRPC is, when not as it says"},
                      {"--ca-file", "FILE", "Whom to trust besides the system's authorities"},
                      {"--config", "FILE", "Configuration as YAML"},
                      {.name = "--set",
                       .value = "SECTION.KEY=VALUE",
                       .help = "A configuration value; may be given several times",
                       .repeats = true}},
          .local = agent};
}

}  // namespace millrace::app
