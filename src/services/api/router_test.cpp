// SPDX-License-Identifier: Apache-2.0
#include "services/api/router.h"

#include <gtest/gtest.h>

namespace millrace::api {
namespace {

Response nothing(Call&) { return net::HttpResponse(); }

Route route(std::string_view method, std::string_view pattern) {
  return {.name = pattern,
          .method = method,
          .pattern = pattern,
          .access = Access::open(),
          .handler = nothing};
}

std::string found(const Router& router, std::string_view method, std::string_view path) {
  auto match = router.find(method, path);
  if (!match.route) return match.allowed.empty() ? "none" : "only " + match.allowed;
  std::string text(match.route->pattern);
  for (size_t i = 0; i < match.params.count; ++i) {
    text += ' ';
    text += match.params.values[i];
  }
  return text;
}

Router make(std::vector<Route> routes) {
  auto router = Router::create(std::move(routes));
  EXPECT_TRUE(router.ok()) << router.error().describe();
  return std::move(router).value();
}

TEST(Router, FindsLiteralsAndParameters) {
  auto router = make({route("GET", "/a"), route("GET", "/a/{x}"), route("POST", "/a/{x}/run"),
                      route("GET", "/a/{x}/b/{y}"), route("POST", "/a/test")});
  EXPECT_EQ(found(router, "GET", "/a"), "/a");
  EXPECT_EQ(found(router, "GET", "/a/7"), "/a/{x} 7");
  EXPECT_EQ(found(router, "POST", "/a/7/run"), "/a/{x}/run 7");
  EXPECT_EQ(found(router, "GET", "/a/7/b/8"), "/a/{x}/b/{y} 7 8");
  EXPECT_EQ(found(router, "POST", "/a/test"), "/a/test");
}

TEST(Router, ALiteralWithoutARestDoesNotHideTheParameter) {
  auto router = make({route("POST", "/a/test"), route("POST", "/a/{x}/run")});
  EXPECT_EQ(found(router, "POST", "/a/test/run"), "/a/{x}/run test");
}

TEST(Router, AParameterMayBeTheRestOfThePath) {
  auto rest = route("POST", "/a/{x}");
  rest.takes_rest = true;
  auto router = make({rest, route("GET", "/a"), route("GET", "/b/{x}")});
  EXPECT_EQ(found(router, "POST", "/a/7"), "/a/{x} 7");
  EXPECT_EQ(found(router, "POST", "/a/7/8/9/"), "/a/{x} 7/8/9/");
  EXPECT_EQ(found(router, "POST", "/a/"), "none");
  EXPECT_EQ(found(router, "POST", "/a//7"), "none");
  EXPECT_EQ(found(router, "GET", "/b/7/8"), "none");
}

TEST(Router, UnknownPathsAreNotFound) {
  auto router = make({route("GET", "/a/{x}")});
  for (auto path : {"", "/", "/a", "/a/", "/a/7/", "/a/7/8", "/b", "a/7", "//a/7"}) {
    EXPECT_EQ(found(router, "GET", path), "none") << path;
  }
}

TEST(Router, AWrongMethodTellsTheRightOnes) {
  auto router = make({route("GET", "/a"), route("PUT", "/a")});
  EXPECT_EQ(found(router, "DELETE", "/a"), "only GET, PUT");
}

TEST(Router, ARouteWithoutAccessDoesNotStart) {
  auto open = route("GET", "/a");
  open.access = Access();
  auto router = Router::create({open, route("GET", "/b")});
  ASSERT_FALSE(router.ok());
  ASSERT_EQ(router.error().problems().size(), 1u);
  EXPECT_EQ(router.error().problems()[0].path, "GET /a");
  EXPECT_EQ(router.error().problems()[0].message, "no access is declared");
}

TEST(Router, AllFaultyRoutesAreNamed) {
  auto without_handler = route("GET", "/a");
  without_handler.handler = {};
  auto router = Router::create({without_handler, route("GET", "/b"), route("GET", "/b"),
                                route("GET", "c"), route("GET", "/{a}/{b}/{c}")});
  ASSERT_FALSE(router.ok());
  EXPECT_EQ(router.error().problems().size(), 4u);
}

}  // namespace
}  // namespace millrace::api
