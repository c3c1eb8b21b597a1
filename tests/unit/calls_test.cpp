// SPDX-License-Identifier: Apache-2.0
#include "resolve/arguments.h"
#include "resolve/syscalls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "resolve/compat_calls.h"
#include "run.h"

namespace iolens {
namespace {

TEST(Calls, EachNumberHasOneName) {
    std::set<u16> numbers;
    std::set<u16> ids;
    std::set<std::string_view> names;
    for (const Syscall& call : syscalls()) {
        EXPECT_TRUE(ids.insert(call.id).second) << call.name;
        EXPECT_TRUE(call.number == IOLENS_CALLS || numbers.insert(call.number).second) << call.name;
        EXPECT_TRUE(names.insert(call.name).second) << call.name;
        EXPECT_LT(call.id, IOLENS_CALLS) << call.name;
        EXPECT_NE(call.info.shape, 0) << call.name;
        EXPECT_EQ(call.info.id, call.id) << call.name;
        EXPECT_EQ(syscall_name(call.id), call.name);
    }
    EXPECT_EQ(syscall_name(17), "pread64");
    EXPECT_EQ(syscall_name(IOLENS_CALLS), "");
    EXPECT_EQ(syscall_name(~u64{0}), "");
}

/// The numbers in the kernel's own headers: "#define __NR_read 0", "#define __NR_io_setup 0".
std::map<std::string, u64> numbers_of(const std::string& header) {
    std::map<std::string, u64> all;
    const std::string text = test::slurp(header);
    const std::regex line(R"re(#define __NR(?:3264)?_(\w+)\s+([0-9]+))re");
    for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at) {
        all[(*at)[1]] = std::stoull((*at)[2]);
    }
    return all;
}

TEST(Calls, TheTableIsTheKernelsOwnList) {
#if defined(__x86_64__)
    const auto theirs = numbers_of("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
#else
    const auto theirs = numbers_of("/usr/include/asm-generic/unistd.h");
#endif
    ASSERT_GT(theirs.size(), 280U);
    std::map<std::string, u64> ours;
    for (const Syscall& call : syscalls()) ours[std::string(call.name)] = call.number;
    for (const auto& [name, number] : theirs) {
        if (name == "syscalls" || name == "arch_specific_syscall") continue;
        // names in that header that are aliases on 64 bits
        const std::map<std::string, std::string> other{
            {"fstatat", "newfstatat"}, {"sync_file_range2", "sync_file_range"}, {"fadvise64_64", "fadvise64"}};
        const std::string own_rows = other.contains(name) ? other.at(name) : name;
        ASSERT_TRUE(ours.contains(own_rows)) << name << " " << number;
        EXPECT_EQ(ours.at(own_rows), number) << name;
    }
}

#if defined(__x86_64__)
/// What a call of i386 is called on x86-64.
std::string name_in_64_bits(std::string name) {
    static const std::map<std::string, std::string> others{
        {"_llseek", "lseek"},  {"_newselect", "select"}, {"fstatat64", "newfstatat"},   {"mmap2", "mmap"},
        {"oldfstat", "fstat"}, {"oldlstat", "lstat"},    {"oldolduname", "uname"},      {"oldstat", "stat"},
        {"olduname", "uname"}, {"readdir", "getdents"},  {"sigreturn", "rt_sigreturn"}, {"ugetrlimit", "getrlimit"},
        {"umount", "umount2"}, {"waitpid", "wait4"},     {"fadvise64_64", "fadvise64"}};
    if (const auto it = others.find(name); it != others.end()) return it->second;
    const auto is_call = [&](const std::string& word) {
        return std::ranges::find(syscalls(), std::string_view(word), &Syscall::name) != syscalls().end();
    };
    for (const std::string_view suffix : {"_time64", "64", "32"}) {
        if (!is_call(name) && name.ends_with(suffix)) name.resize(name.size() - suffix.size());
    }
    return name;
}

TEST(Calls, ThoseOf32BitProgramsAreTheKernelsOwnList) {
    std::map<u64, std::string> ours;
    std::set<u64> not_decoded;
    for (const CompatCall& call : compat_calls()) {
        ASSERT_LT(call.number, IOLENS_COMPAT_CALLS);
        const auto it = std::ranges::find(syscalls(), call.native, &Syscall::number);
        ASSERT_NE(it, syscalls().end()) << call.number;
        if (!call.decoded) {
            not_decoded.insert(call.number);
        } else {
            EXPECT_TRUE(ours.emplace(call.number, it->name).second) << it->name;
        }
    }
    const auto theirs = numbers_of("/usr/include/x86_64-linux-gnu/asm/unistd_32.h");
    ASSERT_GT(theirs.size(), 400U);
    std::set<std::string> unknown;
    for (const auto& [name, number] : theirs) {
        if (not_decoded.contains(number)) {
            EXPECT_FALSE(ours.contains(number)) << name;
        } else if (ours.contains(number)) {
            EXPECT_EQ(ours.at(number), name_in_64_bits(name));
        } else {
            unknown.insert(name);
        }
    }
    // of these, the kernel has none any more
    EXPECT_EQ(unknown, (std::set<std::string>{"bdflush", "break", "ftime", "gtty", "idle", "lock", "mpx", "prof",
                                              "profil", "stty", "ulimit", "vm86", "vm86old"}));
}
#endif

/// Each operation belongs to a system call or a libc function; each call's domain is in the table.
TEST(Calls, EveryOperationHasItsSource) {
    std::set<u8> of_calls;
    for (const Syscall& call : syscalls()) of_calls.insert(call.operation);
    for (const KnownRequest& request : known_requests()) {
        EXPECT_TRUE(request.operation == IOLENS_OPERATION_NONE || of_calls.contains(request.operation)) << request.name;
    }
    std::set<u8> of_libc;
#define IOLENS_NAME(name, operation, place, result) of_libc.insert(IOLENS_OPERATION_##operation);
    IOLENS_LIBC_FUNCTIONS(IOLENS_NAME)
#undef IOLENS_NAME
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) {
        const bool other = op == IOLENS_OPERATION_START || known_operations.at(op).domain == IOLENS_DOMAIN_HTTP;
        EXPECT_TRUE(other || of_calls.contains(op) || of_libc.contains(op)) << known_operations.at(op).name;
    }
    // the numbers in io-monitor's records
    EXPECT_EQ(IOLENS_DOMAIN_FILE_OPEN_CLOSE, 13);
    EXPECT_EQ(IOLENS_DOMAIN_HTTP, 17);
    EXPECT_EQ(IOLENS_OPERATION_BIND, 44);
    EXPECT_EQ(IOLENS_OPERATION_STOP, 48);
    EXPECT_EQ(IOLENS_OPERATION_HTTP_RESP_FINI_RECV, 54);
    // what the original gets wrong
    EXPECT_EQ(find_syscall(84)->operation, IOLENS_OPERATION_RMDIR);
    EXPECT_EQ(known_operations[IOLENS_OPERATION_TRUNCATE].domain, IOLENS_DOMAIN_FILE_SPACE);
}

/// The text of a value for each kind of argument.
TEST(Calls, FlagsAreReadAsStracePrintsThem) {
    const auto flags = [](std::string_view name, std::string_view text) {
        return flags_of(*std::ranges::find(syscalls(), name, &Syscall::name), text);
    };
    EXPECT_EQ(flags("recvfrom", "MSG_PEEK|MSG_DONTWAIT"), 0x42U);
    EXPECT_EQ(flags("recvfrom", "0"), 0U);
    EXPECT_EQ(flags("sendmsg", "MSG_NOSIGNAL|0x100000"), 0x104000U);
    EXPECT_EQ(flags("openat", "O_WRONLY|O_CREAT"), u64{O_WRONLY | O_CREAT});
    EXPECT_EQ(flags("lseek", "SEEK_END"), u64{SEEK_END});
    EXPECT_EQ(flags("recvfrom", "MSG_UNHEARD_OF"), std::nullopt);
    EXPECT_EQ(flags("recvfrom", ""), std::nullopt);
}

TEST(Calls, EveryKindOfArgumentHasItsText) {
    std::map<char, std::vector<std::pair<u64, std::string>>> texts{
        {'f', {{7, "7"}, {u64{0xffffffff}, "-1"}}},
        {'d', {{u64{0xffffffff}, "-1"}}},
        {'D', {{u64{0xffffff9c}, "AT_FDCWD"}, {5, "5"}}},
        {'u', {{~u64{0}, "18446744073709551615"}}},
        {'l', {{~u64{0}, "-1"}}},
        {'o', {{0644, "0644"}, {0, "0"}}},
        {'F', {{O_RDWR | O_CREAT, "O_RDWR|O_CREAT"}, {0, "O_RDONLY"}}},
        {'P', {{0, "PROT_NONE"}, {PROT_READ | PROT_EXEC, "PROT_READ|PROT_EXEC"}}},
        {'w', {{SEEK_END, "SEEK_END"}, {9, "0x9"}}},
        {'c', {{F_DUPFD, "F_DUPFD"}, {9999, "0x270f"}}},
        {'m', {{0, "0"}, {0x42, "MSG_PEEK|MSG_DONTWAIT"}, {0x100002, "MSG_PEEK|0x100000"}}},
        {'S', {{SIGTERM, "SIGTERM"}, {1000, "1000"}}},
        {'x', {{0, "0"}, {255, "0xff"}}},
        {'*', {{0, "NULL"}, {4096, "0x1000"}}},
        {'a', {{0, "NULL"}, {4096, "0x1000"}}},
        {'p', {{0, "NULL"}, {4096, "0x1000"}}},
        {'s', {{0, "NULL"}, {4096, "0x1000"}}},
        {'A', {{0, "NULL"}, {4096, "0x1000"}}},
        {'M', {{0, "NULL"}, {4096, "0x1000"}}},
        {'R', {{0, "NULL"}, {4096, "0x1000"}}},
        {'T', {{0, "NULL"}, {4096, "0x1000"}}},
        {'g', {{0, "0"}, {4096, "0x1000"}}},
        {'i', {{0, "NULL"}, {4096, "0x1000"}}},
        {'t', {{0, "NULL"}, {4096, "0x1000"}}},
        {'v', {{0, "NULL"}, {4096, "0x1000"}}},
    };
    std::set<char> kinds;
    for (const Syscall& call : syscalls()) {
        for (std::size_t at = 0; (at = call.arguments.find(':', at)) != std::string_view::npos;)
            kinds.insert(call.arguments[++at]);
    }
    for (const char kind : kinds) EXPECT_TRUE(texts.contains(kind)) << kind;
    for (const auto& [kind, all] : texts) {
        const std::string arguments = std::string("it:") + kind;
        Syscall call{};
        call.arguments = arguments;
        for (const auto& [value, text] : all) {
            const std::array<u64, IOLENS_CALL_ARGUMENTS> values{value};
            std::string out;
            append_arguments(out, call, values, std::array<std::string_view, IOLENS_CALL_ARGUMENTS>{});
            EXPECT_EQ(out, text) << kind;
        }
    }
}

TEST(Calls, ATextIsALiteralOfOneLineThatDoesNotAct) {
    const Syscall* call = find_syscall(87);
    ASSERT_NE(call, nullptr);
    ASSERT_EQ(call->name, "unlink");
    const std::array<u64, IOLENS_CALL_ARGUMENTS> values{1};
    const std::array<std::string_view, IOLENS_CALL_ARGUMENTS> texts{"a\nb\x1b[31m\"\\"};
    std::string out;
    append_arguments(out, *call, values, texts);
    EXPECT_EQ(out, R"("a\nb\x1b[31m\"\\")");
}

/// A record of arguments: strings, and items behind them.
std::vector<u64> arguments_record(u8 texts, std::string_view strings,
                                  const std::vector<std::pair<iolens_item, std::string>>& items) {
    std::string bytes(sizeof(iolens_arguments), '\0');
    bytes += strings;
    const auto pad = [&] { bytes.resize((bytes.size() + 7) / 8 * 8); };
    pad();
    for (const auto& [head, payload] : items) {
        bytes.append(reinterpret_cast<const char*>(&head), sizeof head);
        bytes += payload;
        pad();
    }
    iolens_arguments record{};
    record.h = {.ts = 1, .kind = IOLENS_KIND_ARGUMENTS, .size = static_cast<u16>(bytes.size()), .cpu = 0};
    record.texts = texts;
    std::memcpy(bytes.data(), &record, sizeof record);
    std::vector<u64> words(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
}

std::string shown(u16 id, const std::vector<u64>& words) {
    const auto& record = *reinterpret_cast<const iolens_arguments*>(words.data());
    ArgumentTexts texts;
    argument_texts(record, texts);
    std::string out;
    append_arguments(out, *find_syscall(id), record.values, texts, record.single, argument_items(record));
    return out;
}

TEST(Calls, ItemsFollowTheTexts) {
    using namespace std::string_literals;
    constexpr u16 execve = 59;
    const std::string rest = "-c\0x\0\0"s;
    const iolens_item strings{IOLENS_ITEM_STRINGS, 1, 0, static_cast<u32>(rest.size())};
    EXPECT_EQ(shown(execve, arguments_record(3, "/bin/sh\0sh\0"s, {{strings, rest}})),
              R"("/bin/sh", ["sh", "-c", "x", ""], NULL)");
    iolens_item cut = strings;
    cut.flags = IOLENS_ITEM_CUT;
    EXPECT_EQ(shown(execve, arguments_record(3, "/bin/sh\0sh\0"s, {{cut, rest}})),
              R"("/bin/sh", ["sh", "-c", "x", "", ...], NULL)");
    EXPECT_EQ(shown(execve, arguments_record(1, "/bin/sh\0"s, {{{IOLENS_ITEM_STRINGS, 1, 0, 0}, ""}})),
              R"("/bin/sh", [], NULL)");
    // of an older version
    EXPECT_EQ(shown(execve, arguments_record(3, "/bin/sh\0sh\0"s, {})), R"("/bin/sh", ["sh", ...], NULL)");
    // an item that says that it is longer than its record
    iolens_item damaged = strings;
    damaged.length = 1000;
    EXPECT_EQ(shown(execve, arguments_record(3, "/bin/sh\0sh\0"s, {{damaged, rest}})),
              R"("/bin/sh", ["sh", ...], NULL)");
}

TEST(Calls, DamagedItemsAreNotReadBeyond) {
    constexpr u16 recvmsg = 47;
    constexpr u16 accept = 43;
    constexpr u16 newfstatat = 262;
    for (u8 kind = 0; kind < 20; ++kind) {
        for (std::size_t length = 0; length < 300; length += 3) {
            const std::string payload(length, '\xff');
            const iolens_item item{kind, 1, IOLENS_ITEM_CUT, static_cast<u32>(length)};
            for (const u16 call : {recvmsg, accept, newfstatat}) {
                static_cast<void>(shown(call, arguments_record(0, "", {{item, payload}})));
            }
        }
    }
}

}  // namespace
}  // namespace iolens
