// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/failure.h"
#include "run.h"

namespace iolens {
namespace {

TEST(Output, WritesWholeRowsOnly) {
    const test::Scratch scratch;
    {
        Output out = Output::file(scratch.path("rows"));
        append(out.buffer(), "one\n");
        out.row_done();
        append(out.buffer(), "half");
        out.flush();
    }
    EXPECT_EQ(test::slurp(scratch.path("rows")), "one\n");
}

TEST(Output, ANewFileIsPrivateAndAnOldOneIsEmptied) {
    const test::Scratch scratch;
    test::spit(scratch.path("old"), "something longer than what comes\n");
    for (const char* name : {"old", "new"}) {
        Output out = Output::file(scratch.path(name));
        append(out.buffer(), "row\n");
        out.row_done();
        out.flush();
        EXPECT_EQ(test::slurp(scratch.path(name)), "row\n");
    }
    struct stat info{};
    ASSERT_EQ(::stat(scratch.path("new").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(Output, OpeningChangesNothing) {
    const test::Scratch scratch;
    test::spit(scratch.path("old"), "precious\n");
    {
        const Output old = Output::file(scratch.path("old"));
        const Output fresh = Output::file(scratch.path("new"));
        EXPECT_EQ(test::slurp(scratch.path("old")), "precious\n");
        EXPECT_TRUE(std::filesystem::exists(scratch.path("new")));
    }
    EXPECT_EQ(test::slurp(scratch.path("old")), "precious\n");
    EXPECT_FALSE(std::filesystem::exists(scratch.path("new")));
    Output::file(scratch.path("old")).start();
    EXPECT_EQ(test::slurp(scratch.path("old")), "");
}

TEST(Output, RowsGoBehindWhatOthersWriteAndAreCut) {
    const test::Scratch scratch;
    const std::string path = scratch.path("rows");
    Output out = Output::file(path);
    const auto row = [&](const char* text) {
        append(out.buffer(), text);
        out.row_done();
        out.flush();
    };
    row("one\n");
    std::filesystem::resize_file(path, 0);  // logrotate's copytruncate
    row("two\n");
    EXPECT_EQ(test::slurp(path), "two\n");
    std::filesystem::rename(path, path + ".1");
    row("three\n");
    EXPECT_TRUE(out.reopen());
    row("four\n");
    EXPECT_FALSE(out.reopen());
    row("five\n");
    EXPECT_EQ(test::slurp(path + ".1"), "two\nthree\n");
    EXPECT_EQ(test::slurp(path), "four\nfive\n");
}

TEST(Output, WhatOthersMayHavePutThereIsRefused) {
    const test::Scratch scratch;
    test::spit(scratch.path("two"), "precious");
    std::filesystem::create_hard_link(scratch.path("two"), scratch.path("names"));
    ASSERT_EQ(::mkfifo(scratch.path("fifo").c_str(), 0600), 0);
    test::spit(scratch.path("other"), "precious");
    test::spit(scratch.path("ours"), "old");
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(01777));
    const auto refusal = [&](const char* name) {
        try {
            Output::file(scratch.path(name));
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.status(), Exit::usage);
            return std::string(failure.what()).substr(scratch.path(name).size() + 14);
        }
        return std::string();
    };
    EXPECT_EQ(refusal("two"), ": other hard links to it exist");
    EXPECT_EQ(refusal("fifo"), ": not a regular file");
    if (::chown(scratch.path("other").c_str(), 12345, 12345) == 0) {  // root may do this
        EXPECT_EQ(refusal("other"), ": it belongs to another user");
    }
    EXPECT_EQ(refusal("ours"), "");
    EXPECT_EQ(refusal("new"), "");
    EXPECT_EQ(test::slurp(scratch.path("two")), "precious");
    EXPECT_EQ(test::slurp(scratch.path("ours")), "old");
}

TEST(Output, NoLinkIsFollowedWhereAnyoneMayWrite) {
    const test::Scratch scratch;
    test::spit(scratch.path("target"), "precious");
    std::filesystem::create_symlink("target", scratch.path("link"));
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(01777));
    EXPECT_THROW(Output::file(scratch.path("link")), Failure);
    EXPECT_EQ(test::slurp(scratch.path("target")), "precious");
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(0700));
    EXPECT_NO_THROW(Output::file(scratch.path("link")));
}

TEST(Output, SaysWhatCantBeWritten) {
    try {
        Output::file("/no/such/folder/rows");
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::usage);
        EXPECT_STREQ(failure.what(), "can't write '/no/such/folder/rows': No such file or directory");
    }
}

TEST(Output, AFullDeviceIsAFailureAndALostReaderIsNot) {
    Output full = Output::file("/dev/full");
    append(full.buffer(), "row\n");
    full.row_done();
    EXPECT_THROW(full.flush(), Failure);

    ::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    Output pipe = Output::stream(ends[1], "pipe");
    append(pipe.buffer(), "row\n");
    pipe.row_done();
    EXPECT_THROW(pipe.flush(), ReaderGone);
    ::close(ends[1]);
}

}  // namespace
}  // namespace iolens
