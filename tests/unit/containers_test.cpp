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

TEST(Containers, AUnitIsTheLastOneInThePath) {
    EXPECT_EQ(unit_in("/system.slice/cron.service"), "cron.service");
    EXPECT_EQ(unit_in("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope"), "app-x.scope");
    EXPECT_EQ(unit_in("/system.slice/docker.service/worker/1"), "docker.service");
    EXPECT_EQ(unit_in("/kubepods/burstable"), "");
    EXPECT_EQ(unit_in("/"), "");
    EXPECT_EQ(unit_in(""), "");
}

TEST(Containers, APodIsInThePathOfBothCgroupDrivers) {
    const std::string pod = "4d3c0b5a-0000-4111-8222-0123456789ab";
    EXPECT_EQ(pod_in("/kubepods/besteffort/pod" + pod + "/" + id), pod);
    EXPECT_EQ(pod_in("/kubepods.slice/kubepods-burstable.slice/"
                     "kubepods-burstable-pod4d3c0b5a_0000_4111_8222_0123456789ab.slice/cri-containerd-" +
                     id + ".scope"),
              pod);
    EXPECT_EQ(pod_in("/user.slice/pod" + pod), "");
    EXPECT_EQ(pod_in("/kubepods/podx"), "");
    EXPECT_EQ(pod_in("/kubepods/pod"), "");
}

TEST(Containers, ACgroupThatIsNotThereHasNone) { EXPECT_EQ(Containers().find(~u64{0} >> 1), ""); }

}  // namespace
}  // namespace iolens
