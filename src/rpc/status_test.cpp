// SPDX-License-Identifier: Apache-2.0
#include "rpc/status.h"

#include <gtest/gtest.h>

#include <millrace/v1/error.pb.h>
#include "base/test_support.h"
#include "rpc/message.h"

namespace millrace::rpc {
namespace {

struct Case {
  ErrorKind kind;
  grpc::StatusCode code;
  const char* name;
};

// The table of platform.md 9.
const Case kCases[] = {
    {ErrorKind::Invalid, grpc::StatusCode::INVALID_ARGUMENT, "VALIDATION_FAILED"},
    {ErrorKind::Unauthorized, grpc::StatusCode::UNAUTHENTICATED, "UNAUTHORIZED"},
    {ErrorKind::Forbidden, grpc::StatusCode::PERMISSION_DENIED, "FORBIDDEN"},
    {ErrorKind::NotFound, grpc::StatusCode::NOT_FOUND, "NOT_FOUND"},
    {ErrorKind::Conflict, grpc::StatusCode::FAILED_PRECONDITION, "CONFLICT"},
    {ErrorKind::Stale, grpc::StatusCode::ABORTED, "CONFLICT"},
    {ErrorKind::Mismatch, grpc::StatusCode::INVALID_ARGUMENT, "VALIDATION_FAILED"},
    {ErrorKind::TooLarge, grpc::StatusCode::RESOURCE_EXHAUSTED, "VALIDATION_FAILED"},
    {ErrorKind::Unsupported, grpc::StatusCode::UNIMPLEMENTED, "VALIDATION_FAILED"},
    {ErrorKind::Busy, grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED"},
    {ErrorKind::Timeout, grpc::StatusCode::DEADLINE_EXCEEDED, "TIMEOUT"},
    {ErrorKind::Unavailable, grpc::StatusCode::UNAVAILABLE, "SERVICE_UNAVAILABLE"},
    {ErrorKind::Internal, grpc::StatusCode::INTERNAL, "INTERNAL_ERROR"},
};

TEST(Status, EachKindHasItsCodeAndItsPublicName) {
  for (const auto& [kind, code, name] : kCases) {
    Error error(kind, "EXE-0001", "why");
    EXPECT_EQ(code_of(error), code) << name;
    EXPECT_EQ(public_kind(error), name);
  }
}

TEST(Status, AnExpiredTokenIsToldApart) {
  Error error(ErrorKind::Unauthorized, "AUT-0003", "the token has expired");
  EXPECT_EQ(public_kind(error), "TOKEN_EXPIRED");
}

TEST(Status, AnErrorTravelsWhole) {
  for (const auto& [kind, code, name] : kCases) {
    if (kind == ErrorKind::Mismatch) continue;  // has code and name of Invalid
    auto sent = Error(kind, "EXE-0012", "what and why")
                    .with_problem("/name", "unknown")
                    .with_retry_after(1500);
    auto got = error_of(status_of(sent), error_detail(sent, "r1"));
    EXPECT_EQ(got.kind(), kind) << name;
    EXPECT_EQ(got.code(), "EXE-0012");
    EXPECT_EQ(got.message(), "what and why");
    ASSERT_EQ(got.problems().size(), 1u);
    EXPECT_EQ(got.problems()[0].path, "/name");
    EXPECT_EQ(got.retry_after_ms(), 1500);
  }
}

TEST(Status, WithoutADetailTheStatusTellsTheKind) {
  auto error = error_of(grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection refused"), "");
  EXPECT_EQ(error.kind(), ErrorKind::Unavailable);
  EXPECT_EQ(error.code(), "RPC-0009");
  EXPECT_EQ(error.message(), "the other side answered UNAVAILABLE: connection refused");
  EXPECT_EQ(error_of(grpc::Status(grpc::StatusCode::DATA_LOSS, ""), "no protobuf").kind(),
            ErrorKind::Internal);
}

TEST(Status, ADetailNeverOutgrowsTheTrailer) {
  Error error(ErrorKind::Invalid, "EXE-0012", repeated("long ", 10'000));
  for (int i = 0; i < 100; ++i) {
    error = std::move(error).with_problem(repeated("/deep", 1000), repeated("wrong ", 1000));
  }
  EXPECT_LE(error_detail(error, "r1").size(), 4u << 10);
}

TEST(Messages, BytesThatAreNoMessageAreRefused) {
  v1::Error error;
  grpc::Slice slice(std::string("\xff\xff\xff"));
  auto read = from_bytes(grpc::ByteBuffer(&slice, 1), error);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), "RPC-0003");
  error.set_code("EXE-0001");
  v1::Error back;
  ASSERT_TRUE(from_bytes(to_bytes(error), back).ok());
  EXPECT_EQ(back.code(), "EXE-0001");
}

}  // namespace
}  // namespace millrace::rpc
