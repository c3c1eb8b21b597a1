// SPDX-License-Identifier: Apache-2.0
// iolens metrics: its figures, compared with those of fio, io.stat and promtool.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <thread>

#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

namespace fs = std::filesystem;

class Metrics : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// The value of each series: "name{labels}".
std::map<std::string, double> series(const std::string& text) {
    std::map<std::string, double> values;
    for (const std::string& line : split(text, '\n')) {
        if (line.empty() || line.starts_with('#')) continue;
        const std::size_t space = line.rfind(' ');
        EXPECT_TRUE(values.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second) << line;
    }
    return values;
}

/// `iolens metrics` on a port of its own.
class Exporter {
public:
    explicit Exporter(std::vector<std::string> options = {}) : process_(command(std::move(options))) {
        EXPECT_TRUE(process_.wait_for_line("serving http://")) << process_.err();
        const std::string said = process_.err();
        const std::size_t at = said.find("http://127.0.0.1:");
        if (at != std::string::npos) port_ = static_cast<u16>(std::stoul(said.substr(at + 17)));
    }

    /// The body of a response.
    [[nodiscard]] std::string get(const std::string& headers = {}) const {
        const iolens::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port_);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
        const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
        if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
        std::string answer;
        for (std::string part(65536, '\0');;) {
            const ssize_t n = ::recv(fd.get(), part.data(), part.size(), 0);
            if (n <= 0) break;
            answer.append(part, 0, static_cast<std::size_t>(n));
        }
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer.substr(0, 200);
        return answer.substr(answer.find("\r\n\r\n") + 4);
    }
    Result stop() { return process_.stop(SIGTERM); }
    [[nodiscard]] pid_t pid() const { return process_.pid(); }

private:
    static std::vector<std::string> command(std::vector<std::string> options) {
        options.insert(options.begin(), {iolens_path(), "metrics", "--listen", "127.0.0.1:0"});
        return options;
    }

    Background process_;
    u16 port_ = 0;
};

std::string of_disk(const std::string& name, const LoopDisk& disk, const std::string& operation,
                    const std::string& more = {}) {
    return name + "{device=\"" + disk.name() + "\",operation=\"" + operation + "\"" + more + "}";
}

TRACED_TEST_F(Metrics, CountWhatFioCounts) {
    NEEDS(have("fio"), "fio is not installed");
    const u64 ios = emulated() ? 3001 : 30'011;
    const LoopDisk disk(64 * mib);
    Exporter exporter;
    const std::string job = "fio --name=q --filename=" + disk.path() +
                            " --direct=1 --rw=randrw --bs=4k --ioengine=libaio " +
                            "--iodepth=32 --size=64m --io_size=" + std::to_string(ios * 4096) + " --output-format=json";
    const Json fio = parse_json(shell(job, std::chrono::seconds(200)).out).at("jobs").at(0);
    // a missed completion is counted some seconds later, without a time
    std::map<std::string, double> values;
    const auto bytes = [&](const char* op) { return values[of_disk("iolens_block_io_bytes_total", disk, op)]; };
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    const auto expected = [&](const char* op) {
        return static_cast<double>(number(fio.at(op).at("total_ios")) * 4096);
    };
    do {
        values = series(exporter.get());
        if (bytes("read") == expected("read") && bytes("write") == expected("write")) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
    } while (std::chrono::steady_clock::now() < until);
    const double without_time = values.at("iolens_events_lost_total{cause=\"end_not_seen\",lens=\"block\"}");
    u64 all = 0;
    for (const char* op : {"read", "write"}) {
        const u64 requests = number(fio.at(op).at("total_ios"));
        all += requests;
        EXPECT_EQ(bytes(op), expected(op));
        const double count = values.at(of_disk("iolens_block_io_seconds_count", disk, op));
        EXPECT_LE(count, static_cast<double>(requests));
        EXPECT_GE(count + without_time, static_cast<double>(requests));
        EXPECT_EQ(values.at(of_disk("iolens_block_io_seconds_bucket", disk, op, ",le=\"+Inf\"")), count);
        EXPECT_GT(values.at(of_disk("iolens_block_io_seconds_sum", disk, op)), 0);
        EXPECT_EQ(values.at(of_disk("iolens_block_io_errors_total", disk, op)), 0);
    }
    const std::string target = "{direction=\"read\",file=\"[raw " + disk.name() + "]\"}";
    ASSERT_TRUE(values.contains("iolens_file_io_bytes_total" + target));
    EXPECT_GE(values.at("iolens_file_io_bytes_total" + target),
              static_cast<double>(number(fio.at("read").at("total_ios")) * 4096));
    EXPECT_EQ(values.at("iolens_events_lost_total{cause=\"state_full\",lens=\"block\"}"), 0);
    EXPECT_GE(all, ios);
    const Result result = exporter.stop();
    EXPECT_EQ(result.status, 0) << result.err;
}

/// Counters never get smaller, in both formats.
TRACED_TEST_F(Metrics, CountersOnlyGrow) {
    const FileSystem files("ext4");
    Exporter exporter;
    std::map<std::string, double> before;
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 30; ++i) spit(files.path("f" + std::to_string(round * 30 + i)), std::string(50'000, 'x'));
        ::sync();
        std::this_thread::sleep_for(std::chrono::milliseconds(60));  // a scrape is reused for 50 ms
        const std::string text = exporter.get(round % 2 == 0 ? "" : "Accept: application/openmetrics-text\r\n");
        EXPECT_EQ(text.ends_with("# EOF\n"), round % 2 != 0);
        std::map<std::string, double> now = series(text);
        for (const auto& [name, value] : now) {
            EXPECT_GE(value, before.contains(name) ? before.at(name) : 0) << name;
        }
        EXPECT_LE(now.size(), 1000U);
        before = std::move(now);
    }
    const double written = before.at(of_disk("iolens_block_io_bytes_total", files.disk(), "write"));
    EXPECT_GE(written, 120 * 50'000);
}

/// Writeback counts for the cgroup of the process that dirtied the pages.
TRACED_TEST_F(Metrics, WritebackIsChargedToItsAuthor) {
    const Cgroup cgroup;
    NEEDS(!cgroup.path().empty(), "no cgroup v2");
    const FileSystem files("ext4");
    Exporter exporter;
    shell("echo $$ >" + cgroup.path() + "/cgroup.procs; dd if=/dev/zero of=" + files.path("big") +
          " bs=64k count=100 2>/dev/null");
    ::sync();
    double charged = 0;
    for (const auto& [name, value] : series(exporter.get())) {
        const bool of_it = name.starts_with("iolens_cgroup_io_bytes_total") &&
                           name.find("direction=\"write\"") != std::string::npos &&
                           name.find(fs::path(cgroup.path()).filename().string() + "\"") != std::string::npos;
        if (of_it) charged += value;
    }
    EXPECT_GE(charged, 100 * 65536);
}

TRACED_TEST_F(Metrics, ATextFileIsReplacedAndRemoved) {
    const Scratch directory;
    const std::string path = directory.path("iolens.prom");
    Background exporter({iolens_path(), "metrics", "--textfile", directory.path(""), "--interval", "1"});
    ASSERT_TRUE(exporter.wait_for_line("writing ")) << exporter.err();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (slurp(path).empty() && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const std::map<std::string, double> values = series(slurp(path));
    EXPECT_TRUE(values.contains("iolens_events_lost_total{cause=\"state_full\",lens=\"block\"}"));
    EXPECT_EQ(fs::status(path).permissions(), fs::perms(0644));
    if (have("promtool")) {
        const Result checked = shell("promtool check metrics <" + path);
        EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
    }
    EXPECT_EQ(exporter.stop(SIGINT).status, 0);
    EXPECT_TRUE(fs::is_empty(directory.path("")));
}

TEST_F(Metrics, WhatCantBeServedIsAFailure) {
    const Result nowhere = run({iolens_path(), "metrics", "--textfile", "/nowhere"});
    EXPECT_EQ(nowhere.status, 2);
    EXPECT_NE(nowhere.err.find("hint: "), std::string::npos) << nowhere.err;
    const Result nonsense = run({iolens_path(), "metrics", "--listen", "nonsense"});
    EXPECT_EQ(nonsense.status, 2) << nonsense.err;
    const Exporter first;
    EXPECT_FALSE(first.get().empty());
}

}  // namespace
}  // namespace iolens::test
