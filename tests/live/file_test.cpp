// SPDX-License-Identifier: Apache-2.0
// iolens file on the running kernel, with filesystems created for the test.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "accesses.h"
#include "base/fd.h"
#include "base/privileges.h"
#include "machine.h"

namespace iolens::test {
namespace {

class File : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }

    static Traced watch(std::vector<std::string> options, const std::function<void()>& work) {
        return trace(std::move(options), work, "file");
    }
};

std::set<u64> sectors_in(const std::vector<Row>& rows) {
    std::set<u64> sectors;
    for (const Row& row : rows) {
        for (u64 at = 0; at < number(row, "bytes"); at += 512) sectors.insert(number(row, "address") + at / 512);
    }
    return sectors;
}

/// Bios with overlapping sectors and times: a bio with two rows.
std::vector<std::string> twice_at_once(const std::vector<Row>& bios) {
    std::vector<std::string> twice;
    const auto overlap = [](u64 a, u64 length_a, u64 b, u64 length_b) { return a < b + length_b && b < a + length_a; };
    for (std::size_t i = 0; i < bios.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const Row& a = bios[i];
            const Row& b = bios[j];
            if (overlap(number(a, "address"), number(a, "bytes") / 512, number(b, "address"),
                        number(b, "bytes") / 512) &&
                overlap(number(a, "start_ns"), number(a, "duration_ns"), number(b, "start_ns"),
                        number(b, "duration_ns"))) {
                twice.push_back(a.at("address") + "+" + a.at("bytes") + " " + b.at("address") + "+" + b.at("bytes"));
            }
        }
    }
    return twice;
}

/// Bytes read or written according to a disk's statistics.
u64 disk_bytes(const LoopDisk& disk, bool read) {
    std::ifstream file(disk.sys("stat"));
    std::array<u64, 7> fields{};
    for (u64& field : fields) file >> field;
    return fields.at(read ? 2 : 6) * 512;
}

EXACT_TEST_F(File, ReadsAndWritesAreRowsWithTheBiosThatTheyBecome) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    make_file(path, 256 * kib);
    ::unlink(ext4.path("other").c_str());
    const Traced t = watch({path, "--op", "read,write,fsync"}, [&] {
        drop_caches();
        make_file(ext4.path("other"), 64 * kib);  // not watched
        const int fd = ::open(path.c_str(), O_RDWR);
        char* data = aligned(64 * kib);
        EXPECT_EQ(::pwrite(fd, data, 3 * page, 8 * page), static_cast<ssize_t>(3 * page));
        EXPECT_EQ(::fsync(fd), 0);
        EXPECT_EQ(::pread(fd, data, 1000, 256 * kib - 400), 400);
        EXPECT_EQ(::pread(fd, data, 10, 256 * kib), 0);
        ::close(fd);
        const int direct = ::open(path.c_str(), O_RDONLY | O_DIRECT);
        EXPECT_EQ(::pread(direct, data, 16 * kib, 128 * kib), static_cast<ssize_t>(16 * kib));
        ::close(direct);
    });
    expect_whole(t);
    EXPECT_EQ(accesses(rows_of(t, "VFS", "write")), (std::vector<std::string>{"32768+12288=12288"}));
    EXPECT_EQ(accesses(rows_of(t, "VFS", "read")),
              (std::vector<std::string>{"261744+1000=400", "262144+10=0", "131072+16384=16384"}));
    EXPECT_EQ(rows_of(t, "VFS", "fsync").size(), 1U);
    EXPECT_EQ(bytes_of(rows_of(t, "BLK", "write")), 3 * page);
    const auto reads = rows_of(t, "BLK", "read");
    EXPECT_GE(bytes_of(reads), 16 * kib + page);
    const std::set<u64> sectors = sectors_of(path);
    for (const Row& row : t.rows) {
        EXPECT_EQ(row.at("file"), path);
        if (row.at("level") == "VFS") {
            EXPECT_EQ(number(row, "pid"), static_cast<u64>(::getpid()));
        }
    }
    auto seen = sectors_in(reads);
    seen.merge(sectors_in(rows_of(t, "BLK", "write")));
    EXPECT_TRUE(std::ranges::includes(sectors, seen));
}

TRACED_TEST_F(File, OnAPartitionSectorsAreTheFilesystems) {
    {
        const LoopDisk disk(16 * mib, true);
        NEEDS(std::filesystem::exists(disk.path() + "p2"),
              "this kernel made no nodes for the loop device's partitions");
    }
    const FileSystem ext4("ext4", true);
    const std::string path = ext4.path("data");
    make_file(path, 64 * kib);
    const auto work = [&] {
        const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT);
        EXPECT_EQ(::pread(fd, aligned(64 * kib), 64 * kib, 0), static_cast<ssize_t>(64 * kib));
        ::close(fd);
    };
    const Traced t = watch({path, "--level", "blk"}, work);
    expect_whole(t);
    EXPECT_EQ(sectors_in(t.rows), sectors_of(path));
    const u64 first =
        std::strtoull(slurp("/sys/class/block/" + ext4.device().substr(5) + "/start").c_str(), nullptr, 10);
    EXPECT_GT(first, 0U);
    for (const Row& row : t.rows) EXPECT_EQ(number(row, "sector"), number(row, "address") + first);
    const Traced absolute = watch({path, "--level", "blk", "--absolute"}, work);
    for (const Row& row : absolute.rows) EXPECT_EQ(row.at("sector"), row.at("address"));
}

/// All kinds of calls: the rows have the bytes that the program reports.
TRACED_TEST_F(File, EachWayInHasItsRow) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    const std::string copy = ext4.path("copy");
    make_file(path, 64 * kib);
    make_file(copy, 64 * kib);
    u64 read = 0;
    u64 written = 0;
    const Traced t = watch({path, copy}, [&] {
        read = written = 0;
        const auto in = [&](ssize_t n) { read += static_cast<u64>(std::max<ssize_t>(n, 0)); };
        const auto out = [&](ssize_t n) { written += static_cast<u64>(std::max<ssize_t>(n, 0)); };
        std::vector<char> data(64 * kib);
        const int a = ::open(path.c_str(), O_RDWR);
        const int b = ::open(copy.c_str(), O_RDWR);
        std::array<iovec, 2> two{iovec{data.data(), 100}, iovec{data.data() + 1000, 200}};
        in(::read(a, data.data(), 512));
        in(::pread(a, data.data(), 700, 4000));
        in(::readv(a, two.data(), 2));
        in(::preadv(a, two.data(), 2, 9000));
        in(::preadv2(a, two.data(), 2, 9000, 0));
        out(::write(b, data.data(), 512));
        out(::pwrite(b, data.data(), 700, 4000));
        out(::writev(b, two.data(), 2));
        out(::pwritev(b, two.data(), 2, 9000));
        const int append = ::open(copy.c_str(), O_WRONLY | O_APPEND);
        out(::write(append, data.data(), 33));
        ::close(append);
        // both files are watched
        ::lseek(a, 0, SEEK_SET);
        ::lseek(b, 0, SEEK_SET);
        const ssize_t sent = ::sendfile(b, a, nullptr, 20000);
        EXPECT_EQ(sent, 20000);
        in(sent);
        out(sent);
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe(ends.data()), 0);
        const ssize_t in_pipe = ::splice(a, nullptr, ends[1], nullptr, 8192, 0);
        EXPECT_GT(in_pipe, 0);
        in(in_pipe);
        out(::splice(ends[0], nullptr, b, nullptr, static_cast<std::size_t>(in_pipe), 0));
        for (const int fd : {a, b, ends[0], ends[1]}) ::close(fd);
    });
    expect_whole(t);
    EXPECT_EQ(bytes_of(rows_of(t, "VFS", "read", path)), read);
    EXPECT_EQ(bytes_of(rows_of(t, "VFS", "write", copy)), written);
    EXPECT_EQ(rows_of(t, "VFS", "write", path).size(), 0U);
    const auto reads = accesses(rows_of(t, "VFS", "read", path));
    for (const char* one : {"0+512=512", "4000+700=700", "512+300=300", "9000+300=300"}) {
        EXPECT_NE(std::ranges::find(reads, one), reads.end()) << one;
    }
}

TRACED_TEST_F(File, AFileIsItsInodeAndNotItsName) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("first");
    const std::string link = ext4.path("second name");
    make_file(path, 8 * kib);
    const Traced t = watch({path, "--level", "vfs", "--no-follow-name"}, [&] {
        ::unlink(link.c_str());
        ::link(path.c_str(), link.c_str());
        std::array<char, 16> data{};
        const auto read_by = [&](const std::string& name, std::size_t bytes) {
            const int fd = ::open(name.c_str(), O_RDONLY);
            EXPECT_EQ(::read(fd, data.data(), bytes), static_cast<ssize_t>(bytes));
            return fd;
        };
        ::close(read_by(path, 1));
        ::close(read_by(link, 2));
        ::rename(link.c_str(), ext4.path("third").c_str());
        ::close(read_by(ext4.path("third"), 3));
        const int held = read_by(path, 4);
        ::rename(path.c_str(), ext4.path("kept").c_str());
        make_file(path, 100);  // another file with the same name
        ::close(read_by(path, 9));
        ::unlink(ext4.path("kept").c_str());
        ::unlink(ext4.path("third").c_str());
        EXPECT_EQ(::pread(held, data.data(), 5, 0), 5);  // deleted, but still open
        ::close(held);
        // the inode number may be reused now
        for (int i = 0; i < 20; ++i) {
            make_file(ext4.path("new" + std::to_string(i)), 100);
            ::close(read_by(ext4.path("new" + std::to_string(i)), 7));
        }
        for (int i = 0; i < 20; ++i) ::unlink(ext4.path("new" + std::to_string(i)).c_str());
        make_file(path, 8 * kib);  // in case the round is repeated
    });
    expect_whole(t);
    std::vector<std::string> seen;
    for (const Row& row : t.rows) seen.push_back(row.at("op") + " " + row.at("bytes") + " " + row.at("file"));
    EXPECT_EQ(seen, (std::vector<std::string>{"read 1 " + path, "read 2 " + link, "read 3 " + ext4.path("third"),
                                              "read 4 " + path, "read 5 " + ext4.path("kept") + " (deleted)"}));
}

TRACED_TEST_F(File, ADirectoryIsEveryFileInItNowAndLater) {
    const FileSystem ext4("ext4");
    namespace fs = std::filesystem;
    fs::create_directories(ext4.path("dir/below/deep"));
    make_file(ext4.path("dir/now"), 100);
    make_file(ext4.path("dir/below/deep/old"), 100);
    make_file(ext4.path("outside"), 100);
    const auto work = [&] {
        make_file(ext4.path("dir/later"), 111);
        make_file(ext4.path("dir/below/deep/new"), 222);
        make_file(ext4.path("dir/now"), 333);
        make_file(ext4.path("outside"), 444);
        make_file(ext4.path("dir/below/deep/old"), 555);
        fs::rename(ext4.path("outside"), ext4.path("dir/moved in"));
        make_file(ext4.path("dir/moved in"), 666);
        fs::rename(ext4.path("dir/moved in"), ext4.path("outside"));
        fs::remove(ext4.path("dir/later"));
        fs::remove(ext4.path("dir/below/deep/new"));
    };
    const auto seen = [&](const Traced& t) {
        std::multiset<std::string> all;
        for (const Row& row : rows_of(t, "VFS", "write")) {
            all.insert(row.at("bytes") + " " + row.at("file").substr(ext4.path().size() + 1));
        }
        return all;
    };
    const Traced flat = watch({ext4.path("dir")}, work);
    expect_whole(flat);
    EXPECT_EQ(seen(flat), (std::multiset<std::string>{"111 dir/later", "333 dir/now", "666 dir/moved in"}));
    EXPECT_EQ(bytes_of(rows_of(flat, "BLK", "write")), 3 * page);
    const Traced tree = watch({"--recursive", ext4.path("dir")}, work);
    expect_whole(tree);
    EXPECT_EQ(seen(tree), (std::multiset<std::string>{"111 dir/later", "222 dir/below/deep/new", "333 dir/now",
                                                      "555 dir/below/deep/old", "666 dir/moved in"}));
    EXPECT_EQ(bytes_of(rows_of(tree, "BLK", "write")), 5 * page);
}

/// The bios are those of the filesystem's own device, and those of the underlying disk are not counted again.
TRACED_TEST_F(File, OnDeviceMapperSectorsAreTheMappedDevices) {
    NEEDS(have("dmsetup") && shell("dmsetup version").status == 0, "this kernel has no device-mapper");
    const LoopDisk disk(128 * mib);
    const std::string name = "iolens-test-" + std::to_string(::getpid());
    const Result made = shell("dmsetup create " + name + " --table '0 131072 linear " + disk.path() + " 2048'");
    NEEDS(made.status == 0, "dmsetup: " + made.err);
    shell("dmsetup mknodes " + name);
    const Scratch place;
    const Result mounted =
        shell("mkfs.ext4 -q -F /dev/mapper/" + name + " && mount /dev/mapper/" + name + " " + place.path());
    if (mounted.status == 0) {
        const std::string path = place.path("data");
        make_file(path, 256 * kib);
        const Traced t = watch({path}, [&] {
            const int fd = ::open(path.c_str(), O_RDWR | O_DIRECT);
            char* data = aligned(64 * kib);
            EXPECT_EQ(::pread(fd, data, 64 * kib, 0), static_cast<ssize_t>(64 * kib));
            EXPECT_EQ(::pwrite(fd, data, 64 * kib, 128 * kib), static_cast<ssize_t>(64 * kib));
            ::close(fd);
            make_file(path, 256 * kib);
        });
        expect_whole(t);
        const auto reads = rows_of(t, "BLK", "read");
        EXPECT_EQ(bytes_of(reads), 64 * kib);
        EXPECT_EQ(bytes_of(rows_of(t, "BLK", "write")), (64 + 256) * kib);
        for (const Row& row : reads) EXPECT_EQ(row.at("disk").substr(0, 3), "dm-");
        auto written = sectors_in(rows_of(t, "BLK", "write"));
        const auto file = sectors_of(path);
        EXPECT_TRUE(std::ranges::includes(written, file));
    }
    EXPECT_EQ(mounted.status, 0) << mounted.err;
    shell("umount " + place.path());
    shell("dmsetup remove --retry " + name);
}

/// Replaces a file: by unlink and create, and by a rename. Both new files are written to.
void replace_twice(const std::string& path) {
    ASSERT_EQ(::unlink(path.c_str()), 0);
    make_file(path, 3000);
    make_file(path + ".new", 100);
    ASSERT_EQ(::rename((path + ".new").c_str(), path.c_str()), 0);
    const int fd = ::open(path.c_str(), O_WRONLY);
    EXPECT_EQ(::pwrite(fd, "abc", 3, 100), 3);
    ::close(fd);
    make_file(path + ".other", 50);
}

TEST_F(File, AFileThatReplacesAWatchedNameIsWatched) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("a log");
    make_file(path, 8 * kib);
    for (const bool follow : {true, false}) {
        SCOPED_TRACE(follow);
        std::vector<std::string> options{path, "--level", "vfs"};
        if (!follow) options.emplace_back("--no-follow-name");
        const Traced t = watch(options, [&] {
            const int old = ::open(path.c_str(), O_RDWR);
            replace_twice(path);
            EXPECT_EQ(::pwrite(old, "old", 3, 5), 3);  // still watched
            ::close(old);
        });
        expect_whole(t);
        const auto rows = accesses(rows_of(t, "VFS", "write"));
        EXPECT_EQ(rows, follow ? (std::vector<std::string>{"0+3000=3000", "100+3=3", "5+3=3"})
                               : std::vector<std::string>{"5+3=3"});
        if (follow) {
            EXPECT_EQ(rows_of(t, "VFS", "write", path).size(), 2U);
        }
    }
}

TEST_F(File, ADirectorysFilesAreThoseAccessedUnderANameInIt) {
    const FileSystem ext4("ext4");
    const std::string in = ext4.path("in");
    const std::string out = ext4.path("out");
    std::filesystem::create_directory(in);
    std::filesystem::create_directory(out);
    make_file(in + "/a", 100);
    make_file(out + "/linked", 100);
    const Traced t = watch({in, "--level", "vfs"}, [&] {
        const auto read_some = [](const std::string& path, std::size_t bytes) {
            std::array<char, 64> data{};
            const int fd = ::open(path.c_str(), O_RDONLY);
            EXPECT_EQ(::read(fd, data.data(), bytes), static_cast<ssize_t>(bytes));
            ::close(fd);
        };
        ASSERT_EQ(::link((out + "/linked").c_str(), (in + "/linked").c_str()), 0);
        read_some(out + "/linked", 1);  // not found yet
        read_some(in + "/linked", 2);
        read_some(out + "/linked", 3);
        ASSERT_EQ(::rename((in + "/a").c_str(), (out + "/a").c_str()), 0);
        read_some(out + "/a", 4);
        make_file(in + "/a", 50);  // another one
        read_some(in + "/a", 5);
        ASSERT_EQ(::unlink((in + "/a").c_str()), 0);
        make_file(in + "/a", 60);
        make_file(out + "/b", 70);
        ASSERT_EQ(::rename((out + "/b").c_str(), (in + "/b").c_str()), 0);
        read_some(in + "/b", 6);
    });
    expect_whole(t);
    std::vector<std::string> seen;
    for (const Row& row : t.rows) seen.push_back(row.at("op") + " " + row.at("bytes") + " " + row.at("file"));
    EXPECT_EQ(seen, (std::vector<std::string>{"read 2 " + in + "/linked", "read 3 " + out + "/linked",
                                              "read 4 " + out + "/a", "write 50 " + in + "/a", "read 5 " + in + "/a",
                                              "write 60 " + in + "/a", "read 6 " + in + "/b"}));
}

TEST_F(File, BadInputEndsInASentenceAndAHint) {
    const Scratch place;
    make_file(place.path("file"), 10);
    make_file(place.path("other"), 10);
    ASSERT_EQ(::mkfifo(place.path("fifo").c_str(), 0600), 0);
    const auto refused = [](const std::vector<std::string>& words, int status, const std::string& what) {
        std::vector<std::string> command{iolens_path(), "file"};
        command.insert(command.end(), words.begin(), words.end());
        const Result r = run(command);
        EXPECT_EQ(r.status, status) << what;
        EXPECT_NE(r.err.find(what), std::string::npos) << r.err;
        EXPECT_NE(r.err.find("hint: "), std::string::npos) << r.err;
        EXPECT_EQ(r.out, "");
    };
    refused({}, 2, "missing PATH");
    refused({place.path("none")}, 2, "No such file");
    refused({place.path("none\n\x1b[31m")}, 2, "none\\n\\x1b[31m");
    refused({place.path(std::string(4096, 'x'))}, 2, "name too long");
    refused({place.path("file") + "/below"}, 2, "Not a directory");
    refused({place.path("fifo")}, 2, "not a regular file or directory");
    refused({"--op", "seek", place.path("file")}, 2, "unknown operation 'seek'");
    refused({"--level", "fs", place.path("file")}, 2, "unknown level 'fs'");
    refused({"--max-files", "0", place.path("file")}, 2, "not a whole number");
    refused({"--max-files", "1", place.path()}, 2, "can't watch more than");
    refused({"--format", "metrics", place.path("file")}, 2, "format 'metrics' does not apply here");
    refused({"--format", "iotracer", "--op", "fsync", place.path("file")}, 2, "only reads and writes");
    refused({"profile"}, 2, "missing LOG");
    refused({"profile", place.path("none")}, 1, "can't read");
    refused({"profile", place.path("file")}, 1, "contains no accesses");
    // names may contain a blank or a newline
    const std::string odd = place.path("a b\nc");
    make_file(odd, 10);
    const Traced t = watch({odd, "--level", "vfs"}, [&] { slurp(odd); });
    ASSERT_GE(t.rows.size(), 1U);
}

TRACED_TEST_F(File, ALogAndARecordingHaveTheSameProfile) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const std::string path = ext4.path("data");
    make_file(path, 256 * kib);
    const std::string recording = place.path("rec.iol");
    const Traced t = watch({path, "--record", recording}, [&] {
        drop_caches();
        const int fd = ::open(path.c_str(), O_RDWR | O_DIRECT);
        char* data = aligned(64 * kib);
        for (const u64 at : std::initializer_list<u64>{0, 64, 128, 32}) {
            EXPECT_EQ(::pread(fd, data, 32 * kib, static_cast<off_t>(at * kib)), static_cast<ssize_t>(32 * kib));
        }
        EXPECT_EQ(::pwrite(fd, data, 4 * kib, 8 * kib), static_cast<ssize_t>(4 * kib));
        ::close(fd);
    });
    expect_whole(t);
    const Result log = run({iolens_path(), "replay", "--format", "iotracer", recording});
    spit(place.path("log"), log.out);
    const Result of_log = run({iolens_path(), "file", "profile", place.path("log")});
    const Result of_recording = run({iolens_path(), "file", "profile", "--map", path, recording});
    EXPECT_EQ(of_log.status, 0) << of_log.err;
    EXPECT_EQ(of_recording.status, 0) << of_recording.err;
    for (const char* line : {"---- VFS ----\nevents=5\n", "---- BLK ----\n", "read: io=131072 seq=0.2 rand=0.6\n",
                             "write: io=4096 seq=0.0 rand=0.2\n"}) {
        EXPECT_NE(of_log.out.find(line), std::string::npos) << of_log.out;
        EXPECT_NE(of_recording.out.find(line), std::string::npos) << of_recording.out;
    }
    EXPECT_NE(of_recording.out.find("R 0+32768: expected "), std::string::npos) << of_recording.out;
    EXPECT_NE(of_recording.out.find("seen 64 of 64 sectors"), std::string::npos) << of_recording.out;
    EXPECT_NE(of_recording.out.find("write: expected 8 sectors, seen 8; 8 sectors at the block level, of which 0 not "
                                    "expected, 0 outside"),
              std::string::npos)
        << of_recording.out;
}

/// A program maps a file, reads some pages and writes to others.
TRACED_TEST_F(File, PagesOfAMappingAreFaults) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("mapped");
    make_file(path, 256 * page);
    const std::set<u64> loads{3, 40, 41, 90, 200};
    const std::set<u64> stores{10, 60, 150};
    const Traced t = watch({path, "--op", "read,write,fault"}, [&] {
        drop_caches();
        const int fd = ::open(path.c_str(), O_RDWR);
        auto* map = static_cast<char*>(::mmap(nullptr, 256 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        ::madvise(map, 256 * page, MADV_RANDOM);  // no readahead
        ::close(fd);
        u64 sum = 0;
        for (const u64 n : loads) sum += static_cast<unsigned char>(map[n * page]);
        for (const u64 n : stores) map[n * page] = static_cast<char>(sum);
        ::msync(map, 256 * page, MS_SYNC);
        ::munmap(map, 256 * page);
    });
    NEEDS(t.result.err.find("does not show faults") == std::string::npos,
          "this kernel shows no faults without kprobes");
    expect_whole(t);
    std::set<u64> loaded;
    std::set<u64> stored;
    for (const Row& row : rows_of(t, "VFS", "fault")) {
        EXPECT_EQ(number(row, "pid"), static_cast<u64>(::getpid()));
        (row.at("store") == "1" ? stored : loaded).insert(number(row, "address") / page);
    }
    std::set<u64> all = loads;
    all.insert(stores.begin(), stores.end());
    EXPECT_EQ(loaded, all);  // a page is read in before it is written to
    EXPECT_EQ(stored, stores);
    EXPECT_EQ(bytes_of(rows_of(t, "BLK", "read")), all.size() * page);
    EXPECT_EQ(bytes_of(rows_of(t, "BLK", "write")), stores.size() * page);
}

TRACED_TEST_F(File, ARangeThatIsTakenOutIsADiscard) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    make_file(path, 64 * kib);
    const Traced t = watch({path, "--op", "discard"}, [&] {
        const int fd = ::open(path.c_str(), O_RDWR);
        EXPECT_EQ(::fallocate(fd, 0, 0, 64 * kib), 0);  // discards nothing
        EXPECT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * kib, 16 * kib), 0);
        ::close(fd);
    });
    expect_whole(t);
    ASSERT_EQ(t.rows.size(), 1U);
    EXPECT_EQ(t.rows[0].at("rw"), "D");
    EXPECT_EQ(t.rows[0].at("address") + "+" + t.rows[0].at("bytes"), "8192+16384");
}

struct Job {
    std::string engine;
    bool direct = false;
};

/// True if a filesystem's read function is traced by a kretprobe, as for modules without BTF on 5.10.
bool has_kretprobes(const std::string& filesystem) {
    const char* forced = std::getenv("IOLENS_PROBE");
    if (forced != nullptr) return std::string_view(forced) == "kprobe";
    return std::filesystem::exists("/sys/module/" + filesystem) &&
           !std::filesystem::exists("/sys/kernel/btf/" + filesystem) &&
           std::filesystem::exists("/sys/kernel/debug/kprobes");
}

/// Both levels have the bytes that fio moves, in the right direction; and the right share of sequential accesses. One
/// trace and one fio for all jobs, each with a file of its own. They run concurrently, except with kretprobes: for one
/// function, the kernel traces no more concurrent calls than it has CPUs, and misses the others. The engines are those
/// of iotracer's own tests, and io_uring.
void profile(const std::string& filesystem, const std::vector<Job>& jobs, u64 block = 4 * kib) {
    const FileSystem fs(filesystem);
    const u64 size = (emulated() ? 256 : 1024) * kib;
    const auto name = [](const Job& job, const char* rw) {
        return job.engine + (job.direct ? "-direct-" : "-buffered-") + rw;
    };
    for (const bool read : {false, true}) {
        std::string fio =
            fmt::format("fio --output-format=terse --size={} --fallocate=none --end_fsync=1 --bs={}", size, block);
        if (has_kretprobes(filesystem)) fio += " --stonewall";
        for (const Job& job : jobs) {
            for (const std::string rw : {"seq", "rand"}) {
                const std::string file = fs.path(name(job, rw.c_str()));
                make_file(file, size);
                fio += " --name=" + job.engine + " --filename=" + file + " --ioengine=" + job.engine +
                       " --direct=" + (job.direct ? "1" : "0") + " --rw=" + (rw == "rand" ? "rand" : "") +
                       (read ? "read" : "write");
            }
        }
        u64 by_the_disk = 0;
        const Traced t = trace(
            {fs.path(), "--ring-size", "64"},
            [&] {
                drop_caches();
                const u64 before = disk_bytes(fs.disk(), read);
                const Result r = shell(fio, std::chrono::seconds(200));
                EXPECT_EQ(r.status, 0) << r.err << r.out;
                ::sync();
                by_the_disk = disk_bytes(fs.disk(), read) - before;
            },
            "file");
        EXPECT_EQ(t.result.err.find("iolens: lost "), std::string::npos) << t.result.err;
        const std::string op = read ? "read" : "write";
        EXPECT_LE(bytes_of(rows_of(t, "BLK", op)), by_the_disk);  // which includes metadata of the filesystem
        for (const Job& job : jobs) {
            std::array<double, 2> random{};
            for (const bool rand : {false, true}) {
                const std::string file = fs.path(name(job, rand ? "rand" : "seq"));
                SCOPED_TRACE(filesystem + " " + op + " " + std::filesystem::path(file).filename().string());
                auto vfs = rows_of(t, "VFS", op, file);
                EXPECT_EQ(bytes_of(vfs), size);
                // a call that io_uring retries is one row; one of more than a page may move a part, and continue in
                // another row
                EXPECT_GE(vfs.size(), size / block);
                if (block == page) {
                    EXPECT_EQ(vfs.size(), size / block);
                }
                const auto bios = rows_of(t, "BLK", op, file);
                const u64 blocks = bytes_of(bios);
                EXPECT_GE(blocks, size);
                // at most once, except for pages that were evicted from the page cache before they were used
                EXPECT_EQ(twice_at_once(bios), std::vector<std::string>{});
                EXPECT_EQ(bytes_of(rows_of(t, "VFS", read ? "write" : "read", file)), 0U);
                EXPECT_EQ(bytes_of(rows_of(t, "BLK", read ? "write" : "read", file)), 0U);
                std::ranges::sort(vfs, {}, [](const Row& r) { return number(r, "start_ns"); });
                u64 elsewhere = 0;
                for (std::size_t i = 1; i < vfs.size(); ++i) {
                    if (number(vfs[i], "address") != number(vfs[i - 1], "address") + number(vfs[i - 1], "bytes")) {
                        ++elsewhere;
                    }
                }
                random.at(rand ? 1 : 0) = static_cast<double>(elsewhere) / static_cast<double>(vfs.size());
            }
            EXPECT_EQ(random[0], 0) << name(job, "seq");
            EXPECT_GT(random[1], 0.5) << name(job, "rand");
        }
    }
}

const std::vector<Job> seed_jobs{{"libaio"}, {"posixaio"}, {"sync"}, {"psync"}, {"vsync"}, {"pvsync"}};

TRACED_TEST_F(File, TheProfilesOfIotracersOwnTests) {
    NEEDS(have("fio"), "fio is not installed");
    profile("ext4", seed_jobs);
}

TRACED_TEST_F(File, TheSameByIoUringAndDirect) {
    NEEDS(have("fio"), "fio is not installed");
    profile("ext4", {{"io_uring"}, {"io_uring", true}, {"libaio", true}, {"psync", true}, {"pvsync2", true}});
}

TRACED_TEST_F(File, TheSameOnXfs) {
    NEEDS(have("fio"), "fio is not installed");
    NEEDS(FileSystem::missing("xfs").empty(), FileSystem::missing("xfs"));
    profile("xfs", {{"psync"}, {"io_uring"}, {"libaio", true}, {"io_uring", true}});
}

TRACED_TEST_F(File, TheSameOnBtrfs) {
    NEEDS(have("fio"), "fio is not installed");
    NEEDS(FileSystem::missing("btrfs").empty(), FileSystem::missing("btrfs"));
    profile("btrfs", {{"psync"}, {"io_uring"}, {"libaio", true}, {"io_uring", true}}, 16 * kib);
}

/// A virtual machine whose boot sector is its whole program: it has the BIOS write the sector 4 of its disk, and ends.
TRACED_TEST_F(File, WritesOfAVirtualMachineAreOnTheImage) {
    NEEDS(have("qemu-system-x86_64"), "qemu-system-x86_64 is not installed");
    const FileSystem ext4("ext4");
    const std::string image = ext4.path("vm.img");
    make_file(image, mib);
    const std::array<unsigned char, 23> program{
        0xB8, 0x01, 0x03,        // mov ax, 0301h: write one sector
        0xBB, 0x00, 0x7C,        // mov bx, 7C00h: from here
        0xB9, 0x05, 0x00,        // mov cx, 5: cylinder 0, sector 5, counted from 1
        0xBA, 0x80, 0x00,        // mov dx, 80h: the first disk
        0x6A, 0x00, 0x07,        // push 0; pop es
        0xCD, 0x13,              // int 13h
        0xE6, 0xF4,              // out F4h, al: QEMU exits
        0xF4, 0xEB, 0xFD, 0x90,  // hlt, forever
    };
    const int fd = ::open(image.c_str(), O_WRONLY);
    EXPECT_EQ(::pwrite(fd, program.data(), program.size(), 0), static_cast<ssize_t>(program.size()));
    EXPECT_EQ(::pwrite(fd, "\x55\xAA", 2, 510), 2);
    ::fsync(fd);
    ::close(fd);
    for (const char* cache : {"writeback", "none"}) {
        SCOPED_TRACE(cache);
        const Traced t = watch({image}, [&] {
            const Result r = shell(
                "qemu-system-x86_64 -accel tcg -nodefaults -display none -m 16 -no-reboot "
                "-device isa-debug-exit,iobase=0xf4 -drive file=" +
                image + ",format=raw,if=ide,cache=" + cache);
            EXPECT_EQ(r.status, 3) << r.err;  // QEMU's exit status: twice AL (the number of sectors written), plus one
            ::sync();
        });
        expect_whole(t);
        const auto writes = rows_of(t, "VFS", "write");
        ASSERT_EQ(writes.size(), 1U);
        EXPECT_EQ(writes[0].at("address") + "+" + writes[0].at("bytes"), "2048+512");
        EXPECT_NE(writes[0].at("comm").find("qemu"), std::string::npos);
        EXPECT_GE(bytes_of(rows_of(t, "BLK", "write")), 512U);
        const auto reads = rows_of(t, "VFS", "read");
        EXPECT_TRUE(std::ranges::any_of(reads, [](const Row& r) { return r.at("address") == "0"; }));
    }
}

/// A server in the background; the constructor returns once its file system is mounted.
class Served : public Background {
public:
    explicit Served(const std::string& directory, const std::vector<std::string>& options = {})
        : Background(command(directory, options)), directory_(directory) {
        if (!wait_for_line("serving")) throw std::runtime_error("no server: " + err());
    }
    ~Served() {
        if (pid() > 0) stop(SIGTERM);
    }
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;

    [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
    /// Writes a text; returns the errno of write(2).
    [[nodiscard]] int write(const std::string& name, const std::string& text) const {
        const int fd = ::open(path(name).c_str(), O_WRONLY | O_TRUNC);
        if (fd < 0) return errno;
        const int error = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
        ::close(fd);
        return error;
    }
    [[nodiscard]] std::string node() const { return split(slurp(path("control")), ' ').at(0); }

private:
    static std::vector<std::string> command(const std::string& directory, const std::vector<std::string>& options) {
        std::vector<std::string> words{iolens_path(), "file", "serve", directory};
        words.insert(words.end(), options.begin(), options.end());
        return words;
    }

    std::string directory_;
};

class Serve : public File {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        shell("modprobe -q fuse");
        NEEDS(std::filesystem::exists("/dev/fuse"), "there is no /dev/fuse");
    }
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> all = split(text, '\n');
    if (!all.empty() && all.back().empty()) all.pop_back();
    return all;
}

TEST_F(Serve, TheSeedsSession) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const std::string path = ext4.path("iotracer_test_file");
    make_file(path, 64 * kib);
    const Served served(place.path("tree"));
    EXPECT_EQ(slurp(served.path("control")), "");
    ASSERT_EQ(served.write("control", "add " + path + "\n"), 0);
    struct stat info{};
    ::stat(path.c_str(), &info);
    const std::string node = ext4.disk().name() + "_" + std::to_string(info.st_ino);
    EXPECT_EQ(slurp(served.path("control")), node + " " + path + "\n");
    const auto words = split(slurp(served.path(node + "/control")), ' ');
    ASSERT_EQ(words.size(), 4U);
    EXPECT_EQ(words[0] + " " + words[2] + " " + words[3], "1 10 0\n");
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    EXPECT_NEAR(std::strtod(words[1].c_str(), nullptr), static_cast<double>(now.tv_sec), 30);
    EXPECT_EQ(split(words[1], '.').at(1).size(), 9U);

    // the log is circular: of twelve accesses it has the last ten, in order
    const int fd = ::open(path.c_str(), O_RDONLY);
    std::vector<char> data(4096);
    for (int i = 0; i < 12; ++i) {
        EXPECT_EQ(::pread(fd, data.data(), 100, i * 100), 100);
    }
    ::close(fd);
    const auto log = lines_of(slurp(served.path(node + "/log")));
    ASSERT_EQ(log.size(), 10U);
    for (std::size_t i = 0; i < log.size(); ++i) {
        const auto fields = split(log[i], ';');
        ASSERT_EQ(fields.size(), 7U) << log[i];
        EXPECT_EQ(fields[1] + fields[2] + " " + fields[3] + fields[4], "R" + std::to_string((i + 2) * 100) + " 100VFS");
        EXPECT_EQ(fields[6], std::to_string(::getpid()));
        if (i > 0) {
            EXPECT_LT(split(log[i - 1], ';').at(0), fields[0]);
        }
    }
    EXPECT_NE(slurp(served.path(node + "/control")).find(" 10 10\n"), std::string::npos);

    const auto touch = [&] { shell("cat " + path + " > /dev/null"); };
    const auto events = [&] { return lines_of(slurp(served.path(node + "/log"))).size(); };
    EXPECT_EQ(served.write(node + "/control", "reset"), 0);
    EXPECT_EQ(events(), 0U);
    touch();
    EXPECT_GT(events(), 0U);
    EXPECT_EQ(served.write(node + "/control", "stop\n"), 0);
    const std::size_t before = events();
    touch();
    EXPECT_EQ(events(), before);
    EXPECT_EQ(slurp(served.path(node + "/control")).substr(0, 2), "0 ");
    EXPECT_EQ(served.write(node + "/control", "start"), 0);
    touch();
    EXPECT_GT(events(), before);
    EXPECT_EQ(split(slurp(served.path(node + "/control")), ' ').at(1), words[1]);
    EXPECT_EQ(served.write(node + "/control", "timereset"), 0);
    EXPECT_NE(split(slurp(served.path(node + "/control")), ' ').at(1), words[1]);
    touch();
    EXPECT_LT(std::strtod(slurp(served.path(node + "/log")).c_str(), nullptr), 5);
    for (const char* bad : {"", "x", "startx", "reset reset", "stop, and a lot more words than there may be"}) {
        if (*bad != '\0') {
            EXPECT_EQ(served.write(node + "/control", bad), EINVAL) << bad;
        }
    }
    // hard links share a log, which is deleted with the last name; names can be removed after the file was deleted
    const std::string link = ext4.path("another name");
    ASSERT_EQ(::link(path.c_str(), link.c_str()), 0);
    EXPECT_EQ(served.write("control", "add " + link), 0);
    EXPECT_EQ(slurp(served.path("control")), node + " " + link + " " + path + "\n");
    EXPECT_EQ(served.write("control", "add " + link + " 50"), 0);  // another capacity is accepted
    EXPECT_NE(slurp(served.path(node + "/control")).find(" 50 "), std::string::npos);
    EXPECT_NE(served.err().find("log capacity changed from 10 to 50 events"), std::string::npos) << served.err();
    ::unlink(path.c_str());
    EXPECT_EQ(served.write("control", "remove " + path), 0);
    EXPECT_EQ(slurp(served.path("control")), node + " " + link + "\n");
    EXPECT_EQ(served.write("control", "remove " + path), ENOENT);
    EXPECT_EQ(served.write("control", "remove " + link + "\n"), 0);
    EXPECT_EQ(slurp(served.path("control")), "");
    EXPECT_FALSE(std::filesystem::exists(served.path(node)));
}

TEST_F(Serve, EachBadWriteHasItsErrno) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const std::string path = ext4.path("data 123");
    make_file(path, 100);
    const Served served(place.path("tree"));
    ::symlink("/nowhere", ext4.path("dangling").c_str());
    for (const auto& [text, error] : std::vector<std::pair<std::string, int>>{
             {"add " + path, ENOENT},  // parsed as a path and a number
             {"add " + path + " 7", 0},
             {"add " + path + " 0", EINVAL},
             {"add " + path + " 09", EINVAL},
             {"add " + path + " 9223372036854775808", ERANGE},
             {"add " + ext4.path("missing"), ENOENT},
             {"add " + ext4.path("dangling"), ENOENT},
             {"add " + ext4.path(), EISDIR},
             {"add /dev/null", EINVAL},
             {"add " + served.path("control"), EINVAL},
             {"remove " + ext4.path("missing"), ENOENT},
             {"list", EINVAL},
             {"addx " + path, EINVAL},
             {std::string(5000, 'a'), EINVAL},
             {"add " + std::string(4110, 'a'), ENAMETOOLONG},
         }) {
        EXPECT_EQ(served.write("control", text), error) << text.substr(0, 60);
    }
    EXPECT_EQ(lines_of(slurp(served.path("control"))).size(), 1U);
    struct stat info{};
    ::stat(served.path("control").c_str(), &info);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
    ::stat(served.path(served.node() + "/log").c_str(), &info);
    EXPECT_EQ(info.st_mode & 07777U, 0400U);
    EXPECT_EQ(served.write(served.node() + "/log", "x"), EACCES);
    // another kind of filesystem: without a block device there is only one level
    const Scratch memory("/dev/shm");
    make_file(memory.path("file"), 100);
    EXPECT_EQ(served.write("control", "add " + memory.path("file")), 0);
    const std::string node = split(lines_of(slurp(served.path("control"))).at(1), ' ').at(0);
    EXPECT_EQ(node.substr(0, 2), "0:");
    EXPECT_EQ(slurp(memory.path("file")).size(), 100U);
    EXPECT_NE(slurp(served.path(node + "/log")).find(";R;0;"), std::string::npos);
}

TEST_F(Serve, ALogGoesOnWithTheFileThatReplacesTheOld) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const std::string path = ext4.path("data");
    make_file(path, 64 * kib);
    const Served served(place.path("tree"), {"--max-events", "1000", "--level", "vfs"});
    ASSERT_EQ(served.write("control", "add " + path), 0);
    const std::string node = served.node();
    const auto writes = [&] {
        std::vector<std::string> all;
        for (const std::string& line : lines_of(slurp(served.path(node + "/log")))) {
            const auto fields = split(line, ';');
            all.push_back(fields.at(2) + "+" + fields.at(3));
        }
        return all;
    };
    replace_twice(path);
    EXPECT_EQ(writes(), (std::vector<std::string>{"0+3000", "100+3"}));
    struct stat info{};
    ::stat(path.c_str(), &info);
    EXPECT_NE(slurp(served.path("status")).find(fmt::format("replaced {} 2 times, now inode {}\n", node, info.st_ino)),
              std::string::npos);
    // adding the name again changes nothing, even before the new file is accessed
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ::close(::open(path.c_str(), O_WRONLY | O_CREAT, 0600));
    EXPECT_EQ(served.write("control", "add " + path), 0);
    EXPECT_EQ(slurp(served.path("control")), node + " " + path + "\n");
    make_file(path, 10);
    EXPECT_EQ(writes().back(), "0+10");
    for (u64 i = 1; i <= 20; ++i) {
        ASSERT_EQ(::unlink(path.c_str()), 0);
        make_file(path, i);
        EXPECT_EQ(writes().back(), "0+" + std::to_string(i));
    }
    EXPECT_EQ(served.write("control", "remove " + path), 0);
    EXPECT_EQ(slurp(served.path("control")), "");
    ASSERT_EQ(::unlink(path.c_str()), 0);
    make_file(path, 10);
    EXPECT_EQ(served.write("control", "add " + path), 0);
    const std::string again = served.node();
    EXPECT_EQ(slurp(served.path(again + "/log")), "");
}

TEST_F(Serve, AnInodeNumberThatIsUsedAgainIsAnotherFile) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const std::string path = ext4.path("data");
    make_file(path, 100);
    const Served served(place.path("tree"), {"--no-follow-name"});
    ASSERT_EQ(served.write("control", "add " + path), 0);
    struct stat before{};
    ::stat(path.c_str(), &before);
    const std::string node = served.node();
    ASSERT_EQ(served.write(node + "/control", "reset"), 0);
    ::unlink(path.c_str());
    make_file(path, 100);
    struct stat after{};
    ::stat(path.c_str(), &after);
    NEEDS(before.st_ino == after.st_ino, "the filesystem gave the new file another inode number");
    shell("cat " + path);
    EXPECT_EQ(slurp(served.path(node + "/log")), "");
    ASSERT_EQ(served.write("control", "add " + path), 0);
    EXPECT_EQ(lines_of(slurp(served.path("control"))).size(), 2U);
    shell("cat " + path);
    EXPECT_EQ(slurp(served.path(node + "/log")), "");
    const std::string other = split(lines_of(slurp(served.path("control"))).at(1), ' ').at(0);
    EXPECT_NE(slurp(served.path(other + "/log")).find(";R;0;"), std::string::npos);
}

TEST_F(Serve, EightClientsAtOnce) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const Served served(place.path("tree"));
    constexpr int clients = 8;
    constexpr int each = 20;
    std::vector<std::thread> threads;
    std::atomic<int> failures = 0;
    std::atomic<u64> missing = 0;
    for (int c = 0; c < clients; ++c) {
        threads.emplace_back([&, c] {
            for (int i = 0; i < each; ++i) {
                const std::string path = ext4.path("c" + std::to_string(c) + "-" + std::to_string(i));
                make_file(path, 100);
                if (served.write("control", "add " + path + " 100") != 0) ++failures;
                if (slurp(path).size() != 100) ++failures;
                struct stat info{};
                ::stat(path.c_str(), &info);
                const std::string node = ext4.disk().name() + "_" + std::to_string(info.st_ino);
                if (slurp(served.path(node + "/log")).find(";R;0;") == std::string::npos) ++missing;
                if (served.write(node + "/control", i % 2 == 0 ? "stop" : "timereset") != 0) ++failures;
                if (i % 2 == 0 && served.write("control", "remove " + path) != 0) ++failures;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(failures, 0);
    // the kernel may preempt a program; it then skips its other runs meanwhile, and counts them
    const std::string status = slurp(served.path("status"));
    constexpr std::string_view missed = "lost_missed ";
    const std::size_t at = status.find(missed);
    ASSERT_NE(at, std::string::npos);
    EXPECT_LE(missing.load(), std::strtoull(status.c_str() + at + missed.size(), nullptr, 10)) << status;
    EXPECT_EQ(lines_of(slurp(served.path("control"))).size(), std::size_t{clients} * each / 2);
}

TEST_F(Serve, OneServerADirectoryAndNothingIsLeft) {
    const Scratch place;
    const std::string tree = place.path("tree");
    {
        Served served(tree);
        const Result second = run({iolens_path(), "file", "serve", tree});
        EXPECT_EQ(second.status, 1);
        EXPECT_NE(second.err.find("already served"), std::string::npos) << second.err;
        const int held = ::open((tree + "/control").c_str(), O_RDONLY);  // a client that keeps its fd open
        EXPECT_EQ(served.stop(SIGTERM).status, 0);
        ::close(held);
        EXPECT_FALSE(std::filesystem::exists(tree));
    }
    {
        Served killed(tree);
        killed.stop(SIGKILL);
        // another process unmounts and removes what is left
        const auto gone = [&] { return ::access(tree.c_str(), F_OK) != 0 && errno == ENOENT; };
        EXPECT_TRUE(wait_until(gone));  // ENOTCONN until it is unmounted
        EXPECT_EQ(slurp("/proc/mounts").find(tree), std::string::npos);
        Served again(tree);
        EXPECT_EQ(slurp(again.path("control")), "");
        EXPECT_EQ(again.stop(SIGINT).status, 0);
    }
    {
        // a server that was killed before FUSE was initialized
        std::filesystem::create_directory(tree);
        const int fuse = ::open("/dev/fuse", O_RDWR);
        const std::string data = "rootmode=40000,user_id=0,group_id=0,fd=" + std::to_string(fuse);
        ASSERT_EQ(::mount("killed", tree.c_str(), "fuse", 0, data.c_str()), 0);
        std::vector<char> request(1 << 17);
        EXPECT_GT(::read(fuse, request.data(), request.size()), 0);
        ::close(fuse);
        struct stat info{};
        EXPECT_NE(::stat(tree.c_str(), &info), 0);  // ENOTCONN or, on 7.x, ECONNREFUSED
        EXPECT_NE(run({iolens_path(), "file", "list", "--dir", tree}).err.find("no server for"), std::string::npos);
        Served again(tree);
        EXPECT_EQ(again.stop(SIGINT).status, 0);
        std::filesystem::remove(tree);
    }
    EXPECT_NE(slurp("/proc/mounts").find("proc"), std::string::npos);
    EXPECT_EQ(slurp("/proc/mounts").find(tree), std::string::npos);
    spit(place.path("file"), "x");
    const auto refused = [&](const std::string& directory, const std::string& words) {
        const Result r = run({iolens_path(), "file", "serve", directory});
        EXPECT_NE(r.status, 0);
        EXPECT_NE(r.err.find(words), std::string::npos) << r.err;
        EXPECT_NE(r.err.find("hint: "), std::string::npos) << r.err;
    };
    refused(place.path("file"), "is not a directory");
    refused(place.path(), "is not empty");
    refused(place.path("none/below"), "can't create directory");
    std::filesystem::create_directory(place.path("mine"));
    Served kept(place.path("mine"));  // an existing directory is not removed
    EXPECT_EQ(kept.stop(SIGTERM).status, 0);
    EXPECT_TRUE(std::filesystem::is_empty(place.path("mine")));
}

TEST_F(Serve, EndsWhenItIsUnmountedBySomebodyElse) {
    const Scratch place;
    Served served(place.path("tree"));
    ASSERT_EQ(::umount2(served.path("").c_str(), 0), 0) << std::strerror(errno);
    const Result r = served.stop(0);
    EXPECT_EQ(r.status, 1);
    EXPECT_NE(r.err.find("was unmounted by somebody else\nhint: start it again\n"), std::string::npos) << r.err;
}

/// A signal while it loads its programs: the kernel's verifier stops on signals.
TEST_F(Serve, EndsByASignalAtEachMoment) {
    const Scratch place;
    const int moments = emulated() ? 8 : 12;
    for (int i = 0; i < moments; ++i) {
        const int ms = (emulated() ? 180 : 15) * i;
        const Result r = shell("timeout -s INT --preserve-status " + std::to_string(ms / 1000.0 + 0.01) + " " +
                               iolens_path() + " file serve " + place.path("tree"));
        const bool before = r.err.find("interrupted before tracing began") != std::string::npos;
        EXPECT_TRUE(r.status == 0 || r.status == 128 + SIGINT || (r.status == 1 && before))
            << ms << ": " << r.status << r.err;
        EXPECT_FALSE(std::filesystem::exists(place.path("tree"))) << ms;
    }
}

/// timeout(1) signals the process, and then its process group.
TEST_F(Serve, TwoSignalsAtOnceAreOne) {
    const Scratch place;
    Served served(place.path("tree"));
    ::kill(served.pid(), SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(served.stop(SIGINT).status, 0);
    EXPECT_FALSE(std::filesystem::exists(place.path("tree")));
}

TEST_F(Serve, KilledBeforeItMountsItLeavesNoDirectory) {
    const Scratch place;
    const std::string tree = place.path("tree");
    const Result r =
        shell("strace -qq -o " + place.path("calls") + " -e trace=mkdir,mount -e inject=mount:signal=KILL " +
              iolens_path() + " file serve " + tree);
    EXPECT_EQ(r.status, 128 + SIGKILL);
    EXPECT_NE(slurp(place.path("calls")).find("mkdir(\"" + tree), std::string::npos) << slurp(place.path("calls"));
    EXPECT_TRUE(wait_until([&] { return !std::filesystem::exists(tree); }));
}

/// 'add' looks up a path in a filesystem whose server is stopped: only SIGKILL interrupts that.
TEST_F(Serve, EndsWhileARequestHangs) {
    const Scratch place;
    Served stopped(place.path("stopped"));
    Served served(place.path("tree"));
    struct stat info{};
    ASSERT_EQ(::stat(stopped.path("").c_str(), &info), 0);
    std::filesystem::create_directory(place.path("connections"));
    ASSERT_EQ(::mount("none", place.path("connections").c_str(), "fusectl", 0, nullptr), 0) << std::strerror(errno);
    ::kill(stopped.pid(), SIGSTOP);
    // a thread that reads the request before it stops would make the wait for the answer unkillable
    ASSERT_TRUE(wait_until([&] {
        const std::filesystem::directory_iterator threads("/proc/" + std::to_string(stopped.pid()) + "/task");
        return std::all_of(begin(threads), end(threads), [](const auto& thread) {
            return slurp(thread.path() / "stat").find(") T ") != std::string::npos;
        });
    }));
    int error = 0;
    std::thread client([&] { error = served.write("control", "add " + stopped.path("file")); });
    const std::string waiting = place.path("connections/" + std::to_string(minor(info.st_dev)) + "/waiting");
    EXPECT_TRUE(wait_until([&] { return slurp(waiting) == "1\n"; }));
    const auto start = std::chrono::steady_clock::now();
    const Result r = served.stop(SIGTERM);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(emulated() ? 10 : 1));
    EXPECT_FALSE(std::filesystem::exists(place.path("tree")));
    client.join();
    EXPECT_NE(error, 0);
    ::kill(stopped.pid(), SIGCONT);
    ::umount2(place.path("connections").c_str(), MNT_DETACH);
}

TEST_F(Serve, WithoutFuseItSaysSo) {
    const Scratch place;
    const Result r = shell("unshare -m sh -c 'mount -t tmpfs none /dev && exec " + iolens_path() + " file serve " +
                           place.path("tree") + "'");
    EXPECT_EQ(r.status, 3) << r.err;
    EXPECT_NE(r.err.find("can't open /dev/fuse"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("hint: "), std::string::npos) << r.err;
    EXPECT_FALSE(std::filesystem::exists(place.path("tree")));
}

TEST_F(Serve, TheCommandsAreThinOverTheTree) {
    const FileSystem ext4("ext4");
    const Scratch place;
    const std::string tree = place.path("tree");
    const std::string path = ext4.path("a file 5");
    make_file(path, 8 * kib);
    const auto file = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {iolens_path(), "file"});
        words.insert(words.begin() + 3, {"--dir", tree});
        return run(words);
    };
    EXPECT_NE(file({"list"}).err.find("no server for"), std::string::npos);
    const Served served(tree);
    EXPECT_EQ(file({"add", path}).status, 2);  // a path that ends in a number
    EXPECT_EQ(file({"add", path, "0"}).status, 2);
    EXPECT_EQ(file({"add", path, "-1"}).status, 2);
    EXPECT_EQ(file({"add", path, "9223372036854775808"}).status, 2);
    EXPECT_EQ(file({"add", ext4.path("none")}).status, 2);
    EXPECT_EQ(file({"add", ext4.path()}).status, 2);
    EXPECT_EQ(file({"add", path, "20"}).status, 0);
    EXPECT_EQ(file({"list"}).out, served.node() + " " + path + "\n");
    EXPECT_NE(file({"status"}).out.find("yes"), std::string::npos);
    EXPECT_EQ(file({"stop", path}).status, 0);
    EXPECT_NE(file({"status", path}).out.find("no "), std::string::npos);
    EXPECT_EQ(file({"start", served.node()}).status, 0);
    EXPECT_EQ(file({"reset", path}).status, 0);
    EXPECT_EQ(slurp(path).size(), 8 * kib);
    EXPECT_EQ(file({"log", path}).out, slurp(served.path(served.node() + "/log")));
    EXPECT_NE(file({"log", path}).out.find(";R;0;"), std::string::npos);
    EXPECT_NE(file({"status", "-v"}).out.find("memory_bytes"), std::string::npos);
    EXPECT_EQ(file({"timereset", path}).status, 0);
    EXPECT_EQ(file({"log", path}).out, "");
    EXPECT_EQ(file({"stop", ext4.path("none")}).status, 1);
    // --follow prints new events
    Background follower({iolens_path(), "file", "log", "--follow", "--dir", tree, path});
    const auto rows = [&] { return static_cast<std::size_t>(std::ranges::count(file({"log", path}).out, '\n')); };
    slurp(path);
    const std::size_t first = rows();
    EXPECT_GE(first, 1U);
    EXPECT_TRUE(follower.wait_for_rows(first)) << follower.err();
    slurp(path);
    const std::size_t both = rows();
    EXPECT_GT(both, first);
    EXPECT_TRUE(follower.wait_for_rows(both)) << follower.err();
    const Result followed = follower.stop(SIGINT);
    EXPECT_EQ(followed.status, 0) << followed.err;
    EXPECT_EQ(lines_of(followed.out), lines_of(file({"log", path}).out));
    // and ends when its reader exits, even without new events
    const Result gone =
        shell("{ iolens file log --follow --dir " + tree + " '" + path + "'; echo status $? >&2; } | head -1",
              std::chrono::seconds(20));
    EXPECT_EQ(split(gone.out, '\n').size(), 1U) << gone.out;
    EXPECT_NE(gone.err.find("status 0"), std::string::npos) << gone.err;
    EXPECT_EQ(file({"remove", path}).status, 0);
    EXPECT_EQ(file({"remove", path}).status, 1);
}

TEST_F(Serve, AGroupMayUseIt) {
    const FileSystem ext4("ext4");
    NEEDS(have("setpriv"), "setpriv is not installed");
    const Scratch place("/dev/shm");
    ::chmod(place.path().c_str(), 0755);
    make_file(ext4.path("data"), 100);
    const Served served(place.path("tree"), {"--group", "65533"});
    ASSERT_EQ(served.write("control", "add " + ext4.path("data")), 0);
    const auto as = [&](const std::string& group) {
        return shell("setpriv --reuid 65532 --regid " + group + " --clear-groups cat " + served.path("control")).status;
    };
    EXPECT_EQ(as("65533"), 0);
    EXPECT_NE(as("65532"), 0);
}

TEST_F(Serve, AGroupsMemberAddsOnlyWhatItMayRead) {
    NEEDS(have("setpriv"), "setpriv is not installed");
    const Scratch place;
    ::chmod(place.path().c_str(), 0755);
    const auto make = [&](const std::string& name, mode_t mode, gid_t group = 0) {
        spit(place.path(name), "text");
        ::chown(place.path(name).c_str(), 0, group);
        ::chmod(place.path(name).c_str(), mode);
    };
    make("public", 0644);
    make("secret", 0600);
    make("shared", 0640, 65531);
    std::filesystem::create_directory(place.path("closed"));
    make("closed/public", 0644);
    ::chmod(place.path("closed").c_str(), 0700);
    std::filesystem::create_symlink("secret", place.path("link"));
    const Served served(place.path("tree"), {"--group", "65533"});
    const auto added = [&](const std::string& path) {
        const Result r = shell("cd " + place.path() +
                               "; exec setpriv --reuid 65532 --regid 65532 --groups 65531,65533 sh -c 'echo add " +
                               path + " >tree/control'");
        return r.status == 0;
    };
    EXPECT_TRUE(added(place.path("public")));
    EXPECT_TRUE(added("public"));  // relative to the client's working directory
    EXPECT_TRUE(added(place.path("shared"))) << "by a group of its own";
    EXPECT_EQ(lines_of(slurp(served.path("control"))).size(), 2U);
    for (const std::string& path :
         {place.path("secret"), place.path("closed/public"), place.path("link"), std::string("secret"),
          std::string("/proc/self/fd/2"), "/proc/" + std::to_string(served.pid()) + "/root" + place.path("secret")}) {
        EXPECT_FALSE(added(path)) << path;
    }
    EXPECT_EQ(lines_of(slurp(served.path("control"))).size(), 2U);
    // the credentials of the process that opened the control file count: root may have been passed its fd
    const std::string command = "add " + place.path("secret");
    Fd given;
    {
        const AccessAs member({.uid = 65532, .gid = 65532, .groups = {65533}});
        given = Fd(::open(served.path("control").c_str(), O_WRONLY | O_CLOEXEC));
    }
    ASSERT_TRUE(given);
    EXPECT_LT(::write(given.get(), command.data(), command.size()), 0);
    EXPECT_EQ(errno, EACCES);
    ASSERT_EQ(served.write("control", "add " + place.path("secret")), 0) << "root adds anything";
    EXPECT_EQ(lines_of(slurp(served.path("control"))).size(), 3U);
}

TEST_F(Serve, KeepsOnlyWhatAddNeeds) {
    NEEDS(::geteuid() == 0, "needs root");
    const Scratch place;
    spit(place.path("file"), "text");
    const auto check = [&](const std::vector<std::string>& options, u64 may_stay) {
        const Served served(place.path("tree"), options);
        ASSERT_EQ(served.write("control", "add " + place.path("file")), 0);
        // capabilities are per thread
        for (const auto& thread :
             std::filesystem::directory_iterator("/proc/" + std::to_string(served.pid()) + "/task")) {
            const std::string status = slurp(thread.path() / "status");
            for (const std::string set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
                const std::size_t at = status.find(set + ":");
                ASSERT_NE(at, std::string::npos);
                EXPECT_EQ(std::stoull(status.substr(at + set.size() + 1), nullptr, 16) & ~may_stay, 0U) << status;
            }
            EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos) << status;
        }
    };
    // DAC_READ_SEARCH, SYS_PTRACE, SYS_ADMIN, SYS_RESOURCE, PERFMON, BPF
    constexpr u64 may_stay = 1ULL << 2 | 1ULL << 19 | 1ULL << 21 | 1ULL << 24 | 1ULL << 38 | 1ULL << 39;
    check({}, may_stay);
    constexpr u64 to_be_a_member = 1ULL << 6 | 1ULL << 7;  // SETGID, SETUID
    check({"--group", "65533"}, may_stay | to_be_a_member);
}

}  // namespace
}  // namespace iolens::test
