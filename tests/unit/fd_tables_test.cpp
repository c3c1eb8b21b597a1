// SPDX-License-Identifier: Apache-2.0
#include "import/fd_tables.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>

#include "import/strace_line.h"

namespace iolens {
namespace {

class FdTablesTest : public testing::Test {
protected:
    /// Applies a line like the import does.
    void line(const std::string& text) {
        LoggedCall call;
        switch (lines_.take(text, call)) {
            case LineKind::call:
                EXPECT_TRUE(tables_.meet(call.tid)) << text;
                tables_.resume(call);
                if (call.joined) seen_ = tables_.row_file(call, 0)->name;
                tables_.apply(call, effect_of(call.name));
                tables_.done();
                break;
            case LineKind::begun:
                EXPECT_TRUE(tables_.meet(call.tid)) << text;
                tables_.begin(call);
                break;
            case LineKind::ended: tables_.forget(call.tid); break;
            case LineKind::moved: tables_.move(call.tid, lines_.moved_to()); break;
            default: ADD_FAILURE() << text;
        }
    }
    LoggedFile file(int fd, u32 tid = 1) { return *tables_.row_file(tid, std::to_string(fd)); }
    LoggedFile shown(const std::string& argument) { return *tables_.row_file(1, argument); }
    std::string name(int fd, u32 tid = 1) { return file(fd, tid).name; }
    std::string path(int fd, u32 tid = 1) { return std::string(file(fd, tid).absolute()); }

    StraceLines lines_;
    FdTables tables_;
    std::string seen_;  // file of the first argument of the last joined call
};

TEST_F(FdTablesTest, StandardStreamsAreOpenAtFirst) {
    EXPECT_EQ(name(0), "stdin");
    EXPECT_EQ(name(1), "stdout");
    EXPECT_EQ(name(2), "stderr");
    EXPECT_EQ(name(3), "fd=3");
    EXPECT_EQ(file(3).kind, IOLENS_FILE_OTHER);
    EXPECT_FALSE(file(3).is_path);
    EXPECT_EQ(file(0).open_id, 0U);
}

TEST_F(FdTablesTest, AnFdWithoutAnOpenIsAFileOfItsOwnOnceItIsCopied) {
    EXPECT_EQ(tables_.row_file(1, "7"), tables_.row_file(2, "7"));  // rows share what says no more than the number
    line("1 dup(7) = 8");
    line("1 connect(8, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 110) = 0");
    EXPECT_EQ(name(8), "/run/x");
    EXPECT_EQ(name(7), "fd=7");
    EXPECT_EQ(name(7, 2), "fd=7");
}

TEST_F(FdTablesTest, FilesAreOpenUntilTheyAreClosed) {
    line("1 openat(AT_FDCWD, \"/a\\tb\", O_RDONLY|O_CLOEXEC) = 3");
    line("1 creat(\"/c\", 0644) = 4");
    line("1 open(\"/d\", O_RDONLY) = -1 ENOENT (x)");
    EXPECT_EQ(name(3), "/a\tb");
    EXPECT_TRUE(file(3).is_path);
    EXPECT_EQ(file(3).kind, IOLENS_FILE_REGULAR);
    EXPECT_EQ(name(4), "/c");
    EXPECT_NE(file(3).open_id, file(4).open_id);
    EXPECT_EQ(name(-1), "fd=-1");
    line("1 close(3) = -1 EBADF (x)");
    EXPECT_EQ(name(3), "/a\tb");
    line("1 close(3) = -1 EIO (x)");
    EXPECT_EQ(name(3), "fd=3");
    line("1 close(99) = 0");
    line("1 open(\"/long\"..., O_RDONLY) = 5");
    EXPECT_EQ(name(5), "/long…");
}

TEST_F(FdTablesTest, CopiesShareTheOpenFile) {
    line("1 open(\"/a\", O_RDONLY|O_CLOEXEC) = 3");
    line("1 dup(3) = 4");
    line("1 dup2(3, 1) = 1");
    line("1 dup3(3, 6, O_CLOEXEC) = 6");
    line("1 fcntl(3, F_DUPFD_CLOEXEC, 0) = 7");
    line("1 fcntl(3, F_DUPFD, 8) = 8");
    for (const int fd : {1, 4, 6, 7, 8}) {
        EXPECT_EQ(name(fd), "/a");
        EXPECT_EQ(file(fd).open_id, file(3).open_id);
    }
    line("1 execve(\"/bin/x\", [\"x\"], 0x1) = 0");
    for (const int fd : {1, 4, 8}) EXPECT_EQ(name(fd), "/a") << fd;
    for (const int fd : {3, 6, 7}) EXPECT_EQ(name(fd), "fd=" + std::to_string(fd));
}

TEST_F(FdTablesTest, CloseOnExecIsAFlagAndNotPartOfAName) {
    line("1 open(\"/CLOEXEC\", O_RDONLY) = 3");
    line("1 openat(AT_FDCWD</CLOEXEC>, \"x\", O_RDONLY) = 4");
    line("1 dup2(3</CLOEXEC>, 5) = 5</CLOEXEC>");
    line("1 dup3(3</CLOEXEC>, 6</CLOEXEC>, 0) = 6</CLOEXEC>");
    line("1 openat2(AT_FDCWD, \"/a\", {flags=O_RDONLY|O_CLOEXEC, resolve=0}, 24) = 7");
    line("1 open(\"/b\", O_RDONLY|O_CLOEXEC) = 8");
    line("1 open(\"/c\", O_RDONLY|O_CLOEXEC) = 9");
    line("1 open(\"/d\", O_RDONLY) = 10");
    line("1 fcntl(9, F_SETFD, 0) = 0");
    line("1 fcntl(10, F_SETFD, FD_CLOEXEC) = 0");
    line("1 fcntl(99, F_SETFD, FD_CLOEXEC) = 0");
    // -X raw and -X verbose
    line("1 openat(0xffffff9c, \"/e\", 0x80000) = 0xb");
    line("1 openat(-100 /* AT_FDCWD */, \"/f\", 0x80000 /* O_RDONLY|O_CLOEXEC */) = 12");
    line("1 openat(0xffffff9c, \"/g\", 0) = 0xd");
    line("1 execve(\"/bin/x\", [], 0x1) = 0");
    for (const int fd : {3, 4, 5, 6, 9, 13}) EXPECT_NE(name(fd), "fd=" + std::to_string(fd)) << fd;
    for (const int fd : {7, 8, 10, 11, 12}) EXPECT_EQ(name(fd), "fd=" + std::to_string(fd)) << fd;
}

TEST_F(FdTablesTest, CloseRangeIsInclusive) {
    for (int fd = 3; fd < 8; ++fd) line("1 open(\"/a\", O_RDONLY) = " + std::to_string(fd));
    line("1 close_range(4, 5, 0) = 0");
    EXPECT_EQ(name(3), "/a");
    EXPECT_EQ(name(4), "fd=4");
    EXPECT_EQ(name(5), "fd=5");
    EXPECT_EQ(name(6), "/a");
    line("1 close_range(6, 4294967295, CLOSE_RANGE_CLOEXEC) = 0");
    EXPECT_EQ(name(7), "/a");
    line("1 execve(\"/bin/x\", [], 0x1) = 0");
    EXPECT_EQ(name(7), "fd=7");
    EXPECT_EQ(name(3), "/a");
    line("1 close_range(3, 4294967295, 0) = 0");
    EXPECT_EQ(name(3), "fd=3");
    EXPECT_EQ(name(2), "stderr");
}

TEST_F(FdTablesTest, AProcessHasACopyAndAThreadShares) {
    line("1 open(\"/a\", O_RDONLY) = 3");
    line("1 clone(child_stack=NULL, flags=SIGCHLD) = 2");
    line("1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES) = 3");
    line("1 open(\"/b\", O_RDONLY) = 4");
    EXPECT_EQ(name(3, 2), "/a");
    EXPECT_EQ(name(4, 2), "fd=4");
    EXPECT_EQ(name(4, 3), "/b");
    line("3 close(3) = 0");
    EXPECT_EQ(name(3, 1), "fd=3");
    EXPECT_EQ(name(3, 2), "/a");
    // a failed clone has no child
    line("1 fork() = -1 EAGAIN (x)");
    line("3 unshare(CLONE_FILES) = 0");
    line("3 close(4) = 0");
    EXPECT_EQ(name(4, 1), "/b");
    line("1 close_range(4, 4, CLOSE_RANGE_UNSHARE) = 0");
    EXPECT_EQ(name(4, 1), "fd=4");
}

TEST_F(FdTablesTest, AChildMayCallBeforeItsParentsCloneEnds) {
    line("1 open(\"/a\", O_RDONLY) = 3");
    line("1 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>");
    line("2 close(3) = 0");
    line("2 open(\"/b\", O_RDONLY) = 4");
    line("1 <... clone resumed>) = 2");
    EXPECT_EQ(name(3, 1), "/a");
    EXPECT_EQ(name(3, 2), "fd=3");
    EXPECT_EQ(name(4, 1), "fd=4");
    EXPECT_EQ(name(4, 2), "/b");
    // the clone is over: the next new thread is not its child
    line("9 close(99) = 0");
    EXPECT_EQ(name(3, 9), "fd=3");

    line("1 clone3({flags=CLONE_VM|CLONE_FILES}, 88 <unfinished ...>");
    line("5 close(3) = 0");
    EXPECT_EQ(name(3, 1), "fd=3");
}

TEST_F(FdTablesTest, TheMainProcessGetsItsIdLater) {
    for (int fd = 3; fd < 40; ++fd) line("open(\"/a\", O_RDONLY) = " + std::to_string(fd));
    tables_.name_main(77);
    EXPECT_EQ(name(39, 77), "/a");
    EXPECT_EQ(name(39, 0), "fd=39");

    FdTables other;
    other.name_main(77);  // no call so far
    EXPECT_EQ(other.row_file(77, "0")->name, "stdin");
}

TEST_F(FdTablesTest, AReusedProcessIdStartsAfresh) {
    line("1 open(\"/a\", O_RDONLY) = 3");
    line("1 +++ exited with 0 +++");
    EXPECT_EQ(name(3), "fd=3");
}

TEST_F(FdTablesTest, BothEndsOfAPipeAreOpen) {
    line("1 pipe2([3, 4], O_CLOEXEC) = 0");
    EXPECT_EQ(name(3), "pipe<-4");
    EXPECT_EQ(name(4), "pipe->3");
    EXPECT_NE(file(3).open_id, file(4).open_id);
    line("1 pipe([5<pipe:[123]>, 6<pipe:[123]>]) = 0");
    EXPECT_EQ(file(6).kind, IOLENS_FILE_PIPE);
    EXPECT_EQ(file(6).ino, 123U);
    line("1 socketpair(AF_UNIX, SOCK_STREAM, 0, [7, 8]) = 0");
    EXPECT_EQ(file(8).kind, IOLENS_FILE_SOCKET);
    EXPECT_EQ(name(8), "unix:");
    line("1 pipe(0x7fff) = 0");
    line("1 pipe([9]) = 0");
    EXPECT_EQ(name(9), "fd=9");
}

TEST_F(FdTablesTest, SocketsAreNamedByTypeAndHaveAPeer) {
    line("1 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3");
    line("1 socket(AF_INET6, SOCK_DGRAM, 0) = 4");
    line("1 socket(AF_UNIX, SOCK_STREAM, 0) = 5");
    line("1 socket(AF_NETLINK, SOCK_RAW, 0) = 6");
    EXPECT_EQ(name(3), "tcp:");
    EXPECT_EQ(name(4), "udp:");
    EXPECT_EQ(name(5), "unix:");
    EXPECT_EQ(name(6), "SOCK_RAW:");
    EXPECT_FALSE(file(3).peer);

    const std::string address = "{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"192.0.2.1\")}, 16";
    line("1 connect(4, " + address + ") = -1 ECONNREFUSED (x)");
    EXPECT_FALSE(file(4).peer);
    line("1 connect(3, " + address + ") = -1 EINPROGRESS (x)");
    ASSERT_TRUE(file(3).peer);
    EXPECT_EQ(file(3).peer->family, AF_INET);
    EXPECT_EQ(file(3).peer->port, 80);
    EXPECT_EQ(file(3).peer->bytes[0], 192);
    line("1 connect(5, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 10) = 0");
    EXPECT_EQ(name(5), "/run/x");
    EXPECT_TRUE(file(5).is_path);
    line("1 connect(6, {sa_family=AF_NETLINK, nl_pid=0}, 12) = 0");
    EXPECT_EQ(name(6), "AF_NETLINK:fd=6");

    line(
        "1 accept4(3, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr(\"192.0.2.2\")}, [16], SOCK_CLOEXEC) "
        "= 7");
    ASSERT_TRUE(file(7).peer);
    EXPECT_EQ(file(7).peer->port, 9);
    line("1 accept(5, {sa_family=AF_UNIX}, [2]) = 8");
    EXPECT_EQ(name(8), "unix:");
    line("1 accept(5, NULL, NULL) = 9");
    EXPECT_EQ(name(9), "fd=9");
    EXPECT_EQ(file(9).kind, IOLENS_FILE_SOCKET);
}

TEST_F(FdTablesTest, AnonymousFilesHaveTheKernelsNames) {
    line("1 eventfd2(0, EFD_CLOEXEC) = 3");
    line("1 epoll_create1(EPOLL_CLOEXEC) = 4");
    line("1 timerfd_create(CLOCK_MONOTONIC, 0) = 5");
    line("1 signalfd4(-1, [INT], 8, SFD_CLOEXEC) = 6");
    line("1 inotify_init1(0) = 7");
    line("1 memfd_create(\"x\", MFD_CLOEXEC) = 8");
    const char* names[] = {"anon_inode:[eventfd]",  "anon_inode:[eventpoll]", "anon_inode:[timerfd]",
                           "anon_inode:[signalfd]", "anon_inode:inotify",     "/memfd:x (deleted)"};
    for (int fd = 3; fd <= 8; ++fd) EXPECT_EQ(name(fd), names[fd - 3]);
    EXPECT_EQ(file(3).kind, IOLENS_FILE_ANON);
    line("1 execve(\"/bin/x\", [], 0x1) = 0");
    for (const int fd : {3, 4, 6, 8}) EXPECT_EQ(name(fd), "fd=" + std::to_string(fd));
    for (const int fd : {5, 7}) EXPECT_EQ(name(fd), names[fd - 3]);
}

/// With -y and -yy the log shows what an fd is.
TEST_F(FdTablesTest, FilesShownInTheLogTakePrecedence) {
    line("1 openat(AT_FDCWD, \"a\", O_RDONLY) = 3</tmp/a>");
    EXPECT_EQ(name(3), "/tmp/a");
    const LoggedFile moved = shown("3</tmp/\\76b>");
    EXPECT_EQ(moved.name, "/tmp/>b");
    EXPECT_EQ(moved.open_id, file(3).open_id);
    EXPECT_EQ(shown("9</dev/null<char 1:3>>").kind, IOLENS_FILE_CHARACTER);
    EXPECT_EQ(shown("9</dev/null<char 1:3>>").name, "/dev/null");
    EXPECT_EQ(shown("9</dev/sda<block 8:0>>").kind, IOLENS_FILE_DISK);
    EXPECT_EQ(shown("9<pipe:[77]>").ino, 77U);
    EXPECT_EQ(shown("9<anon_inode:[eventfd]>").kind, IOLENS_FILE_ANON);
    EXPECT_EQ(shown(R"(9<\x2f\x61>)").name, "/a");
    EXPECT_EQ(shown("AT_FDCWD</tmp>").name, "/tmp");

    const LoggedFile tcp = shown("9<TCPv6:[[::1]:40000->[::1]:80]>");
    EXPECT_EQ(tcp.kind, IOLENS_FILE_SOCKET);
    ASSERT_TRUE(tcp.peer);
    EXPECT_EQ(tcp.peer->family, AF_INET6);
    EXPECT_EQ(tcp.peer->port, 80);
    EXPECT_EQ(tcp.peer->bytes[15], 1);
    EXPECT_EQ(shown(R"(9<UNIX-STREAM:[1->2,"/run/y"]>)").name, "/run/y");

    // the inode number of a socket is less informative than its earlier calls
    line("1 socket(AF_INET, SOCK_STREAM, 0) = 4<socket:[55]>");
    EXPECT_EQ(shown("4<socket:[55]>").name, "tcp:");
    EXPECT_EQ(shown("5<socket:[56]>").name, "socket:[56]");
    // damaged addresses
    for (const char* damaged : {"9<TCP:[]>", "9<TCP:[1->2]>", "9<TCP:[1->x:y]>", "9<->>", "9<TCP:->]>"}) {
        EXPECT_FALSE(shown(damaged).peer) << damaged;
    }
}

/// A call's file is the one that its fd had when it began.
TEST_F(FdTablesTest, AClosesEffectIsAtItsBeginning) {
    line("1 open(\"/old\", O_RDONLY) = 10");
    line("1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 2");
    line("2 open(\"/new\", O_RDONLY <unfinished ...>");
    line("1 close(10 <unfinished ...>");
    line("2 <... open resumed>) = 10");
    line("1 <... close resumed>) = 0");
    EXPECT_EQ(name(10), "/new");
    // but if it was not open, the close has hit what was opened meanwhile
    line("1 close(10) = 0");
    line("2 open(\"/new\", O_RDONLY <unfinished ...>");
    line("1 close(10 <unfinished ...>");
    line("2 <... open resumed>) = 10");
    line("1 <... close resumed>) = 0");
    EXPECT_EQ(name(10), "fd=10");
    // not open at all
    line("2 open(\"/third\", O_RDONLY) = 10");
    line("1 close(10 <unfinished ...>");
    line("1 <... close resumed>) = -1 EBADF (x)");
    EXPECT_EQ(name(10), "/third");
}

TEST_F(FdTablesTest, AnInterruptedCallKeepsTheFileOfItsBeginning) {
    line("1 open(\"/fifo\", O_RDONLY) = 3");
    line("1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 2");
    line("2 read(3, <unfinished ...>");
    line("1 close(3) = 0");
    line("1 open(\"/other\", O_RDONLY) = 3");
    line("2 <... read resumed>\"x\", 1) = 1");
    EXPECT_EQ(seen_, "/fifo");
    line("2 dup2(3, 5 <unfinished ...>");
    line("1 close(3) = 0");
    EXPECT_EQ(name(5), "/other");
    line("2 <... dup2 resumed>) = 5");
    EXPECT_EQ(name(5), "/other");
    line("2 dup2(9, 5 <unfinished ...>");
    line("2 <... dup2 resumed>) = -1 EBADF (x)");
    EXPECT_EQ(name(5), "/other");
    line("2 dup(5 <unfinished ...>");
    line("1 close(5) = 0");
    line("2 <... dup resumed>) = 6");
    EXPECT_EQ(name(6), "/other");
    line("2 read(7, <unfinished ...>");
    line("1 open(\"/late\", O_RDONLY) = 7");
    line("2 <... read resumed>\"x\", 1) = 1");
    EXPECT_EQ(seen_, "fd=7");
}

TEST_F(FdTablesTest, TwoClonesAtOnceAreToldApart) {
    line("1 open(\"/of-1\", O_RDONLY) = 3");
    line("2 open(\"/of-2\", O_RDONLY) = 3");
    line("1 fork( <unfinished ...>");
    line("2 fork( <unfinished ...>");
    EXPECT_FALSE(tables_.meet(12));
    EXPECT_FALSE(tables_.meet(11));
    line("2 <... fork resumed>) = 12");
    EXPECT_TRUE(tables_.is_known(12));
    EXPECT_TRUE(tables_.meet(11));  // only one is left
    line("1 <... fork resumed>) = 11");
    EXPECT_EQ(name(3, 11), "/of-1");
    EXPECT_EQ(name(3, 12), "/of-2");
}

TEST_F(FdTablesTest, APidOfAnotherNamespaceIsTranslated) {
    line("1 open(\"/a\", O_RDONLY) = 3");
    line("1 clone(child_stack=NULL, flags=SIGCHLD) = 2 /* 4243 in strace's PID NS */");
    EXPECT_EQ(name(3, 4243), "/a");
    EXPECT_EQ(name(3, 2), "fd=3");
}

TEST_F(FdTablesTest, RelativePathsHaveADirectory) {
    line("1 open(\"rel\", O_RDONLY) = 3");
    EXPECT_EQ(path(3), "");
    line("1 open(\"/srv/data\", O_RDONLY|O_DIRECTORY) = 5");
    line("1 openat(5, \"seg/1\", O_RDONLY) = 6");
    EXPECT_EQ(name(6), "seg/1");
    EXPECT_EQ(path(6), "/srv/data/seg/1");
    line("1 openat(6, \"./x\", O_RDONLY) = 7");
    EXPECT_EQ(path(7), "/srv/data/seg/1/x");
    line("1 chdir(\"/var\") = 0");
    line("1 chdir(\"lib\") = 0");
    line("1 open(\"a\", O_RDONLY) = 8");
    EXPECT_EQ(path(8), "/var/lib/a");
    line("1 fork() = 2");
    line("1 clone(child_stack=0x1, flags=CLONE_FS|CLONE_FILES) = 3");
    line("3 fchdir(5) = 0");
    line("1 open(\"b\", O_RDONLY) = 9");
    EXPECT_EQ(path(9), "/srv/data/b");
    line("2 open(\"c\", O_RDONLY) = 9");
    EXPECT_EQ(path(9, 2), "/var/lib/c");
    line("1 openat(AT_FDCWD</tmp>, \"d\", O_RDONLY) = 9");
    EXPECT_EQ(path(9), "/tmp/d");
    line("1 openat(77, \"e\", O_RDONLY) = 9");
    EXPECT_EQ(path(9), "");
    line("1 openat(77</opt>, \"e\", O_RDONLY) = 9");
    EXPECT_EQ(path(9), "/opt/e");
    line("2 chroot(\"/jail\") = 0");
    line("2 open(\"/etc/x\", O_RDONLY) = 9");
    EXPECT_EQ(path(9, 2), "/jail/etc/x");
}

TEST_F(FdTablesTest, AnUnnamedFileGetsItsNameByLinkat) {
    line("1 openat(AT_FDCWD, \"/srv/dir\", O_RDWR|O_TMPFILE, 0600) = 3");
    EXPECT_EQ(name(3), "/srv/dir/#… (deleted)");
    line("1 dup(3) = 4");
    line("1 linkat(AT_FDCWD, \"/proc/self/fd/3\", AT_FDCWD, \"/srv/dir/final\", AT_SYMLINK_FOLLOW) = 0");
    EXPECT_EQ(name(3), "/srv/dir/final");
    EXPECT_EQ(name(4), "/srv/dir/final");
    line("1 openat(AT_FDCWD, \"/srv/dir\", O_RDWR|O_TMPFILE, 0600) = 5");
    line("1 chdir(\"/srv\") = 0");
    line("1 linkat(5, \"\", AT_FDCWD, \"x\", AT_EMPTY_PATH) = 0");
    EXPECT_EQ(path(5), "/srv/x");
    // a second name of a file that has one
    line("1 linkat(5, \"\", AT_FDCWD, \"y\", AT_EMPTY_PATH) = 0");
    EXPECT_EQ(path(5), "/srv/x");
}

TEST_F(FdTablesTest, FdsComeWithMessages) {
    line("1 open(\"/a\", O_RDONLY) = 5");
    line(
        "1 recvmsg(3, {msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5]}]}, 0) = "
        "1");
    EXPECT_EQ(name(5), "fd=5");
    line(
        "1 recvmsg(3, {msg_control=[{cmsg_type=SCM_RIGHTS, cmsg_data=[5</x, y>, 6</b>(deleted), 7<pipe:[9]>]}]}, 0) = "
        "1");
    EXPECT_EQ(name(5), "/x, y");
    EXPECT_EQ(name(6), "/b (deleted)");
    EXPECT_EQ(file(7).ino, 9U);
    line("1 recvmsg(3, {msg_control=[{cmsg_len=20, cmsg_type=SCM_RIGHTS, {5, 6}}]}, 0) = 1");
    EXPECT_EQ(name(6), "fd=6");
}

TEST_F(FdTablesTest, AProgramIsExecutedByAnyThread) {
    line("1 open(\"/a\", O_RDONLY|O_CLOEXEC) = 3");
    line("1 open(\"/b\", O_RDONLY) = 4");
    line("1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 2");
    line("2 execve(\"/bin/x\", [], 0x1 <unfinished ...>");
    line("1 +++ superseded by execve in pid 2 +++");
    line("1 <... execve resumed>) = 0");
    EXPECT_EQ(name(3), "fd=3");
    EXPECT_EQ(name(4), "/b");
    EXPECT_EQ(tables_.process_of(1), 1U);
    EXPECT_FALSE(tables_.is_known(2));
}

TEST_F(FdTablesTest, ACopyOfAnUnknownFdIsNotAStream) {
    line("1 dup2(3, 0) = 0");
    EXPECT_EQ(name(0), "fd=3");
}

/// Each process has its table, but a fork copies nothing.
TEST_F(FdTablesTest, ManyForksOfAProcessWithManyFds) {
    for (int fd = 3; fd < 5000; ++fd) line("1 open(\"/a\", O_RDONLY) = " + std::to_string(fd));
    const auto begin = std::chrono::steady_clock::now();
    for (int child = 2; child < 10'000; ++child) {
        line("1 clone(child_stack=NULL, flags=SIGCHLD) = " + std::to_string(child));
        line(std::to_string(child) + " close(7) = 0");
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    EXPECT_EQ(name(7, 9'999), "fd=7");
    EXPECT_EQ(name(8, 9'999), "/a");
    EXPECT_EQ(name(7, 1), "/a");
}

TEST(FdPair, ParsesBothFds) {
    using Pair = std::vector<std::string_view>;
    EXPECT_EQ(pair_of("[3, 4]"), (Pair{"3", "4]"}));
    EXPECT_EQ(pair_of("[3</a, b>, 4</c>]"), (Pair{"3</a, b>", "4</c>]"}));
    for (const char* text : {"", "0x7fff", "[", "[3]", "[3</a, b>"}) EXPECT_LT(pair_of(text).size(), 2U);
}

TEST(LoggedAddress, ParsesEachFamily) {
    std::string path;
    const auto v6 = address_of(
        "{sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, \"2001:db8::1\", "
        "&sin6_addr), sin6_scope_id=0}",
        path);
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->family, AF_INET6);
    EXPECT_EQ(v6->port, 443);
    EXPECT_EQ(v6->bytes[0], 0x20);
    EXPECT_EQ(v6->bytes[15], 1);
    EXPECT_EQ(path, "");

    ASSERT_TRUE(address_of("{sa_family=AF_UNIX, sun_path=@\"x\"}", path));
    EXPECT_EQ(path, "@x");
    EXPECT_EQ(address_of("{sa_family=AF_UNIX}", path)->family, AF_UNIX);
    EXPECT_EQ(path, "");
    EXPECT_EQ(address_of("{sa_family=AF_PACKET}", path)->family, 0xffff);

    // -X raw and -X verbose
    const auto raw = address_of(R"({sa_family=0x2, sin_port="\x00\x50", sin_addr="\xc0\x00\x02\x01"})", path);
    ASSERT_TRUE(raw);
    EXPECT_EQ(raw->port, 80);
    EXPECT_EQ(raw->bytes[0], 192);
    const auto both = address_of(R"({sa_family=0x2 /* AF_INET */, sin_port="\x00\x50" /* htons(80) */, )"
                                 R"(sin_addr="\xc0\x00\x02\x01" /* inet_addr("192.0.2.1") */})",
                                 path);
    ASSERT_TRUE(both);
    EXPECT_EQ(both->family, AF_INET);

    // not a port
    EXPECT_EQ(address_of("{sa_family=AF_INET, sin_port=htons(65536), sin_addr=inet_addr(\"192.0.2.1\")}", path)->port,
              0);
    for (const char* text : {"", "NULL", "0x7fff", "{sa_family=", "{sa_family=AF_INET}",
                             "{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"192.0.2\")}",
                             "{sa_family=AF_INET6, inet_pton(AF_INET6, \"192.0.2.1\")}"}) {
        EXPECT_FALSE(address_of(text, path)) << text;
    }
}

TEST_F(FdTablesTest, ThreadsWithoutALoggedEndAreEvicted) {
    for (u32 tid = 2; tid < 200'000; ++tid) {
        line(std::to_string(tid) + " openat(AT_FDCWD, \"/f\", O_RDONLY) = 3");
        if (tid % 1000 == 0) line("1 read(0, \"\", 1) = 0");
    }
    EXPECT_LE(tables_.size(), (1U << 16) + 1);
    EXPECT_EQ(name(3, 199'999), "/f");
    EXPECT_EQ(name(3, 2), "fd=3");
}

}  // namespace
}  // namespace iolens
