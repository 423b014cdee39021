// SPDX-License-Identifier: Apache-2.0
// Packs over HTTP: what is listed, and how one leaves.
#include "api_fixture.h"

namespace millrace::api {
namespace {

const char* const kUser =
    R"({"ref":"ops.on_push","trigger":{"ref":"ci.push"},"action":{"ref":"ci.build"}})";

TEST_F(ApiTest, PacksSayWhereTheyComeFrom) {
  auto pack = get("/api/v1/packs/ci");
  EXPECT_EQ(pack.status, 200);
  EXPECT_EQ(pack.data()["state"], Value("folder"));
  EXPECT_EQ(pack.data()["source"], Value("/srv/packs/ci"));
  EXPECT_EQ(get("/api/v1/packs").data().size(), 2u);
}

TEST_F(ApiTest, AnUninstalledPackIsGoneAndWhatWaitsOfItGoesOn) {
  auto run = post("/api/v1/executions", R"({"action":"ci.build"})");
  ASSERT_EQ(run.status, 201) << run.text;
  auto gone = send("DELETE", "/api/v1/packs/ci");
  ASSERT_EQ(gone.status, 200) << gone.text;
  EXPECT_EQ(gone.data()["ref"], Value("ci"));
  EXPECT_EQ(gone.data()["rules"], Value(0));
  EXPECT_EQ(gone.data()["open_executions"], Value(1));
  EXPECT_EQ(gone.data()["source"], Value("/srv/packs/ci"));
  EXPECT_EQ(get("/api/v1/packs/ci").status, 404);
  EXPECT_EQ(get("/api/v1/actions/ci.build").status, 404);
  EXPECT_EQ(send("DELETE", "/api/v1/packs/ci").code(), "PCK-0004");
  open_worker();
  finish(worker_.next(), "done");
  auto id = std::string(run.data().string_or("id", ""));
  EXPECT_EQ(get("/api/v1/executions/" + id + "?wait=10s").data()["status"], Value("succeeded"));
}

TEST_F(ApiTest, APackThatIsUsedLeavesOnlyByForce) {
  ASSERT_EQ(post("/api/v1/rules", kUser).status, 201);
  auto refused = send("DELETE", "/api/v1/packs/ci");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "PCK-0006");
  EXPECT_EQ(refused.body["errors"].size(), 2u) << refused.text;
  EXPECT_EQ(send("DELETE", "/api/v1/packs/ci?force=true").status, 200);
  EXPECT_EQ(get("/api/v1/rules/ops.on_push").status, 200) << "it is not the pack's";
}

TEST_F(ApiTest, UninstallNeedsItsPermission) {
  auto reader = token("packs:read,rules:write");
  EXPECT_EQ(send("DELETE", "/api/v1/packs/ci", "", bearer(reader)).status, 403);
  EXPECT_EQ(get("/api/v1/packs/ci").status, 200);
  EXPECT_EQ(send("DELETE", "/api/v1/packs/ci", "", bearer(token("packs:write"))).status, 200);
}

TEST_F(ApiTest, ARepeatedUninstallIsAnsweredAgain) {
  Lines key = {{"Idempotency-Key", "once"}};
  ASSERT_EQ(send("DELETE", "/api/v1/packs/ci", "", key).status, 200);
  auto again = send("DELETE", "/api/v1/packs/ci", "", key);
  EXPECT_EQ(again.status, 200) << again.text;
}

}  // namespace
}  // namespace millrace::api
