// SPDX-License-Identifier: Apache-2.0
// iolens fd -v: the arguments of calls, as strace prints them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <regex>
#include <string>
#include <vector>

#include "json.h"
#include "machine.h"
#include "rows.h"

namespace iolens::test {
namespace {

class Arguments : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// The arguments of a child's calls, with each address as 0x.
std::vector<std::string> arguments_of(const std::string& calls, const std::function<void()>& work) {
    std::vector<std::string> found;
    for (const Json& row : rows_of(calls, work, {"-v"})) {
        found.push_back(std::regex_replace(text_or_null(row.at("arguments")), std::regex("0x[0-9a-f]{6,}"), "0x"));
    }
    return found;
}

/// Executes a program with these arguments in a child of the child.
void execute(const std::string& path, const std::vector<std::string>& arguments) {
    std::vector<char*> all;
    for (const std::string& argument : arguments) all.push_back(const_cast<char*>(argument.c_str()));
    all.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::execve(path.c_str(), all.data(), environ);
        ::_exit(127);
    }
    ::waitpid(pid, nullptr, 0);
}

TRACED_TEST_F(Arguments, AnExecHasAllOfThem) {
    const std::vector<std::string> found = arguments_of("execve", [] {
        execute("/bin/true", {"./sig"});
        execute("/bin/true", {"sh", "-c", "x \"y\"", ""});
        execute("/bin/nowhere", {"a", "b"});
    });
    ASSERT_EQ(found.size(), 3U);
    EXPECT_TRUE(found[0].starts_with(R"("/bin/true", ["./sig"], 0x)")) << found[0];
    EXPECT_TRUE(found[1].starts_with(R"("/bin/true", ["sh", "-c", "x \"y\"", ""], 0x)")) << found[1];
    EXPECT_TRUE(found[2].starts_with(R"("/bin/nowhere", ["a", "b"], 0x)")) << found[2];
}

/// More than a record holds: what is there is the call's own and in order, and the cut is marked. In both variants.
TRACED_TEST_F(Arguments, TooManyAreCutAndMarked) {
    constexpr std::array<std::size_t, 6> sizes{0, 100, 4000, 4095, 4096, 10000};
    const auto all_of = [](std::size_t size) {
        std::vector<std::string> arguments;
        for (std::size_t i = 0; i < (size == 0 ? 3000 : 200); ++i) {
            const std::string start = size == 0 ? "" : std::to_string(i);
            arguments.push_back(start + std::string(size - start.size(), 'x'));
        }
        return arguments;
    };
    for (const bool plain : {false, true}) {
        if (plain) ::setenv("IOLENS_PROBE", "plain", 1);
        const std::vector<std::string> found = arguments_of("execve", [&] {
            for (const std::size_t size : sizes) {
                execute("/bin/true", all_of(size));
                execute("/bin/true", {"after"});
            }
        });
        ::unsetenv("IOLENS_PROBE");
        ASSERT_EQ(found.size(), 2 * sizes.size());
        for (std::size_t row = 0; row < found.size(); row += 2) {
            const std::size_t size = sizes.at(row / 2);
            const std::vector<std::string> arguments = all_of(size);
            const std::string expected = R"("/bin/true", [)";
            std::size_t at = expected.size();
            ASSERT_TRUE(found[row].starts_with(expected)) << size;
            std::size_t shown = 0;
            for (; shown < arguments.size(); ++shown) {
                const std::string text = arguments[shown].substr(0, 4095);
                const std::string item = (shown == 0 ? "\"" : ", \"") + text + (text.size() >= 4095 ? "\"…" : "\"");
                if (found[row].compare(at, item.size(), item) != 0) break;
                at += item.size();
            }
            EXPECT_GE(shown, size == 0 ? 1000U : std::min(arguments.size(), 8192 / (size + 1))) << size;
            EXPECT_TRUE(found[row].substr(at).starts_with(", ...], 0x")) << size << ": " << found[row].substr(at, 100);
            EXPECT_TRUE(found[row + 1].starts_with(R"("/bin/true", ["after"], 0x)")) << found[row + 1];
        }
    }
}

/// Long texts of one call: each its own, or cut and marked.
TRACED_TEST_F(Arguments, LongTextsDoNotOverwriteEachOther) {
    const std::string a(5000, 'a');
    const std::string b(5000, 'b');
    const std::string c(5000, 'c');
    const std::vector<std::string> found = arguments_of("symlinkat,renameat", [&] {
        static_cast<void>(::syscall(SYS_symlinkat, a.c_str(), AT_FDCWD, b.c_str()));
        static_cast<void>(::syscall(SYS_renameat, AT_FDCWD, b.c_str(), AT_FDCWD, c.c_str()));
        static_cast<void>(::syscall(SYS_renameat, AT_FDCWD, "x", AT_FDCWD, "y"));
    });
    const auto cut = [](const std::string& text) { return "\"" + text.substr(0, 4095) + "\"…"; };
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0], cut(a) + ", AT_FDCWD, " + cut(b));
    EXPECT_EQ(found[1], "AT_FDCWD, " + cut(b) + ", AT_FDCWD, " + cut(c));
    EXPECT_EQ(found[2], R"(AT_FDCWD, "x", AT_FDCWD, "y")");
}

TRACED_TEST_F(Arguments, AddressesAreDecoded) {
    const Scratch scratch;
    const std::string path = scratch.path("s");
    const std::vector<std::string> found = arguments_of("bind,connect,sendto,accept4,getsockname,recvfrom", [&] {
        const int udp = ::socket(AF_INET, SOCK_DGRAM, 0);
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        any.sin_port = htons(9);
        static_cast<void>(::sendto(udp, "abc", 3, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&any), sizeof any));
        sockaddr_in6 six{};
        six.sin6_family = AF_INET6;
        six.sin6_addr = in6addr_loopback;
        six.sin6_port = htons(80);
        static_cast<void>(::connect(udp, reinterpret_cast<sockaddr*>(&six), sizeof six));
        const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::strcpy(static_cast<char*>(name.sun_path), path.c_str());
        static_cast<void>(::bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof name));
        ::listen(listener, 1);
        const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
        static_cast<void>(::connect(client, reinterpret_cast<sockaddr*>(&name), sizeof name));
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        static_cast<void>(::accept4(listener, reinterpret_cast<sockaddr*>(&from), &length, 0));
        length = sizeof from;
        static_cast<void>(::getsockname(listener, reinterpret_cast<sockaddr*>(&from), &length));
        length = sizeof from;
        char byte = 0;
        static_cast<void>(
            ::recvfrom(udp, &byte, 1, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length));  // EAGAIN
    });
    const std::string un = "{sa_family=AF_UNIX, sun_path=\"" + path + "\"}";
    ASSERT_EQ(found.size(), 7U);
    EXPECT_TRUE(found[0].ends_with(
        R"(, 3, MSG_DONTWAIT, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16)"))
        << found[0];
    EXPECT_TRUE(found[1].ends_with(
        R"(, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28)"))
        << found[1];
    EXPECT_TRUE(found[2].ends_with(", " + un + ", 110")) << found[2];
    EXPECT_TRUE(found[3].ends_with(", " + un + ", 110")) << found[3];
    EXPECT_TRUE(found[4].ends_with(", {sa_family=AF_UNIX}, [128 => 2], 0")) << found[4];
    EXPECT_TRUE(found[5].ends_with(", " + un + ", [128 => " + std::to_string(path.size() + 3) + "]")) << found[5];
    EXPECT_TRUE(found[6].ends_with(", 1, MSG_DONTWAIT, 0x, 0x")) << found[6];  // failed: no result
}

TRACED_TEST_F(Arguments, MessagesAndVectorsAreDecoded) {
    const std::vector<std::string> found = arguments_of("sendmsg,recvmsg,writev,readv", [] {
        std::array<int, 2> ends{};
        ::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data());
        std::array<char, 8> bytes{};
        std::array<iovec, 100> pieces{};
        for (iovec& piece : pieces) piece = {bytes.data(), 1};
        pieces[1].iov_len = 5;
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = 2;
        static_cast<void>(::sendmsg(ends[0], &message, 0));
        sockaddr_storage from{};
        message.msg_name = &from;
        message.msg_namelen = sizeof from;
        static_cast<void>(::recvmsg(ends[1], &message, 0));
        static_cast<void>(::writev(ends[0], pieces.data(), 2));
        static_cast<void>(::readv(ends[1], pieces.data(), 100));
    });
    const std::string two = "[{iov_base=0x, iov_len=1}, {iov_base=0x, iov_len=5}]";
    ASSERT_EQ(found.size(), 4U);
    EXPECT_TRUE(found[0].ends_with(", {msg_name=NULL, msg_namelen=0, msg_iov=" + two +
                                   ", msg_iovlen=2, msg_controllen=0, msg_flags=0}, 0"))
        << found[0];
    EXPECT_TRUE(found[1].ends_with(", {msg_name=0x, msg_namelen=128 => 0, msg_iov=" + two +
                                   ", msg_iovlen=2, msg_controllen=0, msg_flags=0}, 0"))
        << found[1];
    EXPECT_TRUE(found[2].ends_with(", " + two + ", 2")) << found[2];
    EXPECT_TRUE(found[3].ends_with(", {iov_base=0x, iov_len=1}, ...], 100")) << found[3];
}

TRACED_TEST_F(Arguments, ResultsAreDecoded) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, "12345");
    const std::vector<std::string> found = arguments_of("newfstatat,fstat,statx,pipe2", [&] {
        ::chmod(path.c_str(), 04640);
        struct stat s{};
        ::syscall(SYS_newfstatat, AT_FDCWD, path.c_str(), &s, 0);
        ::syscall(SYS_newfstatat, AT_FDCWD, "/dev/null", &s, 0);
        ::syscall(SYS_newfstatat, AT_FDCWD, "/nowhere", &s, 0);
        const int fd = ::open(path.c_str(), O_RDONLY);
        ::syscall(SYS_fstat, fd, &s);
        struct statx x{};
        ::syscall(SYS_statx, AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS, &x);
        std::array<int, 2> ends{};
        static_cast<void>(::pipe2(ends.data(), 0));
    });
    const std::string name = "AT_FDCWD, \"" + path + "\", ";
    ASSERT_EQ(found.size(), 7U);  // of pipe2, one for each end
    EXPECT_EQ(found[0], name + "{st_mode=S_IFREG|S_ISUID|0640, st_size=5, ...}, 0");
    EXPECT_EQ(found[1], "AT_FDCWD, \"/dev/null\", {st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}, 0");
    EXPECT_EQ(found[2], "AT_FDCWD, \"/nowhere\", 0x, 0");
    EXPECT_TRUE(found[3].ends_with(", {st_mode=S_IFREG|S_ISUID|0640, st_size=5, ...}")) << found[3];
    EXPECT_TRUE(std::regex_search(
        found[4],
        std::regex(
            R"(, \{stx_mask=STATX_\w+(\|\w+)*, stx_attributes=\w+, stx_mode=S_IFREG\|S_ISUID\|0640, stx_size=5, \.\.\.\}$)")))
        << found[4];
    EXPECT_TRUE(std::regex_match(found[5], std::regex(R"(\[[0-9]+, [0-9]+\], 0)"))) << found[5];
}

TRACED_TEST_F(Arguments, ASignalHandlersReturnHasTheMask) {
    const std::vector<std::string> found = arguments_of("rt_sigreturn", [] {
        struct sigaction action{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, nullptr);
        ::raise(SIGUSR1);
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGINT);
        ::sigaddset(&set, SIGCHLD);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        ::kill(::getpid(), SIGUSR1);
    });
    ASSERT_EQ(found.size(), 2U);
    EXPECT_TRUE(found[0].starts_with("{mask=[")) << found[0];
    EXPECT_EQ(found[1], "{mask=[INT CHLD]}");
}

}  // namespace
}  // namespace iolens::test
