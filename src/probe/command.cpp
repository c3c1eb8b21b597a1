// SPDX-License-Identifier: Apache-2.0
#include "probe/command.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/failure.h"
#include "base/signals.h"
#include "base/text.h"

namespace iolens {
namespace {

/// Finds a program as execvp does. Throws Failure with the status that a shell uses: 127 not found, 126 not executable.
std::string find_program(const std::string& name) {
    const auto runs = [](const std::string& path) {
        struct stat info{};
        if (::stat(path.c_str(), &info) != 0) return errno;
        if (S_ISDIR(info.st_mode)) return EISDIR;
        return ::access(path.c_str(), X_OK) == 0 ? 0 : errno;
    };
    int error = ENOENT;
    if (name.find('/') != std::string::npos) {
        error = runs(name);
        if (error == 0) return name;
    } else if (!name.empty()) {
        const char* places = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): one thread
        std::string_view rest = places != nullptr ? places : "/usr/local/bin:/usr/bin:/bin";
        for (bool more = true; more;) {
            const std::size_t end = rest.find(':');
            more = end != std::string_view::npos;
            const std::string directory(rest.substr(0, end));
            const std::string path = (directory.empty() ? "." : directory) + "/" + name;
            const int said = runs(path);
            if (said == 0) return path;
            if (said == EACCES) error = EACCES;
            if (more) rest.remove_prefix(end + 1);
        }
    }
    const bool missing = error == ENOENT || error == ENOTDIR;
    throw Failure(missing ? Exit::not_found : Exit::not_executable,
                  fmt::format("can't run '{}': {}", visible(name), error_text(error)),
                  missing ? "use a program in PATH, or its full path" : "check its permissions with 'ls -l'");
}

}  // namespace

HeldCommand::HeldCommand(const std::vector<std::string>& words, const std::optional<User>& user,
                         bool preserve_environment)
    : program_(find_program(words.at(0))) {
    std::array<int, 2> gate{-1, -1};
    if (::pipe2(gate.data(), O_CLOEXEC) != 0) {
        throw Failure(Exit::failed, "can't create a pipe: " + error_text(errno), "raise 'ulimit -n'");
    }
    const Fd inside(gate[0]);
    gate_ = Fd(gate[1]);
    std::vector<char*> argv;
    argv.reserve(words.size() + 2);
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    std::vector<std::string> login;
    std::vector<char*> environment;
    if (user && !preserve_environment) {
        login = login_environment(*user);
        for (std::string& variable : login) environment.push_back(variable.data());
        environment.push_back(nullptr);
    }
    char** const variables = environment.empty() ? ::environ : environment.data();
    pid_ = ::fork();
    if (pid_ < 0) throw Failure(Exit::failed, "can't start a process: " + error_text(errno), "raise 'ulimit -u'");
    if (pid_ == 0) {
        restore_signals();
        gate_.reset();
        char go = 0;
        // the gate was closed without being opened: the parent has failed
        if (::read(inside.get(), &go, 1) != 1) ::_exit(1);
        if (user && (::setgroups(user->groups.size(), user->groups.data()) != 0 || ::setgid(user->gid) != 0 ||
                     ::setuid(user->uid) != 0)) {
            const std::string text = "iolens: can't change to that user: " + error_text(errno) + "\n";
            static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) == 0);
            ::_exit(static_cast<int>(Exit::not_executable));
        }
        // this user might not be able to open a file that is open here
        if (user) ::syscall(SYS_close_range, 3U, ~0U, 0U);
        ::execve(program_.c_str(), argv.data(), variables);
        if (errno == ENOEXEC) {  // a script without a #! line: run it with sh, as shells do
            argv[0] = const_cast<char*>(program_.c_str());
            argv.insert(argv.begin(), const_cast<char*>("/bin/sh"));
            ::execve("/bin/sh", argv.data(), variables);
        }
        const std::string text = fmt::format("iolens: can't run '{}': {}\n", visible(words.at(0)), error_text(errno));
        static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) == 0);
        ::_exit(static_cast<int>(Exit::not_executable));
    }
}

HeldCommand::~HeldCommand() {
    if (gate_) {
        gate_.reset();
        status(true);
    }
}

void HeldCommand::let_go() {
    const char go = 1;
    static_cast<void>(::write(gate_.get(), &go, 1) == 1);
    gate_.reset();
}

std::optional<int> HeldCommand::status(bool wait) {
    int how = 0;
    while (!gone_) {
        const pid_t got = ::waitpid(pid_, &how, wait ? 0 : WNOHANG);
        if (got < 0 && errno == EINTR) continue;
        if (got != pid_) return std::nullopt;
        gone_ = true;
        status_ = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
    }
    return status_;
}

}  // namespace iolens
