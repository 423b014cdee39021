// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// The server that does it says how far it is; nobody else writes its row.
class WriteOperation final : public Request<OperationRow> {
 public:
  WriteOperation(Caller caller, OperationRow row, Reply<OperationRow> reply)
      : Request(std::move(caller), std::move(reply)), row_(std::move(row)) {}
  std::string_view name() const override { return "write_operation"; }
  Decided decide(Context& ctx) const override;

 private:
  OperationRow row_;
};

Decided WriteOperation::decide(Context& ctx) const {
  OperationRow row = row_;
  bool is_new = !row.id;
  if (is_new) {
    row.id = ctx.new_id<OperationId>();
    row.created = ctx.now();
  }
  row.tenant = caller_.tenant;
  row.updated = ctx.now();
  ctx.changes.operations.push_back(row);
  ctx.changes.feed.push_back({.tenant = row.tenant,
                              .type = EntityType::Operation,
                              .op = is_new ? ChangeOp::Created : ChangeOp::Updated,
                              .entity = row.id.value,
                              .detail = std::string(to_string(row.status)),
                              .at = ctx.now()});
  return answer(ctx, std::move(row));
}

}  // namespace

Message command::write_operation(Caller caller, OperationRow row, Reply<OperationRow> reply) {
  return std::make_unique<WriteOperation>(std::move(caller), std::move(row), std::move(reply));
}

}  // namespace millrace::engine
