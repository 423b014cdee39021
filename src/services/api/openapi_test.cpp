// SPDX-License-Identifier: Apache-2.0
#include "services/api/openapi.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/yaml.h"
#include "services/api/api.h"
#include "services/api/router.h"
#include "services/api/routes.h"

namespace millrace::api {
namespace {

const char* const kCommitted = MILLRACE_SOURCE_DIR "/api/openapi.yaml";

TEST(OpenApi, TheCommittedDocumentIsTheRouteTable) {
  auto generated = openapi_yaml();
  if (getenv("UPDATE_GOLDEN")) std::ofstream(kCommitted) << generated;
  std::ifstream file(kCommitted);
  std::stringstream committed;
  committed << file.rdbuf();
  EXPECT_TRUE(committed.str() == generated)
      << "api/openapi.yaml is old: UPDATE_GOLDEN=1 services_api_test rewrites it";
}

// All "$ref" of a document.
void collect_refs(const Value& value, std::set<std::string>& refs) {
  if (value.is_list()) {
    for (const auto& item : value.as_list()) collect_refs(item, refs);
  }
  if (!value.is_map()) return;
  for (const auto& entry : value.as_map()) {
    if (entry.name() == "$ref") refs.emplace(entry.value.as_string());
    collect_refs(entry.value, refs);
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  auto document = openapi_document(all_routes({}), "1");
  std::set<std::string> refs;
  collect_refs(document, refs);
  EXPECT_GT(refs.size(), 10u);
  for (const auto& ref : refs) {
    auto name = ref.substr(ref.rfind('/') + 1);
    auto kind = ref.substr(0, ref.rfind('/'));
    ASSERT_TRUE(kind == "#/components/schemas" || kind == "#/components/responses") << ref;
    EXPECT_TRUE(document["components"][kind.substr(13)].find(name)) << ref;
  }
}

TEST(OpenApi, PathParametersAreDeclared) {
  auto document = openapi_document(all_routes({}), "1");
  const auto& get = document["paths"]["/api/v1/executions/{id}"]["get"];
  const auto& first = get["parameters"].as_list().front();
  EXPECT_EQ(first["name"], Value("id"));
  EXPECT_EQ(first["in"], Value("path"));
  EXPECT_EQ(first["required"], Value(true));
}

TEST(Routes, TheTableIsValidAndNamesAreUnique) {
  auto routes = all_routes({});
  std::set<std::string_view> names;
  for (const auto& route : routes) EXPECT_TRUE(names.insert(route.name).second) << route.name;
  auto router = Router::create(std::move(routes));
  EXPECT_TRUE(router.ok()) << router.error().describe();
}

TEST(Routes, OnlyHealthDocsAndWebhooksAnswerWithoutAToken) {
  std::set<std::string_view> open;
  for (const auto& route : all_routes({})) {
    auto kind = route.access.kind();
    if (kind == Access::Kind::Open || kind == Access::Kind::Signature) open.insert(route.pattern);
  }
  EXPECT_EQ(open, (std::set<std::string_view>{"/health", "/livez", "/ready", "/api/docs",
                                              "/api/v1/webhooks/{name}", "/v1/webhooks/{name}",
                                              "/api/v1/tenants/{tenant}/webhooks/{name}"}));
}

}  // namespace
}  // namespace millrace::api
