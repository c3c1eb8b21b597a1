// SPDX-License-Identifier: Apache-2.0
#include "resolve/files.h"

#include <gtest/gtest.h>

#include "sample.h"

namespace iolens {
namespace {

Files::Name name_of(u16 kind, u16 flags, const std::vector<std::string>& names) {
    Files files;
    const std::vector<std::byte> record = test::file_fact(7, kind, flags, names);
    EXPECT_TRUE(files.add(*reinterpret_cast<const iolens_file_fact*>(record.data()), record));
    const Files::Name* name = files.find(7);
    return name == nullptr ? Files::Name{"nothing", "nothing"} : *name;
}

TEST(Files, PathsAreReadFromTheirEnd) {
    EXPECT_EQ(name_of(IOLENS_FILE_REGULAR, 0, {"c", "b", "a"}).text, "/a/b/c");
    EXPECT_EQ(name_of(IOLENS_FILE_DIRECTORY, 0, {}).text, "/");
    EXPECT_EQ(name_of(IOLENS_FILE_REGULAR, IOLENS_FILE_DELETED, {"x"}).text, "/x (deleted)");
    EXPECT_EQ(name_of(IOLENS_FILE_REGULAR, IOLENS_FILE_CUT, {"x", "y"}).text, "…/y/x");
}

TEST(Files, NamesWithoutAPath) {
    EXPECT_EQ(name_of(IOLENS_FILE_ANON, IOLENS_FILE_PSEUDO, {"[eventfd]"}).text, "anon_inode:[eventfd]");
    EXPECT_EQ(name_of(IOLENS_FILE_ANON, IOLENS_FILE_PSEUDO, {"[eventfd]"}).csv, "anon_inode:[eventfd]");
    EXPECT_EQ(name_of(IOLENS_FILE_REGULAR, IOLENS_FILE_PSEUDO, {"memfd:x"}).text, "/memfd:x (deleted)");
    EXPECT_EQ(name_of(IOLENS_FILE_SOCKET, IOLENS_FILE_PSEUDO, {"@name"}).csv, "\"@name\"");
}

TEST(Files, ACsvFieldStaysOne) { EXPECT_EQ(name_of(IOLENS_FILE_REGULAR, 0, {"a\"b,c\nd"}).csv, "\"/a\"\"b,c\nd\""); }

TEST(Files, DamagedFactsAreRefused) {
    Files files;
    std::vector<std::byte> record = test::file_fact(7, IOLENS_FILE_REGULAR, 0, {"abc"});
    auto& fact = *reinterpret_cast<iolens_file_fact*>(record.data());
    fact.length = 3;  // its NUL is missing
    EXPECT_FALSE(files.add(fact, record));
    fact.length = 60000;
    EXPECT_FALSE(files.add(fact, record));
    EXPECT_EQ(files.find(7), nullptr);
}

TEST(Files, TheOldestNamesAreForgotten) {
    Files files(3);
    for (u64 id = 1; id <= 5; ++id) {
        const std::vector<std::byte> record = test::file_fact(id, IOLENS_FILE_REGULAR, 0, {"f"});
        files.add(*reinterpret_cast<const iolens_file_fact*>(record.data()), record);
    }
    EXPECT_EQ(files.find(1), nullptr);
    EXPECT_EQ(files.find(2), nullptr);
    for (u64 id = 3; id <= 5; ++id) EXPECT_NE(files.find(id), nullptr) << id;
}

TEST(Files, ANameInUseIsKept) {
    Files files(3);
    const auto learn = [&](u64 id) {
        const std::vector<std::byte> record = test::file_fact(id, IOLENS_FILE_REGULAR, 0, {std::to_string(id)});
        files.add(*reinterpret_cast<const iolens_file_fact*>(record.data()), record);
    };
    learn(1);
    for (u64 id = 2; id <= 100; ++id) {
        ASSERT_NE(files.find(1), nullptr) << id;
        EXPECT_EQ(files.find(1)->text, "/1");
        learn(id);
    }
    EXPECT_NE(files.find(100), nullptr);
    EXPECT_EQ(files.find(50), nullptr);
}

TEST(Files, TheNewestNameIsNeverTheOneThatGoes) {
    Files files(3);
    for (u64 id = 1; id <= 20; ++id) {
        const std::vector<std::byte> record = test::file_fact(id, IOLENS_FILE_REGULAR, 0, {"f"});
        files.add(*reinterpret_cast<const iolens_file_fact*>(record.data()), record);
        // all others are in use
        for (u64 before = 1; before <= id; ++before) static_cast<void>(files.find(before));
        EXPECT_NE(files.find(id), nullptr) << id;
    }
    EXPECT_EQ(files.find(1), nullptr);
    EXPECT_EQ(files.evicted(), 17U);
}

TEST(Files, WhatIsNotNeededForAWholePeriodGoes) {
    Files files;
    const auto learn = [&](u64 id) {
        const std::vector<std::byte> record = test::file_fact(id, IOLENS_FILE_REGULAR, 0, {std::to_string(id)});
        files.add(*reinterpret_cast<const iolens_file_fact*>(record.data()), record);
        files.named({.ino = id, .dev = 1, .generation = 2}, id);
    };
    constexpr u64 last = 10'000;
    for (u64 id = 1; id <= last; ++id) learn(id);
    files.given({.ino = 1, .dev = 1, .generation = 2}, 1);
    const iolens_file_id used{.ino = 3, .dev = 1, .generation = 2};
    const auto pass = [&] {
        EXPECT_NE(files.find(2), nullptr);
        EXPECT_NE(files.find(used, 0), nullptr);
        files.age(std::array<u64, 1>{4});
    };
    pass();
    EXPECT_NE(files.find(100), nullptr);  // used in the last period
    pass();
    EXPECT_NE(files.find(100), nullptr);
    EXPECT_EQ(files.find(101), nullptr);
    EXPECT_EQ(files.find({.ino = 101, .dev = 1, .generation = 2}, 0), nullptr);
    EXPECT_NE(files.find(4), nullptr);
    EXPECT_NE(files.find(last), nullptr);  // a minimum number never expires
    EXPECT_NE(files.find({.ino = 1, .dev = 1, .generation = 2}, 0), nullptr);
    learn(101);
    ASSERT_NE(files.find(101), nullptr);
    EXPECT_EQ(files.find(101)->text, "/101");
    EXPECT_EQ(files.evicted(), 0U);
}

TEST(Files, AFileHasTheNameThatWasEmittedLast) {
    Files files(4);
    const auto file = [](u64 ino) { return iolens_file_id{.ino = ino, .dev = 1, .generation = 2}; };
    for (u64 id = 1; id <= 2; ++id) {
        const std::vector<std::byte> record =
            test::file_fact(id, IOLENS_FILE_REGULAR, 0, {"name" + std::to_string(id)});
        files.add(*reinterpret_cast<const iolens_file_fact*>(record.data()), record);
    }
    EXPECT_EQ(files.find(file(1), 0), nullptr);
    files.named(file(1), 1);
    ASSERT_NE(files.find(file(1), 0), nullptr);
    EXPECT_EQ(files.find(file(1), 0)->text, "/name1");
    EXPECT_EQ(files.find(file(1), 2)->text, "/name2");  // an emitted id takes precedence
    files.named(file(1), 2);
    EXPECT_EQ(files.find(file(1), 0)->text, "/name2");
    // twice the capacity; an entry that is looked up stays
    for (u64 ino = 100; ino < 112; ++ino) {
        files.named(file(ino), 1);
        EXPECT_NE(files.find(file(1), 0), nullptr) << ino;
    }
    EXPECT_EQ(files.find(file(100), 0), nullptr);
    EXPECT_NE(files.find(file(111), 0), nullptr);
}

}  // namespace
}  // namespace iolens
