// SPDX-License-Identifier: Apache-2.0
#include "resolve/containers.h"

#include <gtest/gtest.h>

namespace iolens {
namespace {

const std::string id(64, 'a');

TEST(Containers, TheIdIsInTheCgroupsPath) {
    EXPECT_EQ(container_in("/sys/fs/cgroup/system.slice/docker-" + id + ".scope"), id);
    EXPECT_EQ(container_in("/sys/fs/cgroup/docker/" + id), id);
    EXPECT_EQ(container_in("/kubepods.slice/kubepods-pod12ab.slice/cri-containerd-" + id + ".scope"), id);
    EXPECT_EQ(container_in("/machine.slice/libpod-" + id + ".scope/container"), id);
    EXPECT_EQ(container_in("/user.slice/user-1000.slice"), "");
    EXPECT_EQ(container_in("/x/" + id + "a"), "");
    EXPECT_EQ(container_in(std::string(63, 'a')), "");
    EXPECT_EQ(container_in(""), "");
}

TEST(Containers, ACgroupThatIsNotThereHasNone) { EXPECT_EQ(Containers().find(~u64{0} >> 1), ""); }

}  // namespace
}  // namespace iolens
