// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

std::string read(std::string_view text) {
  auto address = parse_address(text);
  return address ? address->text() : "none";
}

TEST(Address, IsReadAsProxiesWriteIt) {
  EXPECT_EQ(read("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(read("192.0.2.1:4711"), "192.0.2.1");
  EXPECT_EQ(read("2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(read("[2001:db8::1]:4711"), "2001:db8::1");
  EXPECT_EQ(read("::ffff:192.0.2.1"), "192.0.2.1");
  for (auto bad : {"", "unknown", "_hidden", "1.2.3", "1.2.3.256", "[::1", "[]", "1.2.3.4 ",
                   "2001:db8::1::2", "a very long text that is no address at all, never mind"}) {
    EXPECT_EQ(read(bad), "none") << bad;
  }
}

TEST(Address, OfVersion6CountsByItsNetwork) {
  EXPECT_EQ(parse_address("2001:db8:1:2:3:4:5:6")->client(),
            parse_address("2001:db8:1:2:ffff::1")->client());
  EXPECT_NE(parse_address("2001:db8:1:2::1")->client(), parse_address("2001:db8:1:3::1")->client());
  EXPECT_NE(parse_address("192.0.2.1")->client(), parse_address("192.0.2.2")->client());
}

TEST(Network, ContainsWhatBeginsAsItDoes) {
  auto holds = [](std::string_view network, std::string_view address) {
    return Network::parse(network)->contains(*parse_address(address));
  };
  EXPECT_TRUE(holds("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(holds("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(holds("10.16.0.0/12", "10.31.0.1"));
  EXPECT_FALSE(holds("10.16.0.0/12", "10.32.0.1"));
  EXPECT_TRUE(holds("127.0.0.1", "127.0.0.1"));
  EXPECT_FALSE(holds("127.0.0.1", "127.0.0.2"));
  EXPECT_TRUE(holds("0.0.0.0/0", "8.8.8.8"));
  EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(holds("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(holds("2001:db8::/33", "2001:db8:8000::1"));
  for (auto bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "proxy",
                   "::1/129", "10.0.0.1:80"}) {
    auto network = Network::parse(bad);
    ASSERT_FALSE(network.ok()) << bad;
    EXPECT_EQ(network.error().code(), "NET-0019");
  }
}

struct Told {
  std::string_view peer, x_forwarded_for, forwarded, expected;
};

TEST(AskingAddress, IsTheLastHopThatIsNoProxy) {
  std::vector<Network> trusted = {*Network::parse("10.0.0.0/8"), *Network::parse("fd00::/8")};
  for (const auto& told : std::initializer_list<Told>{
           {"192.0.2.9", "192.0.2.1", "", "192.0.2.9"},  // no proxy: believed is nothing
           {"10.0.0.1", "", "", "10.0.0.1"},
           {"10.0.0.1", "192.0.2.1", "", "192.0.2.1"},
           {"10.0.0.1", "192.0.2.7, 192.0.2.1", "", "192.0.2.1"},  // the first is the client's word
           {"10.0.0.1", "192.0.2.7, 192.0.2.1, 10.0.0.2", "", "192.0.2.1"},
           {"10.0.0.1", "10.0.0.3,10.0.0.2", "", "10.0.0.3"},
           {"10.0.0.1", "192.0.2.7, nonsense, 10.0.0.2", "", "10.0.0.2"},
           {"10.0.0.1", "nonsense", "", "10.0.0.1"},
           {"10.0.0.1", "", "for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"},
           {"10.0.0.1", "", "for=192.0.2.7, For=\"[2001:db8::1]:80\"", "2001:db8::1"},
           {"10.0.0.1", "", "for=\"192.0.2.7, for=192.0.2.1", "192.0.2.1"},
           {"10.0.0.1", "", "for=_hidden", "10.0.0.1"},
           {"fd00::1", "192.0.2.1", "", "192.0.2.1"},
           {"10.0.0.1", "192.0.2.1", "for=192.0.2.1", "192.0.2.1"},
           {"10.0.0.1", "192.0.2.1", "for=192.0.2.2", "10.0.0.1"},  // one is the client's
       }) {
    Headers headers;
    if (!told.x_forwarded_for.empty()) headers.add("X-Forwarded-For", told.x_forwarded_for);
    if (!told.forwarded.empty()) headers.add("Forwarded", told.forwarded);
    EXPECT_EQ(asking_address(*parse_address(told.peer), headers, trusted).text(), told.expected)
        << told.x_forwarded_for << " | " << told.forwarded;
  }
}

TEST(AskingAddress, IsReadOverSeveralLines) {
  std::vector<Network> trusted = {*Network::parse("10.0.0.0/8")};
  Headers headers;
  headers.add("X-Forwarded-For", "192.0.2.1");
  headers.add("x-forwarded-for", "10.0.0.2");
  EXPECT_EQ(asking_address(*parse_address("10.0.0.1"), headers, trusted).text(), "192.0.2.1");
}

}  // namespace
}  // namespace millrace::net
