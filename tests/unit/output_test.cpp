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
