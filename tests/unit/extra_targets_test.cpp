// SPDX-License-Identifier: Apache-2.0
#include "resolve/extra_targets.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <vector>

namespace iolens {
namespace {

iolens_block_event request() {
    iolens_block_event e{};
    e.h = {.ts = 5, .kind = IOLENS_KIND_BLOCK, .size = sizeof e, .cpu = 2};
    e.target.more = 2;
    return e;
}

/// A record of two elements, of `element_size` bytes each, that begin at `offset`.
std::vector<u64> record_of(u16 kind, std::size_t offset, std::size_t element_size) {
    const std::size_t size = offset + 2 * element_size;
    std::vector<u64> record(size / 8);
    auto* bytes = reinterpret_cast<std::byte*>(record.data());
    const iolens_header head{.ts = 5, .kind = kind, .size = static_cast<u16>(size), .cpu = 2};
    std::memcpy(bytes, &head, sizeof head);
    const u64 others = 512;
    std::memcpy(bytes + offsetof(iolens_extra_targets, others), &others, sizeof others);
    for (std::size_t i = 0; i < 2; ++i) {
        iolens_extra_target extra{};
        extra.target.id.ino = 10 + i;
        extra.bytes = 4096 * (i + 1);
        std::memcpy(bytes + offset + i * element_size, &extra, sizeof extra);
    }
    if (kind == IOLENS_KIND_EXTRA_TARGETS) {
        auto& layout = reinterpret_cast<iolens_extra_targets&>(*bytes);
        layout.offset = static_cast<u16>(offset);
        layout.element_size = static_cast<u16>(element_size);
    }
    return record;
}

bool add(ExtraTargets& extras, const std::vector<u64>& record) {
    Files files;
    return extras.add(reinterpret_cast<const iolens_header&>(*record.data()), files);
}

void expect_two(ExtraTargets& extras) {
    const iolens_extra_targets* found = extras.of(request());
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->others, 512U);
    const auto targets = targets_in(*found);
    ASSERT_EQ(targets.size(), 2U);
    EXPECT_EQ(targets[1].target.id.ino, 11U);
    EXPECT_EQ(targets[1].bytes, 8192U);
    EXPECT_EQ(extras.of(request()), nullptr);
}

TEST(ExtraTargets, AreReadInThisVersionsLayout) {
    ExtraTargets extras;
    EXPECT_TRUE(add(extras, record_of(IOLENS_KIND_EXTRA_TARGETS, offsetof(iolens_extra_targets, targets),
                                      sizeof(iolens_extra_target))));
    expect_two(extras);
}

TEST(ExtraTargets, AreReadInTheLayoutOfOlderAndNewerVersions) {
    ExtraTargets extras;
    EXPECT_TRUE(add(extras, record_of(IOLENS_KIND_FIXED_EXTRA_TARGETS, 24, 56)));
    expect_two(extras);
    // both the record and its elements have got a field
    EXPECT_TRUE(add(extras, record_of(IOLENS_KIND_EXTRA_TARGETS, offsetof(iolens_extra_targets, targets) + 8,
                                      sizeof(iolens_extra_target) + 8)));
    expect_two(extras);
}

TEST(ExtraTargets, ADamagedRecordIsRefused) {
    const std::vector<u64> good =
        record_of(IOLENS_KIND_EXTRA_TARGETS, offsetof(iolens_extra_targets, targets), sizeof(iolens_extra_target));
    for (const auto& [offset, element_size] : {std::pair<u16, u16>{0, 56}, {8, 56}, {0xffff, 56}, {32, 0}, {32, 8}}) {
        std::vector<u64> bad = good;
        auto& record = reinterpret_cast<iolens_extra_targets&>(*bad.data());
        record.offset = offset;
        record.element_size = element_size;
        ExtraTargets extras;
        EXPECT_FALSE(add(extras, bad)) << offset << " " << element_size;
        EXPECT_EQ(extras.of(request()), nullptr);
    }
    ExtraTargets extras;
    std::vector<u64> cut = good;
    reinterpret_cast<iolens_header&>(*cut.data()).size = sizeof(iolens_header);
    EXPECT_FALSE(add(extras, cut));
}

}  // namespace
}  // namespace iolens
