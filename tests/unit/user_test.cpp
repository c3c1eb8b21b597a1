// SPDX-License-Identifier: Apache-2.0
#include "base/user.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "run.h"

namespace iolens {
namespace {

TEST(User, IsReadFromTheFiles) {
    const test::Scratch scratch;
    std::filesystem::create_directory(scratch.path("etc"));
    test::spit(scratch.path("etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:1001:100::/home/ann:/bin/sh\n");
    test::spit(scratch.path("etc/group"), "users:x:100:ann\nadm:x:4:bob,ann\ndisk:x:6:bob\nlate:x:7:ann\n");
    const std::string root = scratch.path("");
    for (const char* name : {"ann", "1001"}) {
        const std::optional<User> ann = find_user(name, root + "/");
        ASSERT_TRUE(ann) << name;
        EXPECT_EQ(ann->uid, 1001U);
        EXPECT_EQ(ann->gid, 100U);
        EXPECT_EQ(ann->groups, (std::vector<gid_t>{100, 4, 7}));
        EXPECT_EQ(login_environment(*ann),
                  (std::vector<std::string>{"HOME=/home/ann", "USER=ann", "LOGNAME=ann", "SHELL=/bin/sh",
                                            "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"}));
    }
    EXPECT_FALSE(find_user("nobody here", root + "/"));
    EXPECT_FALSE(find_user("ann", "/no/such/root/"));
    EXPECT_EQ(find_group("1234", "/no/such/root/"), gid_t{1234});
    EXPECT_FALSE(find_group("nobody here", root + "/"));
}

}  // namespace
}  // namespace iolens
