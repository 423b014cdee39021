// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <new>
#include <system_error>

#include "adapters/blob_fs/blob_fs.h"
#include "app/agent_command.h"
#include "app/backup.h"
#include "app/import_command.h"
#include "app/local_commands.h"
#include "app/pack_author.h"
#include "app/pack_commands.h"
#include "app/recover.h"
#include "app/restore.h"
#include "app/store_copy.h"
#include "app/version.h"
#include "app/workflow_commands.h"
#include "base/process_guard.h"
#include "base/stderr.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "cli/stdout.h"
#include "cli/target.h"
#include "services/sensor/warden.h"
#include "services/worker/spawner.h"

namespace {

using millrace::Result;
using namespace millrace::app;
using namespace millrace::cli;

constexpr int kExitSoftware = 70;  // EX_SOFTWARE

const Option kConfig{"--config", "FILE", "Configuration as YAML"};
const Option kSet{.name = "--set",
                  .value = "SECTION.KEY=VALUE",
                  .help = "A configuration value; may be given several times",
                  .repeats = true};
const Option kPacks{.name = "--packs",
                    .value = "DIR",
                    .help = "A folder of packs; may be given several times",
                    .repeats = true};
const Option kWithKeys{"--with-keys", "FILE",
                       "The key ring, too; FILE holds its passphrase, - asks for it"};

std::string data_of(const Invocation& in) { return data_folder(in, process_environment); }

UpOptions up_options(const Invocation& in) {
  UpOptions options{data_of(in), in.get("--config"), in.all("--set"), in.all("--packs")};
  if (in.has("--port")) options.settings.push_back("server.port=" + in.get("--port"));
  if (in.has("--store")) options.settings.push_back("store.url=" + in.get("--store"));
  return options;
}

WorkflowOptions workflow_options(const Invocation& in) {
  return {in.get("FILE"), in.get("--language"), parse_format(in.get("--output"))};
}

CommandTable workflow_commands() {
  const Option language{.name = "--language",
                        .value = "LANGUAGE",
                        .help = "Of a file that does not say: native (default) or orquesta",
                        .choices = {"native", "orquesta"}};
  const Option output{.name = "--output",
                      .value = "FORMAT",
                      .help = "table, json, yaml",
                      .letter = 'o',
                      .choices = {"table", "json", "yaml"}};
  return {
      {.path = "workflow inspect",
       .help = "Tell everything that is wrong with a workflow file",
       .arguments = {{"FILE", "A workflow or an action chain"}},
       .options = {language, output},
       .local = [](const Invocation& in) { return workflow_inspect(workflow_options(in)); }},
      {.path = "workflow graph",
       .help = "Print the tasks of a workflow file and the ways between them",
       .arguments = {{"FILE", "A workflow or an action chain"}},
       .options = {language, output, {"--dot", "", "As a graph for Graphviz"}},
       .local =
           [](const Invocation& in) {
             return workflow_graph(workflow_options(in), in.has("--dot"));
           }},
      {.path = "execution graph",
       .help = "Print the tasks of a workflow that runs or ran, and where each stands",
       .arguments = {{"ID", "Of the execution"}},
       .options = {{"--dot", "", "As a graph for Graphviz"}},
       .remote = execution_graph},
      {.path = "workflow test",
       .help = "Rehearse a workflow: written results of its tasks, expected outcome",
       .arguments = {{"FILE", "A rehearsal"}},
       .options = {output},
       .local = [](const Invocation& in) { return workflow_test(workflow_options(in)); }},
  };
}

CommandTable local_commands() {
  return {
      {.path = "up",
       .help = "Run a server with everything in it",
       .options = {kConfig,
                   kPacks,
                   kSet,
                   {"--port", "N", "server.port; 0 is any free one"},
                   {"--store", "URL", "store.url: postgres://USER@HOST/DATABASE, no password"}},
       .local = [](const Invocation& in) { return up(up_options(in)); }},
      {.path = "serve",
       .help = "Run one of several servers of one store",
       .options = {{"--roles", "ROLES", "api,executor,worker,sensor,notifier, or some of them"},
                   kConfig,
                   kPacks,
                   kSet,
                   {"--port", "N", "server.port; 0 is any free one"},
                   {"--store", "URL", "store.url: postgres://USER@HOST/DATABASE, no password"}},
       .local = [](const Invocation& in) { return serve(up_options(in), in.get("--roles")); }},
      {.path = "doctor",
       .help = "Check the promises that the store of a data folder keeps",
       .options = {kConfig, kSet},
       .local = [](const Invocation& in) { return doctor(up_options(in)); }},
      {.path = "auth recover",
       .help = "Make a new token with all permissions, as the owner of a stopped server's folder",
       .options = {kConfig, kSet},
       .local = [](const Invocation& in) { return recover_access(up_options(in)); }},
      {.path = "backup",
       .help = "Copy a data folder, whether a server runs on it or not, to a new folder",
       .arguments = {{"DIR", "The new folder"}},
       .options = {kConfig, kPacks, kSet, kWithKeys},
       .local =
           [](const Invocation& in) {
             return backup({up_options(in), in.get("DIR"), in.get("--with-keys")});
           }},
      {.path = "backup verify",
       .help = "Check that a backup is whole and that its store is sound",
       .arguments = {{"SET", "The folder that `backup` made"}},
       .local = [](const Invocation& in) { return backup_verify(in.get("SET")); }},
      {.path = "restore",
       .help = "Make a data folder of a backup",
       .arguments = {{"SET", "The folder that `backup` made"}},
       .options = {kWithKeys, {"--yes", "", "Do not ask whether to go on"}},
       .local =
           [](const Invocation& in) {
             return restore({in.get("SET"), data_of(in), in.get("--with-keys"), in.has("--yes")});
           }},
      {.path = "store copy",
       .help = "Copy the rows of a stopped server from a data folder to PostgreSQL, or back",
       .options = {{"--from-data", "DIR", "The data folder that holds them"},
                   {"--from-url-file", "FILE", "Holds the URL of the database that holds them"},
                   {"--to-data", "DIR", "The data folder that gets them"},
                   {"--to-url-file", "FILE", "Holds the URL of the database that gets them"},
                   {"--schema", "NAME", "store.schema, in the database (millrace)"}},
       .local =
           [](const Invocation& in) {
             StoreCopyOptions options{in.get("--from-data"), in.get("--from-url-file"),
                                      in.get("--to-data"), in.get("--to-url-file")};
             if (in.has("--schema")) options.schema = in.get("--schema");
             return store_copy(options);
           }},
      {.path = "config check",
       .help = "Print the effective configuration, secrets redacted",
       .options = {kConfig, kPacks, kSet},
       .local = [](const Invocation& in) { return config_check(up_options(in)); }},
      {.path = "version",
       .help = "Print the version",
       .local = [](const Invocation&) -> Result<int> {
         put("millrace {}\n", kVersion);
         return 0;
       }},
  };
}

// As any other command that cannot do its work.
int refused_by_system(std::string why) {
  using millrace::Error;
  return report_local(Error(millrace::ErrorKind::Unavailable, "APP-0032", std::move(why)), {});
}

}  // namespace

int main(int argc, char** argv) {
  millrace::guard_process();  // every command may hold a token or the key ring
  // The spawner is this binary again: before anything else, so that it stays small.
  if (millrace::worker::is_spawner_invocation(argc, argv)) {
    return millrace::worker::spawner_main(argc, argv, millrace::blob_fs::open);
  }
  if (millrace::sensor::is_warden_invocation(argc, argv)) {
    ::unsetenv("GRPC_DNS_RESOLVER");  // set by rpc/channel.cpp; a sensor has what it was given
    return millrace::sensor::warden_main(argc, argv);
  }
  // What this program writes is its user's own: stores, backups, tokens, logs. Runs have theirs
  // from the spawner.
  ::umask(077);
  try {
    CommandTable commands = local_commands();
    std::ranges::move(workflow_commands(), std::back_inserter(commands));
    std::ranges::move(millrace::app::pack_author_commands(), std::back_inserter(commands));
    std::ranges::move(millrace::app::pack_change_commands(), std::back_inserter(commands));
    std::ranges::move(millrace::app::import_commands(), std::back_inserter(commands));
    commands.push_back(agent_command());
    return finish_stdout(run(std::move(commands), std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::bad_alloc&) {
    return refused_by_system(
        "the memory is at its limit: raise it (ulimit -v, the cgroup's memory.max)");
  } catch (const std::system_error& error) {  // files, threads
    return refused_by_system(fmt::format("the system refuses: {}", error.what()));
  } catch (const std::exception& error) {
    millrace::put_stderr("millrace: an exception: {}\n", error.what());
    return kExitSoftware;
  }
}
