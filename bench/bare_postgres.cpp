// SPDX-License-Identifier: Apache-2.0
#include "bare_postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include "flight.h"
#include "process.h"

namespace millrace::bench {
namespace {

constexpr int kRowsPerFlush = 64;
constexpr Oid kInt8 = 20;
constexpr Oid kOfTheColumn = 0;
constexpr size_t kMostParameters = 40;

}  // namespace

BarePostgres::BarePostgres(const std::string& url, const std::string& schema) {
  make_store(url, schema);
  raw_ = PQconnectdb(url.c_str());
  check(PQstatus(raw_) == CONNECTION_OK);
  auto settings = fmt::format("SET search_path TO \"{}\"; SET synchronous_commit TO on", schema);
  PQclear(PQexec(raw_, settings.c_str()));
  check(PQsetnonblocking(raw_, 1) == 0 && PQenterPipelineMode(raw_) == 1);
  begin_ = prepare("BEGIN");
  commit_ = prepare("COMMIT");
}

BarePostgres::~BarePostgres() { PQfinish(raw_); }

BarePostgres::Statement BarePostgres::prepare(const char* text) {
  auto& made = statements_.emplace_back(std::make_unique<Text>());
  made->name = fmt::format("s{}", statements_.size());
  int number = 0;
  for (const char* c = text; *c; ++c) {
    made->text += *c == '?' ? fmt::format("${}", ++number) : std::string(1, *c);
  }
  return made.get();
}

void BarePostgres::send(Text& statement, const Value* values, size_t count) {
  Oid types[kMostParameters];
  const char* bytes[kMostParameters];
  int sizes[kMostParameters];
  int formats[kMostParameters];
  for (size_t i = 0; i < count; ++i) {
    types[i] = values[i].is_number ? kInt8 : kOfTheColumn;
    bytes[i] = values[i].is_number ? values[i].number : values[i].bytes;
    sizes[i] = values[i].size;
    formats[i] = 1;
  }
  int parameters = static_cast<int>(count);
  if (!statement.is_known) {
    check(PQsendPrepare(raw_, statement.name.c_str(), statement.text.c_str(), parameters, types));
    statement.is_known = true;
  }
  check(PQsendQueryPrepared(raw_, statement.name.c_str(), parameters, bytes, sizes, formats, 1));
  if (++unsent_ % kRowsPerFlush == 0) flush();
}

void BarePostgres::commit() {
  run(commit_);
  check(PQpipelineSync(raw_) == 1);
  for (bool synced = false; !synced;) {
    while (PQisBusy(raw_) == 1) {
      flush();
      wait(/*for_writing=*/false);
    }
    auto* result = PQgetResult(raw_);
    if (!result) {
      check(PQstatus(raw_) == CONNECTION_OK);
      continue;
    }
    auto status = PQresultStatus(result);
    synced = status == PGRES_PIPELINE_SYNC;
    check(synced || status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
    PQclear(result);
  }
}

// As far as the server takes it.
void BarePostgres::flush() {
  for (;;) {
    int left = PQflush(raw_);
    check(left >= 0);
    if (left == 0) return;
    wait(/*for_writing=*/true);
  }
}

void BarePostgres::wait(bool for_writing) {
  pollfd look{PQsocket(raw_), POLLIN, 0};
  if (for_writing) look.events |= POLLOUT;
  check(::poll(&look, 1, 60'000) == 1);
  check(PQconsumeInput(raw_) == 1);
}

void BarePostgres::check(bool ok) const {
  if (!ok) give_up(fmt::format("bare postgres: {}", PQerrorMessage(raw_)));
}

}  // namespace millrace::bench
