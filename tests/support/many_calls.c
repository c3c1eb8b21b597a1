/* SPDX-License-Identifier: Apache-2.0 */
/* One call after the other of every kind that takes a file: a test compares what iolens and strace show of them. */
#define _GNU_SOURCE
#include "many_calls.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Their results are those that the test compares. */
static int as_int(long result)
{
	return (int)result;
}
#define CALL(name, ...) as_int(syscall(SYS_##name, __VA_ARGS__))

/* Calls that the C library of the oldest machine does not know, with the numbers that all architectures share. */
enum {
	NR_pidfd_send_signal = 424,
	NR_io_uring_setup = 425,
	NR_open_tree = 428,
	NR_move_mount = 429,
	NR_fsopen = 430,
	NR_fspick = 433,
	NR_pidfd_open = 434,
	NR_close_range = 436,
	NR_openat2 = 437,
	NR_pidfd_getfd = 438,
	NR_faccessat2 = 439,
	NR_memfd_secret = 447,
	NR_fchmodat2 = 452,
};

static char buffer[4096];
static struct iovec pieces[2] = {{buffer, 3}, {buffer + 100, 5}};
static const struct timespec times[2] = {{1000, 0}, {2000, 0}};
static struct stat info;

static int files(int directory)
{
	struct {
		unsigned long long flags, mode, resolve;
	} how = {O_RDWR, 0, 0};
	int file = CALL(openat, AT_FDCWD, "file", O_RDWR | O_CREAT, 0644), other;

	CALL(openat, AT_FDCWD, "no such file", O_RDONLY);
	CALL(openat, 999, "file", O_RDONLY);
	CALL(openat, file, "below", O_RDONLY); /* ENOTDIR */
	other = CALL(openat, directory, "file", O_RDONLY);
	CALL(close, other);
	CALL(close, other); /* EBADF */
	other = (int)syscall(NR_openat2, AT_FDCWD, "file", &how, sizeof how);
	CALL(close, other);
	CALL(write, file, "0123456789", 10);
	CALL(pwrite64, file, "abc", 3, 4000);
	CALL(writev, file, pieces, 2);
	CALL(pwritev, file, pieces, 2, 100, 0);
	CALL(pwritev2, file, pieces, 2, 200, 0, 0);
	CALL(lseek, file, 0, SEEK_SET);
	CALL(lseek, file, -1, SEEK_SET); /* EINVAL */
	CALL(read, file, buffer, 10);
	CALL(read, directory, buffer, 10); /* EISDIR */
	CALL(pread64, file, buffer, 3, 4000);
	CALL(readv, file, pieces, 2);
	CALL(preadv, file, pieces, 2, 100, 0);
	CALL(preadv2, file, pieces, 2, 200, 0, 0);
	CALL(write, 998, "x", 1);
	CALL(write, file, NULL, 5); /* EFAULT */
	CALL(ftruncate, file, 8192);
	CALL(truncate, "file", 10000);
	CALL(truncate, "no such file", 1);
	CALL(fallocate, file, 0, 0, 16384);
	CALL(fsync, file);
	CALL(fdatasync, file);
	CALL(syncfs, file);
	CALL(sync_file_range, file, 0, 4096, 2);
	CALL(fadvise64, file, 0, 4096, 1);
	CALL(readahead, file, 0, 4096);
	CALL(flock, file, 2);
	CALL(fcntl, file, F_GETFL);
	CALL(fcntl, file, F_SETFD, FD_CLOEXEC);
	CALL(ioctl, file, 0x5401, buffer); /* ENOTTY */
	CALL(close, CALL(fcntl, file, F_DUPFD, 40));
	CALL(close, CALL(dup, file));
	CALL(dup3, file, 50, O_CLOEXEC);
	CALL(dup3, file, file, 0); /* EINVAL */
	CALL(close, 50);
	syscall(NR_close_range, 60, 70, 0);
#ifdef SYS_open
	CALL(close, CALL(open, "file", O_RDONLY));
	CALL(open, "no such file", O_RDONLY);
	CALL(close, CALL(creat, "created", 0600));
	CALL(dup2, file, 50);
	CALL(close, 50);
#endif
	return file;
}

static void metadata(int file, int directory)
{
	struct statfs system;
	static char more[256]; /* struct statx */

	CALL(fstat, file, &info);
	CALL(newfstatat, AT_FDCWD, "file", &info, 0);
	CALL(newfstatat, directory, "file", &info, 0);
	CALL(newfstatat, file, "", &info, AT_EMPTY_PATH);
	CALL(newfstatat, directory, "no such file", &info, 0);
	CALL(statx, AT_FDCWD, "file", 0, 0x7ff, more);
	CALL(statx, file, "", AT_EMPTY_PATH, 0x7ff, more);
	CALL(statfs, ".", &system);
	CALL(statfs, "no such file", &system);
	CALL(fstatfs, file, &system);
	CALL(faccessat, AT_FDCWD, "file", R_OK);
	CALL(faccessat, directory, "no such file", R_OK);
	syscall(NR_faccessat2, directory, "file", R_OK, 0);
	CALL(fchmod, file, 0600);
	CALL(fchmodat, directory, "file", 0640);
	syscall(NR_fchmodat2, directory, "file", 0640, 0); /* ENOSYS before 6.6 */
	CALL(fchown, file, 0, 0);
	CALL(fchownat, directory, "file", 0, 0, 0);
	CALL(fchownat, file, "", 0, 0, AT_EMPTY_PATH);
	CALL(utimensat, AT_FDCWD, "file", times, 0);
	CALL(utimensat, file, NULL, times, 0);
	CALL(setxattr, "file", "user.one", "value", 5, 0);
	CALL(setxattr, "no such file", "user.one", "value", 5, 0);
	CALL(lsetxattr, "file", "user.two", "value", 5, 0);
	CALL(fsetxattr, file, "user.three", "value", 5, 0);
	CALL(getxattr, "file", "user.one", buffer, 64);
	CALL(getxattr, "file", "user.none", buffer, 64);
	CALL(lgetxattr, "file", "user.two", buffer, 64);
	CALL(fgetxattr, file, "user.three", buffer, 64);
	CALL(listxattr, "file", buffer, sizeof buffer);
	CALL(llistxattr, "file", buffer, sizeof buffer);
	CALL(flistxattr, file, buffer, sizeof buffer);
	CALL(removexattr, "file", "user.one");
	CALL(lremovexattr, "file", "user.two");
	CALL(fremovexattr, file, "user.three");
	CALL(fremovexattr, file, "user.none");
#ifdef SYS_stat
	CALL(stat, "file", &info);
	CALL(stat, "no such file", &info);
	CALL(lstat, "file", &info);
	CALL(access, "file", R_OK);
	CALL(access, "no such file", R_OK);
	CALL(chmod, "file", 0600);
	CALL(chown, "file", 0, 0);
	CALL(lchown, "file", 0, 0);
	CALL(utime, "file", NULL);
	CALL(utimes, "file", NULL);
	CALL(futimesat, directory, "file", NULL);
#endif
}

static void names(int directory)
{
	int below;

	CALL(mkdirat, AT_FDCWD, "sub", 0755);
	CALL(mkdirat, directory, "sub", 0755); /* EEXIST */
	below = CALL(openat, AT_FDCWD, "sub", O_RDONLY | O_DIRECTORY);
	CALL(mknodat, below, "fifo", S_IFIFO | 0600, 0);
	CALL(symlinkat, "../file", below, "symbolic");
	CALL(readlinkat, below, "symbolic", buffer, 64);
	CALL(readlinkat, below, "fifo", buffer, 64); /* EINVAL */
	CALL(linkat, AT_FDCWD, "file", below, "link", 0);
	CALL(linkat, AT_FDCWD, "no such file", below, "link", 0);
#ifdef SYS_renameat
	CALL(renameat, below, "link", below, "renamed");
#endif
	CALL(renameat2, below, "no such file", below, "renamed", 0);
	CALL(renameat2, below, "symbolic", below, "moved", 1);
	CALL(getdents64, below, buffer, sizeof buffer);
	CALL(getdents64, below, buffer, sizeof buffer);
	CALL(chdir, "sub");
	CALL(chdir, "no such directory");
	CALL(fchdir, directory);
	CALL(fchdir, 997);
	CALL(unlinkat, below, "fifo", 0);
	CALL(unlinkat, below, "fifo", 0);
	CALL(unlinkat, AT_FDCWD, "sub", AT_REMOVEDIR); /* ENOTEMPTY */
	CALL(chroot, "no such directory");
	CALL(mount, "none", "no such directory", "tmpfs", 0, NULL);
	CALL(umount2, "no such directory", 0);
	CALL(swapon, "no such file", 0);
	CALL(swapoff, "no such file");
	CALL(execve, "./no such program", NULL, NULL);
	CALL(execveat, below, "no such program", NULL, NULL, 0);
	syscall(NR_open_tree, AT_FDCWD, "no such directory", 0);
	syscall(NR_move_mount, AT_FDCWD, "no such directory", AT_FDCWD, "sub", 0);
	syscall(NR_fspick, AT_FDCWD, "no such directory", 0);
	CALL(close, (int)syscall(NR_fsopen, "tmpfs", 1));
#ifdef SYS_mkdir
	CALL(mkdir, "second", 0755);
	CALL(rmdir, "second");
	CALL(rmdir, "second");
	CALL(link, "file", "linked");
	CALL(rename, "linked", "renamed");
	CALL(rename, "no such file", "renamed");
	CALL(symlink, "file", "symbolic");
	CALL(readlink, "symbolic", buffer, 64);
	CALL(readlink, "file", buffer, 64);
	CALL(mknod, "fifo", S_IFIFO | 0600, 0);
	CALL(unlink, "fifo");
	CALL(unlink, "fifo");
	CALL(getdents, directory, buffer, sizeof buffer);
#endif
	CALL(close, below);
}

static void copies(int file)
{
	int ends[2], second[2], out = CALL(openat, AT_FDCWD, "copy", O_RDWR | O_CREAT, 0600);
	long long at = 0;

	CALL(pipe2, ends, 0);
	CALL(pipe2, ends, 0x12345); /* EINVAL */
	CALL(pipe2, second, O_CLOEXEC);
	CALL(splice, file, &at, ends[1], NULL, 100, 0);
	CALL(tee, ends[0], second[1], 50, 0);
	CALL(splice, ends[0], NULL, out, NULL, 100, 0);
	CALL(vmsplice, ends[1], pieces, 2, 0);
	CALL(sendfile, out, file, &at, 100);
	CALL(sendfile, 996, file, &at, 100);
	CALL(copy_file_range, file, &at, out, NULL, 100, 0);
#ifdef SYS_pipe
	{
		int third[2];

		CALL(pipe, third);
		CALL(close, third[0]);
		CALL(write, third[1], "x", 1); /* EPIPE */
		CALL(close, third[1]);
	}
#endif
	for (int i = 0; i < 2; i++) {
		CALL(close, ends[i]);
		CALL(close, second[i]);
	}
	CALL(close, out);
}

static void descriptors(int file)
{
	struct itimerspec soon = {{0, 0}, {100, 0}};
	struct epoll_event event = {.events = EPOLLIN}, ready;
	static char parameters[120]; /* struct io_uring_params */
	unsigned long long one = 1, signals = 1 << 9;
	int event_fd = CALL(eventfd2, 0, O_NONBLOCK), timer, poll, notify, memory, self, watch;
	char *mapped;

	CALL(write, event_fd, &one, sizeof one);
	CALL(read, event_fd, &one, sizeof one);
	CALL(read, event_fd, &one, sizeof one); /* EAGAIN */
	timer = CALL(timerfd_create, CLOCK_MONOTONIC, 0);
	CALL(timerfd_settime, timer, 0, &soon, NULL);
	CALL(timerfd_gettime, timer, &soon);
	CALL(timerfd_gettime, file, &soon); /* EINVAL */
	CALL(close, CALL(signalfd4, -1, &signals, 8, 0));
	poll = CALL(epoll_create1, 0);
	CALL(epoll_ctl, poll, EPOLL_CTL_ADD, event_fd, &event);
	CALL(epoll_ctl, poll, EPOLL_CTL_ADD, event_fd, &event); /* EEXIST */
	CALL(epoll_pwait, poll, &ready, 1, 0, NULL, 8);
	notify = CALL(inotify_init1, O_NONBLOCK);
	watch = CALL(inotify_add_watch, notify, "file", IN_OPEN);
	CALL(inotify_add_watch, notify, "no such file", IN_OPEN);
	CALL(inotify_rm_watch, notify, watch);
	CALL(inotify_rm_watch, notify, 77);
	CALL(close, CALL(fanotify_init, 0, 0));
	memory = CALL(memfd_create, "name", 0);
	CALL(ftruncate, memory, 4096);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (mapped != MAP_FAILED) {
		msync(mapped, 4096, MS_SYNC);
		munmap(mapped, 4096);
	}
	mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	if (mapped != MAP_FAILED)
		munmap(mapped, 4096);
	mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 995, 0); /* EBADF */
	self = (int)syscall(NR_pidfd_open, getpid(), 0);
	syscall(NR_pidfd_send_signal, self, 0, NULL, 0);
	CALL(close, (int)syscall(NR_pidfd_getfd, self, file, 0));
	syscall(NR_pidfd_getfd, self, 994, 0); /* EBADF */
	syscall(NR_pidfd_open, -1, 0);
	CALL(setns, file, 0); /* EINVAL */
	CALL(close, (int)syscall(NR_io_uring_setup, 4, parameters));
	CALL(close, (int)syscall(NR_memfd_secret, 0));
#ifdef SYS_epoll_wait
	CALL(epoll_wait, poll, &ready, 1, 0);
	CALL(close, CALL(epoll_create, 1));
	CALL(close, CALL(inotify_init, 0));
	CALL(close, CALL(eventfd, 0));
	CALL(close, CALL(signalfd, -1, &signals, 8));
#endif
	CALL(close, self);
	CALL(close, memory);
	CALL(close, notify);
	CALL(close, poll);
	CALL(close, timer);
	CALL(close, event_fd);
}

static void sockets(int file)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"}, peer;
	struct mmsghdr messages[2] = {{{.msg_iov = pieces, .msg_iovlen = 2}, 0}, {{.msg_iov = pieces, .msg_iovlen = 1}, 0}};
	struct msghdr *message = &messages[0].msg_hdr;
	socklen_t length = sizeof peer;
	int server = CALL(socket, AF_UNIX, SOCK_STREAM, 0), client, accepted, one = 1, pair[2];

	CALL(socket, 9999, SOCK_STREAM, 0);
	CALL(bind, server, &address, sizeof address);
	CALL(bind, server, &address, sizeof address); /* EINVAL */
	CALL(connect, server, &address, sizeof address);
	CALL(listen, server, 5);
	CALL(listen, file, 5); /* ENOTSOCK */
	client = CALL(socket, AF_UNIX, SOCK_STREAM, 0);
	CALL(connect, client, &address, sizeof address);
	accepted = CALL(accept4, server, NULL, NULL, 0);
	CALL(getsockname, server, &peer, &length);
	length = sizeof peer;
	CALL(getpeername, client, &peer, &length);
	length = sizeof peer;
	CALL(getpeername, server, &peer, &length); /* ENOTCONN */
	length = sizeof one;
	CALL(setsockopt, client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	CALL(getsockopt, client, SOL_SOCKET, SO_KEEPALIVE, &one, &length);
	CALL(sendto, client, "abc", 3, 0, NULL, 0);
	CALL(recvfrom, accepted, buffer, 3, 0, NULL, NULL);
	CALL(recvfrom, accepted, buffer, 3, MSG_DONTWAIT, NULL, NULL); /* EAGAIN */
	CALL(sendmsg, client, message, 0);
	CALL(recvmsg, accepted, message, 0);
	CALL(sendmsg, file, message, 0); /* ENOTSOCK */
	CALL(sendmmsg, client, messages, 2, 0);
	CALL(recvmmsg, accepted, messages, 1, MSG_DONTWAIT, NULL);
	CALL(shutdown, client, SHUT_WR);
	CALL(shutdown, server, 99); /* EINVAL */
	CALL(socketpair, AF_UNIX, SOCK_DGRAM, 0, pair);
	CALL(write, pair[0], "abcd", 4);
	CALL(read, pair[1], buffer, 4);
	CALL(close, accepted);
	CALL(close, client);
#ifdef SYS_accept
	client = CALL(socket, AF_UNIX, SOCK_STREAM, 0);
	CALL(connect, client, &address, sizeof address);
	CALL(close, CALL(accept, server, NULL, NULL));
	CALL(close, client);
#endif
	CALL(close, pair[0]);
	CALL(close, pair[1]);
	CALL(close, server);
}

void many_calls(const char *path)
{
	int directory, file;

	signal(SIGPIPE, SIG_IGN);
	if (chdir(path))
		return;
	directory = CALL(openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	CALL(faccessat, AT_FDCWD, "begin", F_OK);
	file = files(directory);
	metadata(file, directory);
	names(directory);
	copies(file);
	descriptors(file);
	sockets(file);
	CALL(close, file);
	CALL(faccessat, AT_FDCWD, "end", F_OK);
}
