// SPDX-License-Identifier: Apache-2.0
// iolens fd on the running kernel, compared with what the test's program reports and with strace.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <regex>
#include <set>
#include <stop_token>
#include <thread>

#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

class Fd : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// The traced program's report of its calls: in shared memory, so that reporting needs no system call.
class Diary {
public:
    Diary() {
        text_ = static_cast<char*>(
            ::mmap(nullptr, buffer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    }
    ~Diary() { ::munmap(text_, buffer); }
    Diary(const Diary&) = delete;
    Diary& operator=(const Diary&) = delete;

    void write(const std::string& line) {
        std::memcpy(text_ + at_, line.c_str(), line.size());
        at_ += line.size();
        text_[at_++] = '\x1e';
    }
    [[nodiscard]] std::vector<std::string> lines() const { return split(std::string(text_), '\x1e'); }

    /// An expected row. Negative numbers: an empty field.
    void row(const std::string& call, s64 fd, char dir, s64 offset, s64 requested, s64 bytes, const std::string& file,
             const std::string& error = {}) {
        const auto number = [](s64 n) { return n < 0 ? std::string() : std::to_string(n); };
        write(call + "|" + number(fd) + "|" + (dir == '-' ? "" : std::string(1, dir)) + "|" + number(offset) + "|" +
              number(requested) + "|" + number(bytes) + "|" + error + "|" + file);
    }

private:
    static constexpr std::size_t buffer = 64 << 20;
    char* text_;
    std::size_t at_ = 0;
};

struct Played {
    pid_t pid = 0;
    std::vector<Row> rows;
    std::vector<std::string> seen;      ///< rows, in the format of a diary
    std::vector<std::string> expected;  ///< the diary
    Result result;
};

/// Runs `work` in a child that is traced by `iolens fd -p`.
Played play_once(const std::function<void(Diary&)>& work, std::vector<std::string> options) {
    Diary diary;
    Played played;
    std::array<int, 2> gate{};
    EXPECT_EQ(::pipe(gate.data()), 0);
    played.pid = ::fork();
    if (played.pid == 0) {
        ::close(gate[1]);
        ::alarm(120);  // a call that blocks forever must not delay the other tests
        char go = 0;
        if (::read(gate[0], &go, 1) != 1) ::_exit(1);
        work(diary);
        ::_exit(0);
    }
    ::close(gate[0]);
    options.insert(options.begin(), {"fd", "-p", std::to_string(played.pid), "--ring-size", "64", "--columns",
                                     "call,tid,fd,dir,offset,requested,bytes,error,kind,file,peer,peer_port"});
    Tracer tracer(options);
    EXPECT_EQ(::write(gate[1], "!", 1), 1);
    ::close(gate[1]);
    int status = 0;
    ::waitpid(played.pid, &status, 0);
    EXPECT_EQ(status, 0);
    played.result = tracer.stop(0);
    EXPECT_EQ(played.result.status, 0) << played.result.err;
    played.rows = parse_csv(played.result.out);
    // with -v, which reports when all is attached, each call has a row, even one that never returns
    const std::set<std::string> no_io{"exit_group",
                                      "newfstatat",
                                      "fstat",
                                      "getsockname",
                                      "wait4",
                                      "clone",
                                      "clone3",
                                      "rt_sigaction",
                                      "set_robust_list",
                                      "rt_sigprocmask",
                                      "getpid",
                                      "gettid",
                                      "alarm",
                                      "setitimer",
                                      "rename",
                                      "renameat",
                                      "unlink",
                                      "unlinkat",
                                      "exit",
                                      "futex",
                                      "getrandom",
                                      "brk",
                                      "rseq",
                                      "mprotect",
                                      "kill",
                                      "tgkill",
                                      "rt_sigreturn",
                                      "sched_yield",
                                      "madvise",
                                      "clock_nanosleep"};
    const auto ends = [](const Row& r) { return r.at("call") == "exit_group"; };
    EXPECT_EQ(std::ranges::any_of(played.rows, ends), std::ranges::find(options, "--op") == options.end());
    std::erase_if(played.rows, [&](const Row& r) { return no_io.contains(r.at("call")); });
    for (const Row& r : played.rows) {
        played.seen.push_back(r.at("call") + "|" + r.at("fd") + "|" + r.at("dir") + "|" + r.at("offset") + "|" +
                              r.at("requested") + "|" + r.at("bytes") + "|" + r.at("error") + "|" + r.at("file"));
    }
    played.expected = diary.lines();
    return played;
}

void expect_same(const Played& p) {
    ASSERT_EQ(p.seen.size(), p.expected.size())
        << p.result.out.substr(p.result.out.size() - std::min<std::size_t>(p.result.out.size(), 1500));
    for (std::size_t i = 0; i < p.seen.size(); ++i) EXPECT_EQ(p.seen[i], p.expected[i]) << "row " << i;
}

/// Likewise; a loss fails the round.
Played play(
    const std::function<void(Diary&)>& work, const std::vector<std::string>& options = {},
    const std::function<void()>& prepare = [] {}) {
    prepare();
    Played played = play_once(work, options);
    EXPECT_FALSE(lost(played.result)) << played.result.err;
    return played;
}

/// Each call is made 23 times; all rows must be there, in order.
constexpr int times = 23;

EXACT_TEST_F(Fd, ReadsAndWritesAreWhatTheProgramDid) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "data";
    const Played p = play([&](Diary& d) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
        d.row("openat", fd, '-', 0, -1, -1, path);
        std::array<char, 4096> buffer{};
        s64 at = 0;
        for (int i = 0; i < times; ++i) {
            const auto n = static_cast<std::size_t>(100 + i);
            d.row("write", fd, 'W', at, static_cast<s64>(n), ::write(fd, buffer.data(), n), path);
            at += static_cast<s64>(n);
        }
        d.row("lseek", fd, '-', at, -1, -1, path);
        ::lseek(fd, 0, SEEK_SET);
        at = 0;
        for (int i = 0; i < times; ++i) {
            const s64 n = ::read(fd, buffer.data(), 200);
            d.row("read", fd, 'R', at, 200, n, path);
            at += n;
        }
        for (int i = 0; i < times; ++i) {
            d.row("pread64", fd, 'R', i * 7, 50, ::pread(fd, buffer.data(), 50, i * 7), path);
            d.row("pwrite64", fd, 'W', i * 9, 60, ::pwrite(fd, buffer.data(), 60, i * 9), path);
        }
        const std::array<iovec, 3> pieces{
            iovec{buffer.data(), 11}, {buffer.data() + 100, 0}, {buffer.data() + 200, 31}};
        for (int i = 0; i < times; ++i) {
            const s64 before = ::lseek(fd, i, SEEK_SET);
            d.row("lseek", fd, '-', at, -1, -1, path);
            at = before + ::readv(fd, pieces.data(), 3);
            d.row("readv", fd, 'R', before, 42, at - before, path);
            d.row("writev", fd, 'W', at, 42, ::writev(fd, pieces.data(), 3), path);
            at += 42;
            d.row("preadv", fd, 'R', i, 42, ::preadv(fd, pieces.data(), 3, i), path);
            d.row("pwritev", fd, 'W', i, 42, ::pwritev(fd, pieces.data(), 3, i), path);
            const s64 n = ::syscall(SYS_preadv2, fd, pieces.data(), 3, -1L, -1L, 0);  // at the current file position
            d.row("preadv2", fd, 'R', at, 42, n, path);
            at += n;
        }
        ::fsync(fd);
        d.row("fsync", fd, '-', at, -1, -1, path);
        ::ftruncate(fd, 10);
        d.row("ftruncate", fd, '-', at, -1, -1, path);
        char* map = static_cast<char*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 4096));
        EXPECT_NE(map, MAP_FAILED);
        d.row("mmap", fd, '-', 4096, 8192, -1, path);
        ::close(fd);
        d.row("close", fd, '-', at, -1, -1, path);
        ::read(fd, buffer.data(), 5);
        d.row("read", fd, 'R', -1, 5, -1, "fd=" + std::to_string(fd), "EBADF");
        const int directory = ::open("/", O_RDONLY | O_DIRECTORY);
        d.row("openat", directory, '-', -1, -1, -1, "/");
        ::read(directory, buffer.data(), 5);
        d.row("read", directory, 'R', -1, 5, -1, "/", "EISDIR");
    });
    expect_same(p);
}

/// A call that moves from one fd to another is two rows.
TRACED_TEST_F(Fd, TwoSidedCallsAreTwoRows) {
    const Scratch scratch;
    const std::string directory = std::filesystem::canonical(scratch.path());
    const std::string from = directory + "/from";
    const std::string to = directory + "/to";
    spit(from, std::string(5000, 'x'));
    std::array<int, 2> shared{};
    ASSERT_EQ(::pipe(shared.data()), 0);
    std::array<int, 2> second{};
    ASSERT_EQ(::pipe(second.data()), 0);
    const int in = ::open(from.c_str(), O_RDONLY);
    const int out = ::open(to.c_str(), O_RDWR | O_CREAT, 0600);
    struct stat info{};
    ::fstat(shared[0], &info);
    const std::string one = "pipe:[" + std::to_string(info.st_ino) + "]";
    ::fstat(second[0], &info);
    const std::string two = "pipe:[" + std::to_string(info.st_ino) + "]";
    const Played p = play([&](Diary& d) {
        s64 at = 0;
        for (int i = 0; i < times; ++i) {
            off_t offset = i * 10;
            const s64 n = ::sendfile(out, in, &offset, 77);
            d.row("sendfile", in, 'R', i * 10, 77, n, from);
            d.row("sendfile", out, 'W', at, 77, n, to);
            at += n;
            loff_t source = i;
            loff_t target = i * 3;
            const s64 copied = ::syscall(SYS_copy_file_range, in, &source, out, &target, 33UL, 0U);
            d.row("copy_file_range", in, 'R', i, 33, copied, from, copied < 0 ? "EXDEV" : "");
            d.row("copy_file_range", out, 'W', i * 3, 33, copied, to, copied < 0 ? "EXDEV" : "");
            loff_t spliced = i * 5;
            const s64 moved = ::splice(in, &spliced, shared[1], nullptr, 55, 0);
            d.row("splice", in, 'R', i * 5, 55, moved, from);
            d.row("splice", shared[1], 'W', -1, 55, moved, one);
            const s64 doubled = ::tee(shared[0], second[1], 55, 0);
            d.row("tee", shared[0], 'R', -1, 55, doubled, one);
            d.row("tee", second[1], 'W', -1, 55, doubled, two);
            std::array<char, 100> buffer{};
            d.row("read", shared[0], 'R', -1, 100, ::read(shared[0], buffer.data(), 100), one);
            d.row("read", second[0], 'R', -1, 100, ::read(second[0], buffer.data(), 100), two);
        }
    });
    expect_same(p);
    for (const int fd : {shared[0], shared[1], second[0], second[1], in, out}) ::close(fd);
}

TRACED_TEST_F(Fd, SocketsHaveTheirPeers) {
    const Played p = play([&](Diary& d) {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof here;
        const int server = ::socket(AF_INET, SOCK_DGRAM, 0);
        d.row("socket", server, '-', -1, -1, -1, "udp:");
        ::bind(server, reinterpret_cast<sockaddr*>(&here), size);
        d.row("bind", server, '-', -1, -1, -1, "udp:");
        ::getsockname(server, reinterpret_cast<sockaddr*>(&here), &size);
        const int client = ::socket(AF_INET, SOCK_DGRAM, 0);
        d.row("socket", client, '-', -1, -1, -1, "udp:");
        sockaddr_in there = here;
        there.sin_port = 0;
        ::bind(client, reinterpret_cast<sockaddr*>(&there), size);
        d.row("bind", client, '-', -1, -1, -1, "udp:");
        ::getsockname(client, reinterpret_cast<sockaddr*>(&there), &size);
        const std::string at = "127.0.0.1:" + std::to_string(ntohs(here.sin_port));
        const std::string of = "127.0.0.1:" + std::to_string(ntohs(there.sin_port));
        std::array<char, 100> buffer{};
        for (int i = 0; i < times; ++i) {
            const auto n = static_cast<std::size_t>(i + 1);
            d.row("sendto", client, 'W', -1, i + 1,
                  ::sendto(client, buffer.data(), n, 0, reinterpret_cast<sockaddr*>(&here), sizeof here), at);
            sockaddr_in sender{};
            size = sizeof sender;
            d.row("recvfrom", server, 'R', -1, 100,
                  ::recvfrom(server, buffer.data(), 100, 0, reinterpret_cast<sockaddr*>(&sender), &size), of);
        }
        std::array<int, 2> pair{};
        ::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair.data());
        struct stat info{};
        std::array<std::string, 2> names;
        for (std::size_t i = 0; i < 2; ++i) {
            ::fstat(pair.at(i), &info);
            names.at(i) = "unix:[" + std::to_string(info.st_ino) + "]";
            d.row("socketpair", pair.at(i), '-', -1, -1, -1, names.at(i));
        }
        for (int i = 0; i < times; ++i) {
            std::array<iovec, 2> pieces{iovec{buffer.data(), static_cast<std::size_t>(i)},
                                        iovec{buffer.data() + 50, 7}};
            msghdr message{};
            message.msg_iov = pieces.data();
            message.msg_iovlen = 2;
            d.row("sendmsg", pair[0], 'W', -1, i + 7, ::sendmsg(pair[0], &message, 0), names[0]);
            d.row("recvmsg", pair[1], 'R', -1, i + 7, ::recvmsg(pair[1], &message, 0), names[1]);
            std::array<mmsghdr, 3> many{};
            for (mmsghdr& one : many) one.msg_hdr = message;
            ::sendmmsg(pair[0], many.data(), 3, 0);
            d.row("sendmmsg", pair[0], 'W', -1, -1, 3L * (i + 7), names[0]);
            ::recvmmsg(pair[1], many.data(), 3, 0, nullptr);
            d.row("recvmmsg", pair[1], 'R', -1, -1, 3L * (i + 7), names[1]);
        }
    });
    expect_same(p);
    const auto sent = std::ranges::find(p.rows, std::string("sendto"), [](const Row& r) { return r.at("call"); });
    ASSERT_NE(sent, p.rows.end());
    EXPECT_EQ(sent->at("peer"), "127.0.0.1");
    EXPECT_EQ(sent->at("kind"), "socket");
    EXPECT_NE(sent->at("peer_port"), "");
}

TRACED_TEST_F(Fd, UnixSocketsHaveNames) {
    const Scratch scratch;
    const std::string path = scratch.path("socket");
    const Played p = play([&](Diary&) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(static_cast<char*>(name.sun_path), path.c_str(), path.size() + 1);
        const int server = ::socket(AF_UNIX, SOCK_DGRAM, 0);
        ::bind(server, reinterpret_cast<sockaddr*>(&name), sizeof name);
        const int client = ::socket(AF_UNIX, SOCK_DGRAM, 0);
        ::connect(client, reinterpret_cast<sockaddr*>(&name), sizeof name);
        ::send(client, "abc", 3, 0);
        const int other = ::socket(AF_UNIX, SOCK_DGRAM, 0);
        sockaddr_un abstract{};
        abstract.sun_family = AF_UNIX;
        std::memcpy(static_cast<char*>(abstract.sun_path), "\0iolens test", 12);
        ::bind(other, reinterpret_cast<sockaddr*>(&abstract), sizeof(sa_family_t) + 12);
        ::connect(client, reinterpret_cast<sockaddr*>(&abstract), sizeof(sa_family_t) + 12);
        ::send(client, "abcd", 4, 0);
    });
    std::vector<std::string> to;
    for (const Row& r : p.rows) {
        if (r.at("call") == "sendto") to.push_back(r.at("file"));
    }
    EXPECT_EQ(to, (std::vector<std::string>{path, "@iolens test"}));
}

/// An fd's file is the one in the kernel's table at the time of the call, however it was opened.
TRACED_TEST_F(Fd, AnFdIsRightHoweverItCame) {
    const Scratch scratch;
    const std::string directory = std::filesystem::canonical(scratch.path());
    const std::string first = directory + "/first";
    const std::string second = directory + "/second";
    const std::string third = directory + "/third";
    const auto prepare = [&] {
        for (const std::string& path : {first, second, third}) {
            if (path != first || !std::filesystem::exists(first)) spit(path, "0123456789");
        }
    };
    prepare();
    const int inherited = ::open(first.c_str(), O_RDONLY);  // before tracing begins
    const Played p = play(
        [&](Diary& d) {
            std::array<char, 8> buffer{};
            const auto read_it = [&](int fd, const std::string& file) {
                d.row("pread64", fd, 'R', 1, 4, ::pread(fd, buffer.data(), 4, 1), file);
            };
            read_it(inherited, first);
            const int fd = ::open(second.c_str(), O_RDONLY);
            // fork
            pid_t child = ::fork();
            if (child == 0) {
                ::pread(fd, buffer.data(), 3, 2);
                ::_exit(0);
            }
            ::waitpid(child, nullptr, 0);
            // a shared fd table, in another address space
            child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
            if (child == 0) {
                const int more = ::open(third.c_str(), O_RDONLY);
                ::dup2(more, 77);
                ::_exit(0);
            }
            ::waitpid(child, nullptr, 0);
            read_it(77, third);
            // dup onto an open fd
            ::dup2(inherited, fd);
            read_it(fd, first);
            // received over a socket
            std::array<int, 2> pair{};
            ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data());
            std::array<char, CMSG_SPACE(sizeof(int))> control{};
            char byte = 'x';
            iovec piece{&byte, 1};
            msghdr message{};
            message.msg_iov = &piece;
            message.msg_iovlen = 1;
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof(int));
            const int given = ::open(second.c_str(), O_RDONLY);
            std::memcpy(CMSG_DATA(head), &given, sizeof given);
            ::sendmsg(pair[0], &message, 0);
            ::close(given);
            ::recvmsg(pair[1], &message, 0);
            int received = -1;
            std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
            read_it(received, second);
            // renamed and deleted while open
            ::rename(second.c_str(), (directory + "/renamed").c_str());
            read_it(received, directory + "/renamed");
            ::unlink((directory + "/renamed").c_str());
            read_it(received, directory + "/renamed (deleted)");
        },
        {}, prepare);
    std::vector<std::string> seen;
    bool child_read = false;
    for (std::size_t i = 0; i < p.rows.size(); ++i) {
        if (p.rows[i].at("call") != "pread64") continue;
        if (p.rows[i].at("tid") == std::to_string(p.pid)) {
            seen.push_back(p.seen[i]);
        } else {
            child_read = p.rows[i].at("file") == second && p.rows[i].at("bytes") == "3";
        }
    }
    EXPECT_EQ(seen, p.expected);
    EXPECT_TRUE(child_read) << p.result.out;
    ::close(inherited);
}

/// vfork, exec from a thread other than the first, and the fds that remain after close-on-exec.
TRACED_TEST_F(Fd, ExecKeepsWhatItShould) {
    const Scratch scratch;
    const std::string kept = scratch.path("kept");
    const std::string closed = scratch.path("closed");
    spit(kept, "0123456789");
    spit(closed, "0123456789");
    const Played p = play([&](Diary&) {
        const int stays = ::open(kept.c_str(), O_RDONLY);
        const int goes = ::open(closed.c_str(), O_RDONLY | O_CLOEXEC);
        ::dup2(stays, 7);
        ::dup3(goes, 8, O_CLOEXEC);
        const pid_t child = ::vfork();
        if (child == 0) {
            ::execl("/bin/sh", "sh", "-c", "read x <&7; read y <&8; exit 0", nullptr);
            ::_exit(1);
        }
        ::waitpid(child, nullptr, 0);
        // exec gives the process's id to this thread
        std::thread([] {
            ::execl("/bin/sh", "sh", "-c", "read x <&7; exit 0", nullptr);
            ::_exit(1);
        }).join();
    });
    std::set<std::string> tids;
    std::size_t reads = 0;
    for (const Row& r : p.rows) {
        if (r.at("call") == "read" && r.at("file") == kept) {
            ++reads;
            tids.insert(r.at("tid"));
        }
        EXPECT_FALSE(r.at("call") == "read" && r.at("file") == closed) << p.result.out;
    }
    EXPECT_EQ(tids.size(), 2U) << p.result.out;
    EXPECT_TRUE(tids.contains(std::to_string(p.pid)));
    EXPECT_GE(reads, 2U);
}

/// In another root or mount namespace, files have the paths of that process.
TRACED_TEST_F(Fd, PathsAreThoseOfTheProcess) {
    const Scratch scratch;
    const std::string root = std::filesystem::canonical(scratch.path());
    std::filesystem::create_directories(root + "/jail/etc");
    std::filesystem::create_directories(root + "/mnt");
    spit(root + "/jail/etc/f", "0123456789");
    const Played p = play([&](Diary&) {
        std::array<char, 8> buffer{};
        if (::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            ::mount("none", (root + "/mnt").c_str(), "tmpfs", 0, nullptr) == 0) {
            const int own = ::open((root + "/mnt/own").c_str(), O_RDWR | O_CREAT, 0600);
            static_cast<void>(::pwrite(own, "abc", 3, 0));
        }
        if (::chroot((root + "/jail").c_str()) != 0) return;
        const int fd = ::open("/etc/f", O_RDONLY);
        static_cast<void>(::pread(fd, buffer.data(), 7, 1));
    });
    const auto file_of = [&](std::string_view call) {
        const auto at = std::ranges::find(p.rows, call, [](const Row& r) { return std::string_view(r.at("call")); });
        return at == p.rows.end() ? std::string("no row") : at->at("file");
    };
    // from the root of its namespace: the observer also sees the path outside the chroot
    EXPECT_EQ(file_of("pread64"), root + "/jail/etc/f");
    EXPECT_EQ(file_of("pwrite64"), root + "/mnt/own");
}

TRACED_TEST_F(Fd, AMillionOpenFds) {
    rlimit limit{1'000'000, 1'000'000};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);  // as many as allowed
    NEEDS(limit.rlim_max >= 10'000, "few fds are allowed here");
    const rlim_t max = std::min<rlim_t>(1'000'000, limit.rlim_max);
    const Scratch scratch;
    const std::string path = scratch.path("one");
    spit(path, "0123456789");
    const Played p = play(
        [&](Diary& d) {
            rlimit raised{max, max};
            ::setrlimit(RLIMIT_NOFILE, &raised);
            const int fd = ::open(path.c_str(), O_RDONLY);
            int last = fd;
            for (rlim_t i = 0; i + 64 < max; ++i) {
                const int next = ::dup(fd);
                if (next < 0) break;
                last = next;
            }
            std::array<char, 8> buffer{};
            d.row("pread64", last, 'R', 1, 4, ::pread(last, buffer.data(), 4, 1), path);
        },
        {"--op", "pread64"});
    EXPECT_GE(static_cast<rlim_t>(std::stoull("0" + p.rows.at(0).at("fd"))), max - 200);
    expect_same(p);
}

/// Each row causes I/O in every process that reads it. If that were traced, rows would never end.
TEST_F(Fd, TheProcessesOfItsPipelineHaveNoRows) {
    const Scratch scratch;
    const std::string cat = scratch.path("pipeline-cat");
    shell("cp $(command -v cat) " + cat);
    const Result r = shell("iolens fd --comm pipeline-cat --columns tid,call --format csv 2 | " + cat + " | " + cat +
                           " | " + cat + " | cat");
    EXPECT_EQ(r.out, "tid,call\r\n");  // this line alone was read three times
}

TEST_F(Fd, AClientOfItsSocketHasNoRows) {
    const Scratch scratch;
    const std::string path = scratch.path("socket");
    const std::string comm = slurp("/proc/self/comm");
    const Tracer tracer({"fd", "--comm", comm.substr(0, comm.size() - 1), "--socket", path});
    const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ASSERT_EQ(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const pid_t other = ::fork();  // same comm, but not a client
    if (other == 0) {
        ::alarm(60);
        const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        while (::write(null, "x", 1) == 1) ::usleep(1000);
        ::_exit(1);
    }
    std::string all;
    std::array<char, 65536> bytes{};
    while (std::ranges::count(all, '\n') < 500) {  // each of our reads would be a row
        const ssize_t n = ::read(client, bytes.data(), bytes.size());
        ASSERT_GT(n, 0);
        all.append(bytes.data(), static_cast<std::size_t>(n));
    }
    ::close(client);
    ::kill(other, SIGKILL);
    ::waitpid(other, nullptr, 0);
    EXPECT_NE(all.find("\"tid\":" + std::to_string(other) + ","), std::string::npos) << all.substr(0, 300);
    EXPECT_EQ(all.find("\"tid\":" + std::to_string(::getpid()) + ","), std::string::npos) << all.substr(0, 300);
}

TEST_F(Fd, EachOpenFileIsAddedUp) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "added";
    const Result r = shell("cd " + scratch.path() + "; iolens fd --summary=open --format json -o rows -- sh -c " +
                           "'printf 12345 > added; printf 123 >> added; cat added; true 9<added' >/dev/null");
    const std::string rows = slurp(scratch.path("rows"));
    std::vector<std::string> moved;
    for (const Json& row : parse_json_lines(rows)) {
        if (row.at("type") != "summary" || text_or_null(row.at("file")) != path) continue;
        moved.push_back(std::to_string(number(row.at("read_bytes"))) + " " +
                        std::to_string(number(row.at("write_bytes"))));
    }
    EXPECT_EQ(moved, (std::vector<std::string>{"0 5", "0 3", "8 0", "0 0"})) << rows << r.err;
}

/// An exec comes before the start and the directory of its program.
TRACED_TEST_F(Fd, AnExecComesBeforeTheStartOfItsProgram) {
    const Scratch scratch;
    for (const bool plain : {false, true}) {
        if (plain) ::setenv("IOLENS_PROBE", "plain", 1);
        const Result r = shell("iolens fd --domains START_STOP,PROCESSES,DIRS --format csv --columns op,arg1 -o " +
                               scratch.path("rows") + " -- /bin/sh -c 'exec /bin/true'");
        ::unsetenv("IOLENS_PROBE");
        EXPECT_EQ(r.status, 0) << r.err;
        const std::string rows = slurp(scratch.path("rows"));
        const std::vector<std::string> operations{"EXEC,/bin/sh",   "START,/bin/sh",   "CHDIR,",
                                                  "EXEC,/bin/true", "START,/bin/true", "CHDIR,"};
        std::size_t at = 0;
        for (const std::string& operation : operations) {
            at = rows.find(operation, at);
            ASSERT_NE(at, std::string::npos) << operation << "\n" << rows;
        }
    }
}

/// In the order of cause: FORK, with the child's ID, then the child's START and CHDIR, then what it does.
TRACED_TEST_F(Fd, AForkComesBeforeTheStartOfItsChild) {
    const Scratch scratch;
    for (const bool plain : {false, true}) {
        for (const char* how : {"fork", "vfork", "clone3"}) {
            if (plain) ::setenv("IOLENS_PROBE", "plain", 1);
            const Result r =
                shell(std::string("iolens fd --domains START_STOP,PROCESSES,DIRS --format csv --columns op,pid,arg1 "
                                  "-o ") +
                      scratch.path("rows") + " -- " + helper() + " child-by " + how);
            ::unsetenv("IOLENS_PROBE");
            EXPECT_EQ(r.status, 0) << r.err;
            EXPECT_FALSE(lost(r)) << r.err;
            const std::string rows = slurp(scratch.path("rows"));
            std::smatch m;
            ASSERT_TRUE(std::regex_search(rows, m, std::regex("FORK,[0-9]+,([0-9]+)"))) << how << "\n" << rows;
            const std::string child = m[1];
            const std::vector<std::string> operations{"FORK,",         "START," + child, "CHDIR," + child,
                                                      "EXEC," + child, "START," + child, "CHDIR," + child,
                                                      "STOP," + child};
            std::size_t at = 0;
            for (const std::string& operation : operations) {
                at = rows.find(operation, at);
                ASSERT_NE(at, std::string::npos) << how << " " << operation << "\n" << rows;
                ++at;
            }
            std::size_t forks = 0;
            for (std::size_t i = rows.find("FORK,"); i != std::string::npos; i = rows.find("FORK,", i + 1)) ++forks;
            EXPECT_EQ(forks, 1U) << rows;
        }
    }
}

/// -p takes a process whose main thread has ended, and any thread of a process.
TRACED_TEST_F(Fd, AProcessWithoutItsMainThreadIsFollowed) {
    const Background process({helper(), "without-main-thread", "-"});
    ASSERT_TRUE(process.wait_for_rows(1)) << process.err();
    const std::string main = std::to_string(process.pid());
    const std::string other = split(process.out(), '\n').at(0);
    ASSERT_TRUE(wait_until([&] { return slurp("/proc/" + main + "/stat").find(" Z ") != std::string::npos; }));
    for (const std::string& pid : {main, other}) {
        Tracer tracer({"fd", "--format", "csv", "--columns", "pid,tid,call,bytes,file", "-p", pid});
        EXPECT_TRUE(tracer.wait_for_line(main + "," + other + ",read,77,/dev/zero")) << tracer.err();
        EXPECT_EQ(tracer.stop().status, 0);
    }
}

/// The strings of an exec are on a page that only the kernel touches: a program at its entry can't read them.
TRACED_TEST_F(Fd, AnExecHasItsPathThoughItsPageIsNotPresent) {
    const Scratch scratch;
    const std::string nowhere = scratch.path("nowhere");
    for (const std::string& program : {std::string("/bin/true"), nowhere}) {
        spit(scratch.path("strings"), program + std::string(1, '\0') + "first" + std::string(1, '\0'));
        const iolens::Fd fd(::open(scratch.path("strings").c_str(), O_RDONLY | O_CLOEXEC));
        void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd.get(), 0);
        ASSERT_NE(page, MAP_FAILED);
        char* const path = static_cast<char*>(page);
        std::array<char*, 2> arguments{path + program.size() + 1, nullptr};
        for (const std::vector<std::string>& view :
             {std::vector<std::string>{"-v", "--op", "execve", "--columns", "error,arguments"},
              {"--domains", "PROCESSES", "--columns", "error,arg1,arg2"}}) {
            std::vector<std::string> options{"fd", "--format", "csv", "-p", std::to_string(::getpid())};
            options.insert(options.end(), view.begin(), view.end());
            Tracer tracer(options);
            const pid_t child = ::fork();
            if (child == 0) {
                ::execve(path, arguments.data(), environ);
                ::_exit(0);
            }
            ::waitpid(child, nullptr, 0);
            const Result r = tracer.stop();
            EXPECT_NE(r.out.find(program), std::string::npos) << r.out << r.err;
            EXPECT_NE(r.out.find("first"), std::string::npos) << r.out << r.err;
            if (view.front() == "-v") {
                EXPECT_NE(r.out.find(R"([""first""],)"), std::string::npos) << r.out;
            }
            EXPECT_EQ(r.out.find("ENOENT") != std::string::npos, program == nowhere) << r.out;
        }
        ::munmap(page, 4096);
    }
}

/// --summary has the calls that move no bytes, with the time of their rows; and stat, which has no row.
TRACED_TEST_F(Fd, EachCallThatTakesTimeIsAddedUp) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "synced";
    for (const std::string format : {"csv", "json"}) {
        const Result r = shell("iolens fd --summary --format " + format + " --ring-size 32 -o " + scratch.path("rows") +
                               " -- " + helper() + " fsync " + path);
        EXPECT_EQ(r.status, 0) << r.err;
        if (format == "csv") {  // the default, whose rows have no fsync
            EXPECT_NE(r.err.find(" fsync "), std::string::npos) << r.err;
            EXPECT_NE(r.err.find("stat"), std::string::npos) << r.err;
            continue;
        }
        u64 time = 0;
        u64 syncs = 0;
        u64 writes = 0;
        u64 stats = 0;
        for (const Json& row : parse_json_lines(slurp(scratch.path("rows")))) {
            if (!row.contains("call")) continue;
            const std::string call = text_or_null(row.at("call"));
            if (row.at("type") == "fd") {
                time += call == "fsync" ? number(row.at("duration_ns")) : 0;
                continue;
            }
            const std::string file = text_or_null(row.at("file"));
            if (call == "fsync") {
                EXPECT_EQ(number(row.at("time_ns")), time);
                EXPECT_TRUE(file == path || file == "(others)") << file;
                syncs += number(row.at("calls"));
            }
            if (call.find("stat") != std::string::npos) stats += number(row.at("calls"));
            if (call.empty() && file == path) writes += number(row.at("writes"));
        }
        EXPECT_EQ(syncs, 40U);
        EXPECT_GE(stats, 40U);
        EXPECT_EQ(writes, 40U);
    }
}

/// Calls that move no bytes, 23 times each: fd, file and errno.
TRACED_TEST_F(Fd, StateCallsAreRowsToo) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "file";
    const Played p = play([&](Diary& d) {
        const auto log_line = [&](const char* call, long fd, const std::string& file, long result) {
            const std::string error = result < 0 ? ::strerrorname_np(errno) : "";
            d.write(std::string(call) + "|" + (fd < 0 ? "" : std::to_string(fd)) + "|" + error + "|" + file);
        };
        for (int i = 0; i < 23; ++i) {
            long fd = ::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            const int file = static_cast<int>(fd);
            log_line("openat", fd, path, fd);
#ifdef SYS_open
            fd = ::syscall(SYS_open, path.c_str(), O_RDONLY);
            log_line("open", fd, path, fd);
            log_line("close", fd, path, ::close(static_cast<int>(fd)));
            fd = ::syscall(SYS_creat, path.c_str(), 0600);
            log_line("creat", fd, path, fd);
            log_line("close", fd, path, ::close(static_cast<int>(fd)));
#endif
            log_line("openat", -1, "", ::syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY));
            fd = ::dup(file);
            log_line("dup", fd, path, fd);
            log_line("dup3", 90, path, ::dup3(file, 90, O_CLOEXEC));
            log_line("fcntl", 90, path, ::fcntl(90, F_GETFL));
            log_line("close", 90, path, ::close(90));
            log_line("close", 90, "fd=90", ::close(90));
            log_line("lseek", file, path, ::lseek(file, 5, SEEK_SET));
            log_line("lseek", file, path, ::lseek(file, -5, SEEK_SET));
            log_line("ftruncate", file, path, ::ftruncate(file, 8192));
            log_line("fallocate", file, path, ::fallocate(file, 0, 0, 16384));
            log_line("fdatasync", file, path, ::fdatasync(file));
            log_line("fsync", file, path, ::fsync(file));
            log_line("sync_file_range", file, path, ::sync_file_range(file, 0, 4096, SYNC_FILE_RANGE_WRITE));
            log_line("fadvise64", file, path, ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
            log_line("readahead", file, path, ::readahead(file, 0, 4096));
            log_line("close", fd, path, ::close(static_cast<int>(fd)));
            const int server = ::socket(AF_INET, SOCK_STREAM, 0);
            log_line("socket", server, "tcp:", server);
            sockaddr_in here{};
            here.sin_family = AF_INET;
            here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            socklen_t size = sizeof here;
            log_line("bind", server, "tcp:", ::bind(server, reinterpret_cast<sockaddr*>(&here), sizeof here));
            ::getsockname(server, reinterpret_cast<sockaddr*>(&here), &size);
            log_line("listen", server, "tcp:", ::listen(server, 5));
            const int client = ::socket(AF_INET, SOCK_STREAM, 0);
            log_line("socket", client, "tcp:", client);
            const std::string at = "127.0.0.1:" + std::to_string(ntohs(here.sin_port));
            log_line("connect", client, at, ::connect(client, reinterpret_cast<sockaddr*>(&here), sizeof here));
            sockaddr_in peer{};
            size = sizeof peer;
            fd = ::accept4(server, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC);
            log_line("accept4", fd, "127.0.0.1:" + std::to_string(ntohs(peer.sin_port)), fd);
            log_line("shutdown", client, at, ::shutdown(client, SHUT_WR));
            ::syscall(SYS_close_range, fd, fd, 0);
            ::syscall(SYS_close_range, client, client, 0);
            ::syscall(SYS_close_range, server, server, 0);
            const auto anonymous = [&](const char* call, int made, const std::string& name) {
                log_line(call, made, name, made);
                log_line("close", made, name, ::close(made));
            };
            anonymous("eventfd2", ::eventfd(0, 0), "anon_inode:[eventfd]");
            anonymous("timerfd_create", ::timerfd_create(CLOCK_MONOTONIC, 0), "anon_inode:[timerfd]");
            anonymous("inotify_init1", ::inotify_init1(0), "anon_inode:inotify");
            anonymous("memfd_create", ::memfd_create("m", 0), "/memfd:m (deleted)");
            const int epoll = ::epoll_create1(0);
            log_line("epoll_create1", epoll, "anon_inode:[eventpoll]", epoll);
            epoll_event event{};
            log_line("epoll_ctl", epoll, "anon_inode:[eventpoll]", ::epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event));
            log_line("close", epoll, "anon_inode:[eventpoll]", ::close(epoll));
            log_line("close", file, path, ::close(file));
        }
    });
    std::vector<std::string> seen;
    std::size_t ranges = 0;
    for (const Row& r : p.rows) {
        if (r.at("call") == "close_range") {
            ++ranges;
            continue;
        }
        seen.push_back(r.at("call") + "|" + r.at("fd") + "|" + r.at("error") + "|" + r.at("file"));
    }
    EXPECT_EQ(ranges, 3U * 23U);
    EXPECT_EQ(seen.size(), p.expected.size());
    for (std::size_t i = 0; i < seen.size() && i < p.expected.size(); ++i) ASSERT_EQ(seen[i], p.expected[i]) << i;
}

TRACED_TEST_F(Fd, NamesOfAllKindsAreWhole) {
    const Scratch scratch;
    const std::string directory = std::filesystem::canonical(scratch.path());
    std::vector<std::string> names{directory + "/a,b",         directory + "/a\"b",     directory + "/a\nb",
                                   directory + "/\x1b[31mred", directory + "/\xff\xfe", directory + "/ü"};
    // 4095 bytes, with directory names of 200
    std::string deep = directory;
    while (deep.size() + 201 < 4095) deep += "/" + std::string(200, 'd');
    const std::string longest = deep + "/" + std::string(4095 - deep.size() - 1, 'f');
    const Played p = play([&](Diary& d) {
        for (const std::string& name : names) {
            const int fd = ::open(name.c_str(), O_RDWR | O_CREAT, 0600);
            d.row("write", fd, 'W', 0, 3, ::write(fd, "abc", 3), name);
            ::close(fd);
        }
        std::string at = directory;
        while (at.size() < deep.size()) {
            at += "/" + std::string(200, 'd');
            ::mkdir(at.c_str(), 0700);
        }
        const int fd = ::open(longest.c_str(), O_RDWR | O_CREAT, 0600);
        EXPECT_GE(fd, 0);
        d.row("write", fd, 'W', 0, 3, ::write(fd, "abc", 3), longest);
        // the longest path that can be emitted whole
        ::close(fd);
    });
    std::vector<std::string> seen;
    for (std::size_t i = 0; i < p.rows.size(); ++i) {
        if (p.rows[i].at("call") == "write") seen.push_back(p.seen[i]);
    }
    EXPECT_EQ(seen, p.expected);
    EXPECT_EQ(longest.size(), 4095U);
}

/// Runs iolens; a loss fails the round.
Result whole_run(const std::vector<std::string>& words) {
    Result r = run(words);
    EXPECT_FALSE(lost(r)) << r.err;
    return r;
}

TRACED_TEST_F(Fd, ACommandIsSeenFromItsFirstCallAndItsStatusKept) {
    const Scratch scratch;
    const std::string rows = scratch.path("rows");
    Result r = whole_run({iolens_path(), "fd", "-o", rows, "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7"});
    EXPECT_EQ(r.status, 7);
    EXPECT_EQ(r.out, "out\n");
    EXPECT_EQ(r.err, "err\n");
    const std::string text = slurp(rows);
    EXPECT_EQ(text.substr(0, text.find('\n')), "time,dt,pid,fd,dir,bytes,file,port");
    EXPECT_TRUE(std::regex_search(text, std::regex(R"re(\d\d:\d\d:\d\d\.\d{6},\d+\.\d{6},\d+,1,W,4,"[^"]+",\n)re")))
        << text;
    // rows go to standard error if the command uses standard output
    r = whole_run({iolens_path(), "fd", "--", "/bin/sh", "-c", "echo out; kill -9 $$"});
    EXPECT_EQ(r.status, 137);
    EXPECT_EQ(r.out, "out\n");
    EXPECT_NE(r.err.find(",1,W,4,"), std::string::npos) << r.err;
    // iolens follows its children, and waits for them
    r = whole_run({iolens_path(), "fd", "-o", rows, "--columns", "call,bytes", "--op", "write", "--", "/bin/sh", "-c",
                   "(while grep -q '^State:.[^ZX]' /proc/$$/status; do sleep 0.01; done; echo late) & exit 0"});
    EXPECT_EQ(r.status, 0);
    EXPECT_NE(slurp(rows).find("write,5"), std::string::npos) << slurp(rows);
    r = run({iolens_path(), "fd", "-o", rows, "--user", "65534", "--", "/bin/sh", "-c", "id -u; id -G"});
    if (slurp("/etc/passwd").find(":65534:") != std::string::npos) {
        EXPECT_EQ(r.out, "65534\n65534\n") << r.err;
        // it inherits neither our variables nor our descriptors
        const std::string as_user = "exec 7</etc/passwd; export SECRET=1; iolens fd -o /dev/null --user 65534 ";
        for (const std::string& variable : split(shell(as_user + "-- env").out, '\n')) {
            const std::string name = variable.substr(0, variable.find('='));
            EXPECT_TRUE(std::set<std::string>({"HOME", "USER", "LOGNAME", "SHELL", "PATH"}).contains(name)) << variable;
        }
        EXPECT_EQ(shell(as_user + "-- sh -c 'ls /proc/$$/fd'").out, "0\n1\n2\n");
        EXPECT_NE(shell(as_user + "--preserve-env -- env").out.find("SECRET=1\n"), std::string::npos);
    } else {
        EXPECT_EQ(r.status, 125);
    }
    EXPECT_EQ(run({iolens_path(), "fd", "--user", "no such user", "--", "true"}).status, 125);
    EXPECT_EQ(run({iolens_path(), "fd", "--user", "0", "-p", "1"}).status, 2);
    EXPECT_EQ(run({iolens_path(), "fd", "--", "/no/such/command"}).status, 127);
    EXPECT_EQ(run({iolens_path(), "fd", "--", "/etc"}).status, 126);
    EXPECT_EQ(run({iolens_path(), "fd", "--"}).status, 125);
    EXPECT_EQ(run({iolens_path(), "fd", "-p", "1", "--", "true"}).status, 125);
    EXPECT_EQ(run({iolens_path(), "fd", "-p", "2147483000"}).status, 2);
}

/// fio's requests by libaio and io_uring: their number, offsets, file and fd.
TRACED_TEST_F(Fd, AsynchronousRequestsAreRows) {
    NEEDS(have("fio"), "fio is not installed");
    const Scratch scratch;
    const std::string file = scratch.path("data");
    spit(file, std::string(1 << 20, 'x'));
    const std::string fio = "fio --name=r --filename=" + file +
                            " --size=1m --bs=4k --rw=randwrite --iodepth=8 --number_ios=200 " +
                            "--output=/dev/null --ioengine=";
    struct Engine {
        const char* options;
        const char* calls;  ///< --op
        bool has_fd;
    };
    const std::array engines{Engine{"libaio --direct=1", "aio", true},
                             Engine{"io_uring", "io_uring", true},
                             Engine{"io_uring --direct=1", "io_uring", true},
                             Engine{"io_uring --fixedbufs", "io_uring", true},
                             Engine{"io_uring --registerfiles", "io_uring", false},
                             Engine{"io_uring --sqthread_poll=1 --registerfiles", "io_uring", false}};
    for (const Engine& engine : engines) {
        const std::string out = scratch.path("rows");
        const Result r =
            shell("iolens fd -v -o " + out + " --columns call,fd,offset,requested,bytes,file,comm,dir --op " +
                  engine.calls + " -- " + fio + engine.options);
        if (r.status != 0 && shell(fio + engine.options).status != 0) {
            std::printf("not here: fio %s\n", engine.options);
            continue;
        }
        ASSERT_EQ(r.status, 0) << engine.options << r.err;
        EXPECT_FALSE(lost(r)) << engine.options << r.err;
        std::vector<Row> rows = parse_csv(slurp(out));
        std::erase_if(rows, [](const Row& row) { return row.at("dir").empty(); });
        EXPECT_EQ(rows.size(), 200U) << engine.options << "\n" << r.err;
        std::set<std::string> offsets;
        for (const Row& row : rows) {
            offsets.insert(row.at("offset"));
            EXPECT_EQ(row.at("bytes"), "4096") << engine.options;
            EXPECT_EQ(row.at("file"), file) << engine.options;
            EXPECT_NE(row.at("comm"), "") << engine.options;
            const bool knows_fd = engine.has_fd && kernel_is_since(6, 1);
            EXPECT_EQ(row.at("fd").empty(), !knows_fd && engine.calls != std::string("aio")) << engine.options;
        }
        EXPECT_EQ(offsets.size(), 200U) << engine.options;
        EXPECT_NE(r.err.find("lost 0, in flight 0\n"), std::string::npos) << engine.options << r.err;
    }
}

TRACED_TEST_F(Fd, MappingsHaveTheirFile) {
    const Scratch scratch;
    const std::string path = scratch.path("mapped");
    spit(path, std::string(100'000, 'x'));
    const Played p = play([&](Diary& d) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        void* at = ::mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 8192);
        ::close(fd);
        static_cast<char*>(at)[5000] = 'y';
        d.row("openat", fd, '-', 0, -1, -1, path);
        d.row("mmap", fd, '-', 8192, 65536, -1, path);
        d.row("close", fd, '-', 0, -1, -1, path);
        ::msync(static_cast<char*>(at) + 4096, 4096, MS_SYNC);
        d.row("msync", -1, '-', 8192 + 4096, 4096, -1, path);
        ::munmap(at, 65536);
        d.row("munmap", -1, '-', 8192, 65536, -1, path);
        ::munmap(at, 65536);  // nothing is mapped any more
    });
    Played known = p;
    std::erase_if(known.seen, [](const std::string& row) { return row == "munmap||||65536|||"; });
    expect_same(known);
}

TRACED_TEST_F(Fd, BothEndsOfAPipeAreRows) {
    const Played p = play([&](Diary& d) {
        for (int i = 0; i < 23; ++i) {
            std::array<int, 2> ends{};
            static_cast<void>(::pipe2(ends.data(), O_CLOEXEC));
            struct stat info{};
            ::fstat(ends[0], &info);
            const std::string name = "pipe:[" + std::to_string(info.st_ino) + "]";
            for (const int end : ends) d.row("pipe2", end, '-', -1, -1, -1, name);
            for (const int end : ends) {
                ::close(end);
                d.row("close", end, '-', -1, -1, -1, name);
            }
        }
    });
    expect_same(p);
}

/// With -v: the same calls as in strace, with the same texts.
TRACED_TEST_F(Fd, EveryCallIsDecoded) {
    NEEDS(have("strace") && shell("strace -o /dev/null true").status == 0, "strace does not work here");
    const Scratch scratch;
    const std::string work =
        "cd " + scratch.path() + "; mkdir d; mv d 'e f'; rmdir 'e f'; ln -s x y; cat y; chmod 600 .";
    spit(scratch.path("w.sh"), work);
    shell("cd " + scratch.path() + "; strace -f -o log sh w.sh; rm -f y");
    const Result r =
        shell("cd " + scratch.path() + "; iolens fd -v -o rows --columns tid,call,arguments,error -- sh w.sh; rm -f y");
    ASSERT_FALSE(lost(r)) << r.err;
    std::multiset<std::string> theirs;
    std::multiset<std::string> ours;
    const std::regex line(R"re(^[0-9]+ +(\w+)\(.*?("[^"]+")[,)].*)re");
    for (const std::string& text : split(slurp(scratch.path("log")), '\n')) {
        std::smatch m;
        if (std::regex_search(text, m, line) && m[1] != "write" && m[1] != "read")
            theirs.insert(m[1].str() + " " + m[2].str());
    }
    for (const Row& row : parse_csv(slurp(scratch.path("rows")))) {
        std::smatch m;
        const std::string arguments = row.at("arguments");
        if (std::regex_search(arguments, m, std::regex("\"[^\"]+\""))) ours.insert(row.at("call") + " " + m[0].str());
    }
    EXPECT_GT(theirs.size(), 50U);
    std::vector<std::string> missing;
    std::ranges::set_difference(theirs, ours, std::back_inserter(missing));
    // texts that a call only returns are not among its arguments on entry
    std::erase_if(missing, [](const std::string& m) {
        return m.starts_with("pread64") || m.starts_with("readlink") || m.starts_with("getcwd") ||
               m.starts_with("prctl") || m.starts_with("getrandom") || m.starts_with("prlimit64");
    });
    EXPECT_TRUE(missing.empty()) << testing::PrintToString(missing);
    EXPECT_TRUE(ours.contains("mkdir \"d\"") || ours.contains("mkdirat \"d\"")) << slurp(scratch.path("rows"));
    // iomonitor's format: a line before the row
    const Result seed = shell("iolens fd -v -- echo hi 2>&1 >/dev/null");
    EXPECT_TRUE(
        std::regex_search(seed.out, std::regex(" [0-9]+,3,write,1, 0x[0-9a-f]+, 3\n[0-9:.]+,[0-9.]+,[0-9]+,1,W,3,")))
        << seed.out;
}

/// Logs of the installed strace, in each of its formats, produce the expected rows.
TEST(FdImport, TakesWhatStraceWrites) {
    NEEDS(have("strace") && shell("strace -o /dev/null true").status == 0, "strace does not work here");
    const Scratch scratch;
    const std::string work =
        "cd " + scratch.path() +
        "; printf hello > 'a b,c'; cat 'a b,c' | tr a-z A-Z > up; (exec 7<up; cat <&7) > copy; sleep 0.01 & wait";
    std::vector<std::string> forms{"-tt", "-ttt -v", "-tt -xx -yy -v"};
    if (!emulated()) {  // strace's format does not depend on the kernel
        std::ranges::copy(std::array{"-t", "-ttt", "-tt -y", "-tt -yy", "-tt -x", "-tt -xx"},
                          std::back_inserter(forms));
    }
    for (const std::string& form : forms) {
        for (const bool to_file : {true, false}) {
            const std::string log = scratch.path("log");
            shell("strace -f -T " + form + (to_file ? " -o " + log : "") + " sh -c " + "'" +
                  std::regex_replace(work, std::regex("'"), "'\\''") + "'" + (to_file ? "" : " 2>" + log));
            const Result r = run({iolens_path(), "fd", "-i", log, "--columns", "call,dir,bytes,file,tid"});
            EXPECT_EQ(r.status, 0) << r.err;
            EXPECT_EQ(r.err, "") << form << (to_file ? " to a file" : " to standard error");
            std::multiset<std::string> moved;
            for (const Row& row : parse_csv(r.out)) {
                const std::string file = row.at("file");
                moved.insert(row.at("dir") + row.at("bytes") + file.substr(file.rfind('/') + 1));
            }
            for (const char* want : {"W5a b,c", "R5a b,c", "W5up", "R5up", "W5copy"}) {
                EXPECT_TRUE(moved.contains(want)) << form << ": " << want << "\n" << r.out;
            }
            const auto csv = split(run({iolens_path(), "fd", "-i", log}).out, '\n');
            ASSERT_GT(csv.size(), 5U);
            const std::regex row(form.starts_with("-ttt") ? R"re(^\d+\.\d{6},\d+\.\d{6},\d+,\d+,[RW],-?\d+,.*,\d*$)re"
                                 : form == "-t"
                                     ? R"re(^\d\d:\d\d:\d\d,\d+\.\d{6},\d+,\d+,[RW],-?\d+,.*,\d*$)re"
                                     : R"re(^\d\d:\d\d:\d\d\.\d{6},\d+\.\d{6},\d*,\d+,[RW],-?\d+,.*,\d*$)re");
            for (std::size_t i = 1; to_file && i < csv.size(); ++i) {
                EXPECT_TRUE(std::regex_match(csv[i], row)) << form << ": " << csv[i];
            }
        }
    }
}

TEST(FdImport, BadInputIsASentence) {
    const Scratch scratch;
    EXPECT_EQ(run({iolens_path(), "fd", "-i", scratch.path("none")}).status, 2);
    EXPECT_EQ(run({iolens_path(), "fd", "-i", scratch.path()}).status, 2);
    spit(scratch.path("empty"), "");
    EXPECT_EQ(run({iolens_path(), "fd", "-i", scratch.path("empty")}).status, 0);
    EXPECT_EQ(run({iolens_path(), "fd", "-i", scratch.path("empty"), "-p", "1"}).status, 2);
    EXPECT_EQ(run({iolens_path(), "fd", "-i", scratch.path("empty"), "--", "true"}).status, 125);
    spit(scratch.path("binary"), slurp("/proc/self/exe").substr(0, 200'000));
    const Result r = run({iolens_path(), "fd", "-i", scratch.path("binary")});
    EXPECT_EQ(r.status, 1);
    EXPECT_NE(r.err.find("hint: make the log with 'strace -f"), std::string::npos) << r.err;
    EXPECT_LT(std::ranges::count(r.err, '\n'), 30);
    for (const char c : r.err) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
}

/// With state for 64 threads, any state left by exited processes would soon be missing for new ones.
TRACED_TEST_F(Fd, ThousandsOfForksLeaveNothingBehind) {
    const int forks = emulated() ? 300 : 2'000;
    const Played p = play(
        [&](Diary&) {
            for (int i = 0; i < forks; ++i) {
                const pid_t child = ::fork();
                if (child == 0) {
                    static_cast<void>(::write(999, "x", 1) == 0);
                    ::_exit(0);
                }
                ::waitpid(child, nullptr, 0);
            }
        },
        {"--op", "write", "--max-inflight", "64"});
    EXPECT_EQ(p.rows.size(), static_cast<std::size_t>(forks));
    std::set<std::string> threads;
    for (const Row& r : p.rows) threads.insert(r.at("tid"));
    EXPECT_EQ(threads.size(), static_cast<std::size_t>(forks));
}

/// A read interrupted by a signal is one row: EINTR if a handler without SA_RESTART runs, otherwise what it reads.
TRACED_TEST_F(Fd, InterruptedCallsAreOneRow) {
    const Played p = play([&](Diary&) {
        std::array<int, 2> ends{};
        static_cast<void>(::pipe(ends.data()));
        struct sigaction action{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGALRM, &action, nullptr);
        itimerval soon{{0, 0}, {0, 50'000}};
        ::setitimer(ITIMER_REAL, &soon, nullptr);
        char byte = 0;
        static_cast<void>(::read(ends[0], &byte, 1));  // EINTR
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGALRM, &action, nullptr);
        ::setitimer(ITIMER_REAL, &soon, nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
            ::usleep(200'000);
            static_cast<void>(::write(ends[1], "x", 1));
            ::_exit(0);
        }
        static_cast<void>(::read(ends[0], &byte, 1));
        ::waitpid(child, nullptr, 0);
    });
    std::vector<std::string> reads;
    for (const Row& r : p.rows) {
        if (r.at("call") == "read" && r.at("kind") == "pipe") reads.push_back(r.at("error") + r.at("bytes"));
    }
    EXPECT_EQ(reads, (std::vector<std::string>{"EINTR", "1"}));
}

/// Another witness: the same command under strace.
void compare_with_strace(const std::string& command) {
    const Scratch scratch;
    const std::string log = scratch.path("log");
    const std::string rows = scratch.path("rows");
    const std::string calls = "read,write,pread64,pwrite64,readv,writev,sendto,recvfrom,sendfile,copy_file_range";
    const Result r = run({iolens_path(),
                          "fd",
                          "-o",
                          rows,
                          "--ring-size",
                          "64",
                          "--op",
                          calls,
                          "--columns",
                          "call,tid,dir,bytes,kind,file",
                          "--",
                          "strace",
                          "-f",
                          "-y",
                          "-T",
                          "-o",
                          log,
                          "-e",
                          "trace=execve,exit_group," + calls,
                          "/bin/sh",
                          "-c",
                          "cd " + scratch.path() + "; " + command},
                         std::chrono::seconds(120));
    EXPECT_EQ(r.status, 0) << r.err;
    ASSERT_FALSE(lost(r)) << r.err;
    // "123 read(3</etc/x>, "…"..., 832) = 832 <0.00001>"
    const std::regex line(
        R"(^([0-9]+) +(\w+)\(([0-9]+)<(.*?)>(?:\([a-z]+\))?[,)].* = (-?[0-9]+)(?:<.*>)?(?: E\w+ \(.*\))? <[0-9.]+>$)");
    const std::regex two(R"((sendfile|copy_file_range)\()");
    std::multiset<std::string> theirs;
    std::set<std::string> pids;
    std::map<std::string, std::string> unfinished;  // by thread
    for (std::string text : split(slurp(log), '\n')) {
        std::smatch m;
        const std::string pid = text.substr(0, text.find(' '));
        pids.insert(pid);
        if (const auto at = text.find(" <unfinished ...>"); at != std::string::npos) {
            unfinished[pid] = text.substr(0, at);
            continue;
        }
        if (const auto at = text.find(" resumed>"); at != std::string::npos)
            text = unfinished[pid] + text.substr(at + 9);
        if (!std::regex_search(text, m, line)) continue;
        const std::string file = m[4];
        const bool socket = file.starts_with("socket:") || file.starts_with("TCP") || file.starts_with("UNIX");
        theirs.insert(m[2].str() + " " + (socket ? "socket" : file) + " " + (m[5].str()[0] == '-' ? "" : m[5].str()));
    }
    std::multiset<std::string> ours;
    for (const Row& row : parse_csv(slurp(rows))) {
        if (!pids.contains(row.at("tid"))) continue;  // calls of strace itself
        // strace shows the first fd of a call: the target of sendfile, the source of copy_file_range
        if (row.at("call") == "sendfile" && row.at("dir") != "W") continue;
        if (row.at("call") == "copy_file_range" && row.at("dir") != "R") continue;
        if (row.at("kind") == "none") continue;
        ours.insert(row.at("call") + " " + (row.at("kind") == "socket" ? "socket" : row.at("file")) + " " +
                    row.at("bytes"));
    }
    std::vector<std::string> missing;
    std::vector<std::string> more;
    std::ranges::set_difference(theirs, ours, std::back_inserter(missing));
    std::ranges::set_difference(ours, theirs, std::back_inserter(more));
    EXPECT_GT(theirs.size(), 10U);
    EXPECT_TRUE(missing.empty()) << command << ": strace has " << missing.size() << " of " << theirs.size()
                                 << " more: " << missing.front();
    EXPECT_TRUE(more.empty()) << command << ": iolens has " << more.size() << " more: " << more.front();
}

EXACT_TEST_F(Fd, AgreesWithStraceOnRealPrograms) {
    NEEDS(have("strace") && shell("strace -o /dev/null true").status == 0, "strace does not work here");
    compare_with_strace("for i in 1 2 3 4 5 6; do echo $i | cat >> f; cat f > g; done");
    if (have("tar")) compare_with_strace("cp /etc/passwd /etc/services .; tar cf a.tar passwd services; tar tf a.tar");
    if (have("python3"))
        compare_with_strace("python3 -c 'import json; open(\"x\", \"w\").write(json.dumps([1]*9999))'");
    if (have("git")) {
        compare_with_strace(
            "git init -q .; echo a > a; git add a; git -c user.name=n -c user.email=e commit -qm m; git log");
    }
    if (have("cc")) compare_with_strace("echo 'int main(void){return 0;}' > m.c; cc -pipe -o m m.c; ./m");
    if (have("curl") && have("python3")) {
        compare_with_strace(
            "echo served > page; python3 -m http.server --bind 127.0.0.1 8973 >/dev/null 2>&1 & for i in $(seq 500); "
            "do grep -q ':230D 00000000:0000 0A' /proc/net/tcp && break; sleep 0.05; done; "
            "curl -s http://127.0.0.1:8973/page; kill $!");
    }
    if (have("sqlite3"))
        compare_with_strace("sqlite3 db 'create table t(a); insert into t values(1),(2); select * from t'");
}

/// A number in /proc/PID/io.
u64 io_count(pid_t pid, const std::string& name) {
    for (const std::string& line : split(slurp("/proc/" + std::to_string(pid) + "/io"), '\n')) {
        if (line.starts_with(name + ": ")) return std::stoull(line.substr(name.size() + 2));
    }
    return 0;
}

/// Once woken because the ring filled up, the reader must go back to reading every few milliseconds: while events are
/// frequent there is always one in the ring.
TEST_F(Fd, TheReaderSleepsAgainAfterABurst) {
    const Scratch scratch;
    spit(scratch.path("file"), std::string(4096, 'x'));
    const iolens::Fd file(::open(scratch.path("file").c_str(), O_RDONLY | O_CLOEXEC));
    const std::jthread calls([&](const std::stop_token& stop) {
        char byte = 0;
        while (!stop.stop_requested() && ::pread(file.get(), &byte, 1, 0) == 1) {
        }
    });
    Tracer tracer({"fd", "-p", std::to_string(::getpid()), "-o", scratch.path("rows")});
    ::kill(tracer.pid(), SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    ::kill(tracer.pid(), SIGCONT);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const u64 writes = io_count(tracer.pid(), "syscw"), bytes = io_count(tracer.pid(), "wchar");
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const auto passed = std::chrono::steady_clock::now() - start;
    const u64 more = io_count(tracer.pid(), "syscw") - writes;
    // a read is followed by a nap of 5 ms, unless much is waiting; rows are written in blocks of 64 KiB
    const u64 naps = static_cast<u64>(std::chrono::duration_cast<std::chrono::milliseconds>(passed).count()) / 5;
    EXPECT_GT(more, 0U);
    EXPECT_LE(more, naps + 2 * (io_count(tracer.pid(), "wchar") - bytes) / (64 * kib) + 20);
}

}  // namespace
}  // namespace iolens::test
