// SPDX-License-Identifier: Apache-2.0
#include "fuse/mount.h"

#define FUSE_USE_VERSION 31
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <fuse3/fuse_lowlevel.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <new>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "base/failure.h"
#include "base/signals.h"
#include "base/text.h"
#include "fuse/unmounter.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

std::array<char, 512> last_fuse_message{};  // from libfuse: written before the tree's own threads start

void on_fuse_message(fuse_log_level /*level*/, const char* format, va_list arguments) noexcept {
    std::vsnprintf(last_fuse_message.data(), last_fuse_message.size(), format, arguments);
    for (std::size_t n = std::strlen(last_fuse_message.data()); n != 0 && last_fuse_message.at(n - 1) == '\n'; --n) {
        last_fuse_message.at(n - 1) = '\0';
    }
}

/// An open file: the generated contents, as far back as a reader may seek.
class Opened {
public:
    Opened(std::unique_ptr<TreeReader> reader, Credentials opener)
        : reader_(std::move(reader)), opener_(std::move(opener)) {}

    [[nodiscard]] const Credentials& opener() const { return opener_; }

    /// Returns the number of bytes, or a negative errno if they have been discarded.
    int read(char* to, std::size_t size, off_t offset) {
        const std::scoped_lock lock(mutex_);
        if (!reader_ || offset < base_) return -EINVAL;
        const auto from = static_cast<std::size_t>(offset - base_);
        while (text_.size() < from + size) {
            const std::string piece = reader_->more();
            if (piece.empty()) break;
            text_ += piece;
        }
        if (from >= text_.size()) return 0;
        const std::size_t count = std::min(size, text_.size() - from);
        std::memcpy(to, text_.data() + from, count);
        constexpr std::size_t max = 4 << 20;
        constexpr std::size_t kept = 1 << 20;  // a shell seeks back to the end of the line that it read
        if (from + count > max) {
            const std::size_t gone = from + count - kept;
            text_.erase(0, gone);
            base_ += static_cast<off_t>(gone);
        }
        return static_cast<int>(count);
    }

private:
    std::mutex mutex_;
    std::unique_ptr<TreeReader> reader_;
    Credentials opener_;
    std::string text_;
    off_t base_ = 0;  // offset at which text_ begins
};

struct Context {
    TreeFiles* files = nullptr;
    std::optional<gid_t> group;
    std::mutex mutex;  // guards `open`: at the end, a client may not have closed a file
    std::unordered_map<Opened*, std::unique_ptr<Opened>> open{};
};

Context& context() { return *static_cast<Context*>(fuse_get_context()->private_data); }
Opened* opened(const fuse_file_info* info) {
    return reinterpret_cast<Opened*>(info->fh);  // NOLINT(performance-no-int-to-ptr): FUSE stores a pointer as u64
}

/// The credentials of the calling process, without groups if /proc hides them.
Credentials caller() {
    const fuse_context& call = *fuse_get_context();
    Credentials who{.uid = call.uid, .gid = call.gid, .groups = {}};
    who.groups.resize(64 << 10);  // NGROUPS_MAX
    const int count = fuse_getgroups(static_cast<int>(who.groups.size()), who.groups.data());
    who.groups.resize(std::min(static_cast<std::size_t>(std::max(count, 0)), who.groups.size()));
    return who;
}

int on_getattr(const char* path, struct stat* info, fuse_file_info* /*file*/) {
    const Context& c = context();
    const auto about = c.files->about(path);
    if (!about) return -ENOENT;
    *info = {};
    info->st_uid = 0;
    info->st_gid = c.group.value_or(0);
    const mode_t classes = c.group ? 0110 : 0100;  // one octal digit for the owner, one for the group
    const mode_t bits = about->directory ? 5U : (about->readable ? 4U : 0U) + (about->writable ? 2U : 0U);
    info->st_mode = (about->directory ? S_IFDIR : S_IFREG) | static_cast<mode_t>(bits * classes);
    if (about->directory) info->st_mode |= 0200;
    info->st_nlink = about->directory ? 2 : 1;
    return 0;
}

int on_readdir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t /*offset*/, fuse_file_info* /*file*/,
               fuse_readdir_flags /*flags*/) {
    for (const char* name : {".", ".."}) fill(buffer, name, nullptr, 0, {});
    for (const std::string& name : context().files->entries(path)) fill(buffer, name.c_str(), nullptr, 0, {});
    return 0;
}

int on_open(const char* path, fuse_file_info* info) {
    const auto about = context().files->about(path);
    if (!about) return -ENOENT;
    std::unique_ptr<TreeReader> reader;
    if ((info->flags & O_ACCMODE) != O_WRONLY) {
        reader = context().files->read(path);
        if (!reader) return -ENOENT;
    }
    auto file = std::make_unique<Opened>(std::move(reader), about->writable ? caller() : Credentials());
    info->fh = reinterpret_cast<std::uint64_t>(file.get());
    const std::scoped_lock lock(context().mutex);
    context().open[file.get()] = std::move(file);
    info->direct_io = 1;  // the length isn't known in advance
    return 0;
}

int on_release(const char* /*path*/, fuse_file_info* info) {
    const std::scoped_lock lock(context().mutex);
    context().open.erase(opened(info));
    return 0;
}

int on_read(const char* /*path*/, char* to, std::size_t size, off_t offset, fuse_file_info* info) {
    return opened(info)->read(to, size, offset);
}

int on_write(const char* path, const char* from, std::size_t size, off_t /*offset*/, fuse_file_info* info) {
    const TreeClient client{.pid = fuse_get_context()->pid, .opener = opened(info)->opener()};
    const int error = context().files->write(path, {from, size}, client);
    return error == 0 ? static_cast<int>(size) : -error;
}

/// "echo > control" truncates it first.
int on_truncate(const char* /*path*/, off_t /*size*/, fuse_file_info* /*info*/) { return 0; }

/// Converts the current exception to a negative errno. Call it in a catch block.
int error_of_exception() noexcept {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    } catch (const std::system_error& error) {
        const std::error_category& category = error.code().category();
        const bool is_errno = category == std::generic_category() || category == std::system_category();
        return is_errno && error.code().value() > 0 ? -error.code().value() : -EIO;
    } catch (...) {
        return -EIO;
    }
}

/// A callback with libfuse's signature. libfuse is C: an exception that propagates through its frames would terminate
/// the server, or leave its locks held.
template <auto callback>
struct Guarded;

template <typename... Arguments, int (*callback)(Arguments...)>
struct Guarded<callback> {
    static int call(Arguments... arguments) noexcept {
        try {
            return callback(arguments...);
        } catch (...) {
            return error_of_exception();
        }
    }
};

fuse_operations operations() {
    fuse_operations items{};
    items.getattr = Guarded<on_getattr>::call;
    items.readdir = Guarded<on_readdir>::call;
    items.open = Guarded<on_open>::call;
    items.release = Guarded<on_release>::call;
    items.read = Guarded<on_read>::call;
    items.write = Guarded<on_write>::call;
    items.truncate = Guarded<on_truncate>::call;
    return items;
}

}  // namespace

struct MountedTree::State {
    Context context;
    std::string directory;
    bool made_directory = false;
    Fd lock;
    std::optional<Unmounter> unmounter;
    struct fuse* handle = nullptr;
    std::thread thread;
    std::atomic<bool> ended = false;
    Fd end = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
};

namespace {

/// Prepares the mount point: it must exist, be empty and not be served. Returns whether it was created.
bool prepare_directory(const std::string& directory, Fd& lock) {
    struct stat info{};
    if (::stat(directory.c_str(), &info) != 0 && is_of_killed_server(errno)) {
        ::umount2(directory.c_str(), MNT_DETACH);
    }
    bool made = false;
    if (::stat(directory.c_str(), &info) != 0) {
        if (errno != ENOENT || ::mkdir(directory.c_str(), 0755) != 0) {
            throw Failure(Exit::failed,
                          fmt::format("can't create directory '{}': {}", visible(directory), error_text(errno)),
                          "use another directory, as in 'iolens file serve /run/iolens'");
        }
        made = true;
    } else if (!S_ISDIR(info.st_mode)) {
        throw Failure(Exit::usage, fmt::format("'{}' is not a directory", visible(directory)),
                      "use an empty directory, or one that does not exist");
    }
    lock = Fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::error_code error;
    const bool fuse_there = fs::exists(directory + "/control", error);
    if (fuse_there || (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)) {
        throw Failure(Exit::failed, fmt::format("'{}' is already served", visible(directory)),
                      "use another directory, or stop the other server");
    }
    if (!fs::is_empty(directory, error)) {
        throw Failure(Exit::usage, fmt::format("'{}' is not empty", visible(directory)),
                      "use an empty directory, or one that does not exist");
    }
    return made;
}

}  // namespace

MountedTree::MountedTree(const Options& options, TreeFiles& files) : state_(std::make_unique<State>()) {
    State& state = *state_;
    if (::access("/dev/fuse", R_OK | W_OK) != 0) {
        throw Failure(Exit::unavailable, "can't open /dev/fuse: " + error_text(errno),
                      "'modprobe fuse' loads the module; a container needs access to the device");
    }
    state.made_directory = prepare_directory(options.directory, state.lock);
    std::error_code error;
    state.directory = fs::canonical(options.directory, error).string();
    state.unmounter.emplace(state.directory, state.made_directory);
    state.context.files = &files;
    state.context.group = options.group;
    fuse_set_log_func(on_fuse_message);
    fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
    fuse_opt_add_arg(&arguments, "iolens");
    fuse_opt_add_arg(
        &arguments,
        "-ofsname=iolens,subtype=iolens,default_permissions,nosuid,nodev,noexec,entry_timeout=0,attr_timeout=0");
    if (options.group) fuse_opt_add_arg(&arguments, "-oallow_other");
    const fuse_operations items = operations();
    state.handle = fuse_new(&arguments, &items, sizeof items, &state.context);
    fuse_opt_free_args(&arguments);
    if (state.handle == nullptr || fuse_mount(state.handle, state.directory.c_str()) != 0) {
        if (state.handle != nullptr) fuse_destroy(state.handle);
        if (state.made_directory) ::rmdir(state.directory.c_str());
        throw Failure(Exit::unavailable,
                      fmt::format("can't mount on '{}': {}", visible(state.directory), last_fuse_message.data()),
                      "run it as root; a container needs CAP_SYS_ADMIN");
    }
}

void MountedTree::start() {
    State& state = *state_;
    struct sigaction wake{};
    wake.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &wake, nullptr);
    state.thread = std::thread([&state] {
        fuse_loop_mt(state.handle, 0);
        state.ended = true;
        ::eventfd_write(state.end.get(), 1);
    });
}

const std::string& MountedTree::directory() const { return state_->directory; }

bool MountedTree::stop() {
    State& state = *state_;
    fuse_session_exit(fuse_get_session(state.handle));
    // libfuse's loop checks whether to exit when a signal interrupts it; unmounting wakes it only if no file of the
    // tree is open
    while (state.thread.joinable() && !state.ended && !end_overdue()) {
        ::pthread_kill(state.thread.native_handle(), SIGUSR1);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    fuse_unmount(state.handle);
    if (std::exchange(state.made_directory, false)) ::rmdir(state.directory.c_str());
    return !state.thread.joinable() || state.ended;
}

MountedTree::~MountedTree() {
    stop();
    if (state_->thread.joinable()) state_->thread.join();
    fuse_destroy(state_->handle);
}

bool MountedTree::ended() const { return state_->ended; }
int MountedTree::end_descriptor() const { return state_->end.get(); }

}  // namespace iolens
