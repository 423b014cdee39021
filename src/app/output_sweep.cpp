// SPDX-License-Identifier: Apache-2.0
#include "app/output_sweep.h"

#include <charconv>
#include <filesystem>

#include "base/ids.h"
#include "store/read.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

// The execution that a name begins with; 0: none.
int64_t execution_in(const std::string& name) {
  int64_t id = 0;
  std::from_chars(name.data(), name.data() + name.size(), id);
  return id;
}

Result<int64_t> sweep_folder(sql::Connection& reader, const fs::path& folder, int64_t before_ms) {
  int64_t gone = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    int64_t id = execution_in(entry.path().filename().string());
    if (id == 0 || id_time_ms(id) >= before_ms) continue;
    TRY(auto tenant, store::tenant_of_execution(reader, ExecutionId{id}));
    if (tenant) continue;
    if (fs::remove_all(entry.path(), ec) > 0) ++gone;
  }
  return gone;
}

}  // namespace

Result<int64_t> sweep_output(sql::Connection& reader, const std::string& data, int64_t before_ms) {
  int64_t gone = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(data + "/output", ec)) {
    if (!entry.is_directory(ec)) continue;
    TRY(int64_t here, sweep_folder(reader, entry.path(), before_ms));
    gone += here;
  }
  TRY(int64_t artifacts, sweep_folder(reader, data + "/artifacts", before_ms));
  return gone + artifacts;
}

}  // namespace millrace::app
