// SPDX-License-Identifier: Apache-2.0
#include "test_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"

namespace millrace::bench {
namespace {

namespace fs = std::filesystem;

constexpr double kStartLimit = 60;  // s
constexpr useconds_t kLook = 500;   // us

std::string text_of(const std::string& path) {
  auto text = read_file(path, 1 << 16);
  return text.ok() ? std::string(trim(*text)) : std::string();
}

bool listens(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

void write_file(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TestServer::TestServer(const std::string& binary, const std::string& folder,
                       const std::vector<std::string>& settings, const std::string& packs)
    : folder_(fs::absolute(folder)) {
  fs::create_directories(folder_);
  std::string data = folder_ + "/data";
  fs::remove(data + "/url");
  std::vector<std::string> command{binary,          "up",    "--data",         data, "--set",
                                   "server.port=0", "--set", "log.level=error"};
  for (const auto& setting : settings) command.insert(command.end(), {"--set", setting});
  if (!packs.empty()) command.insert(command.end(), {"--packs", packs});
  double begin = wall_seconds();
  process_.emplace(command, folder_ + "/log");
  auto ready = http_request("GET", "/ready", "", "");
  for (;;) {
    start_seconds_ = wall_seconds() - begin;
    if (process_->ended() || start_seconds_ > kStartLimit) {
      give_up("the server did not come up:\n" + text_of(folder_ + "/log"));
    }
    if (auto url = text_of(data + "/url"); !client_ && !url.empty()) {
      port_ = static_cast<uint16_t>(std::atoi(url.c_str() + url.rfind(':') + 1));
      client_.emplace(port_, 1);
    }
    if (client_ && client_->ask(ready).status == 200) break;
    usleep(kLook);
  }
  start_seconds_ = wall_seconds() - begin;
  authorization_ = "Authorization: Bearer " + text_of(data + "/admin.token") + "\r\n";
}

TestServer::~TestServer() {
  pid_t spawner_pid = spawner();
  if (spawner_pid > 0) kill(spawner_pid, SIGKILL);
  process_->end(SIGKILL);
}

pid_t TestServer::spawner() const {
  if (spawner_ == 0) spawner_ = find_process("millrace-spawner", folder_);
  return spawner_;
}

Use TestServer::use() {
  Use use(cpu_seconds());
  use.switches = static_cast<double>(switches_of(pid()) + switches_of(spawner()));
  use.written_bytes = static_cast<double>(footprint_of(pid()).written_bytes);
  // A connection of its own: between two rounds the server may end one that is quiet.
  auto metrics = HttpLoad(port_, 1).ask(http_request("GET", "/metrics", authorization_, ""));
  constexpr std::string_view kCommits = "\nmillrace_commits_total ";
  auto at = metrics.body.find(kCommits);
  if (at == std::string::npos) give_up("no millrace_commits_total in /metrics: " + metrics.body);
  use.commits = std::atof(metrics.body.c_str() + at + kCommits.size());
  return use;
}

Value TestServer::call(std::string_view method, std::string_view path, std::string_view body,
                       std::string_view content_type) {
  auto headers = fmt::format("{}Content-Type: {}\r\n", authorization_, content_type);
  auto answer = client_->ask(http_request(method, path, headers, body));
  if (answer.status / 100 != 2) {
    give_up(fmt::format("{} {}: {} {}", method, path, answer.status, answer.body));
  }
  auto parsed = parse_json(answer.body);
  if (!parsed.ok()) give_up(parsed.error().describe());
  return (*parsed)["data"];
}

Nginx::Nginx(const std::string& folder) {
  fs::path home = fs::absolute(folder) / "nginx";
  write_file(home / "nginx.conf",
             fmt::format("daemon off; master_process off; worker_processes 1;\n"
                         "pid {0}/pid; error_log {0}/error.log;\n"
                         "events {{ worker_connections 1024; }}\n"
                         "http {{\n"
                         "  access_log off; keepalive_requests 1000000000; default_type "
                         "application/json;\n"
                         "  client_body_temp_path {0}/body; client_body_buffer_size 64k;\n"
                         "  proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n"
                         "  uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n"
                         "  server {{ listen 127.0.0.1:{1};\n"
                         "    location / {{ return 202 '{{\"data\":{{\"event\":\"1\","
                         "\"duplicate\":false}}}}'; }} }}\n"
                         "}}\n",
                         home.string(), port_));
  process_.emplace(std::vector<std::string>{"/usr/sbin/nginx", "-c", home / "nginx.conf", "-e",
                                            home / "error.log"},
                   home / "log");
  for (double begin = wall_seconds(); !listens(port_); usleep(kLook)) {
    if (process_->ended() || wall_seconds() - begin > 10) {
      give_up("nginx did not come up:\n" + text_of(home / "log") + text_of(home / "error.log"));
    }
  }
}

std::string make_bench_pack(const std::string& folder) {
  fs::path pack = fs::absolute(folder) / "packs/bench";
  write_file(pack / "pack.yaml",
             "ref: bench\nname: bench\nlabel: Bench\ndescription: Actions to measure with.\n"
             "version: 1.0.0\nauthor: The Millrace contributors\n");
  write_file(pack / "actions/true.yaml",
             "name: 'true'\ndescription: /bin/true.\nrunner_type: native\nentry_point: true.bin\n"
             "effect_class: pure\n");
  write_file(pack / "actions/hold.yaml",
             "name: hold\ndescription: Holds its slot.\nrunner_type: shell\nentry_point: hold.sh\n"
             "effect_class: pure\ntimeout: 7200\n");
  auto workflow = [&](const std::string& name, const std::string& text) {
    write_file(pack / ("actions/" + name + ".yaml"),
               "name: " + name + "\ndescription: A workflow.\nrunner_type: workflow\n" +
                   "workflow_file: workflows/" + name +
                   ".yaml\nparameters:\n  n: {type: integer}\n  xs: {type: array}\n");
    write_file(pack / ("actions/workflows/" + name + ".yaml"), text);
  };
  workflow("three",
           "input: [n]\ntasks:\n"
           "  one: {action: core.echo, input: {message: <% ctx().n %>},\n"
           "    next: [{publish: [{a: <% result().output + 1 %>}], do: two}]}\n"
           "  two: {action: core.echo, input: {message: <% ctx().a %>},\n"
           "    next: [{publish: [{b: <% result().output + 1 %>}], do: three}]}\n"
           "  three: {action: core.echo, input: {message: <% ctx().b %>}}\n"
           "output: [{b: <% ctx().b %>}]\n");
  workflow("items",
           "input: [xs]\ntasks:\n"
           "  each: {with: {items: <% ctx().xs %>}, action: core.noop,\n"
           "    next: [{publish: [{n: <% len(result()) %>}]}]}\n"
           "output: [{n: <% ctx().n %>}]\n");
  std::string fan = "tasks:\n  begin: {action: core.noop, next: [{do: [";
  std::string branches;
  for (int i = 0; i < 100; ++i) {
    auto name = "b" + std::to_string(i);
    fan += (i ? ", " : "") + name;
    branches += "  " + name + ": {action: core.noop, next: [{do: join}]}\n";
  }
  workflow("fan", fan + "]}]}\n" + branches + "  join: {join: all, action: core.noop}\n");
  workflow("wait", "tasks:\n  ask: {action: core.ask, input: {ttl: 0}}\n");
  write_file(pack / "actions/hold.sh", "#!/bin/sh\nexec sleep 3600\n");
  fs::copy_file("/bin/true", pack / "actions/true.bin", fs::copy_options::overwrite_existing);
  fs::permissions(pack / "actions/true.bin", fs::perms(0755));
  fs::permissions(pack / "actions/hold.sh", fs::perms(0755));
  return pack.parent_path();
}

}  // namespace millrace::bench
