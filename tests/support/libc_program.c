/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traced by the tests of operations: it executes them and reports the expected rows. "MODE DIRECTORY": rows count from
 * the open of DIRECTORY/begin to that of DIRECTORY/end, which then contains the expected rows.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "many_calls.h"

static char said[1 << 20];
static size_t said_length;
static char directory[PATH_MAX];

/* DOMAIN,OP,error,fd,bytes,arg1,arg2 */
static void row(const char *op, int error, long fd, long bytes, const char *arg1, const char *arg2)
{
	said_length += (size_t)snprintf(said + said_length, sizeof said - said_length, "%s,%d,%ld,%ld,%s,%s\n", op, error, fd,
					bytes, arg1, arg2);
}

static const char *in(const char *name)
{
	static char paths[8][PATH_MAX];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%.2000s/%s", directory, name);
	return path;
}

static const char *number(long n)
{
	static char texts[8][32];
	static int next;
	char *text = texts[next++ % 8];

	snprintf(text, 32, "%ld", n);
	return text;
}

/* A system call that bypasses libc; returns its errno, or 0. */
static long result;
#define DO(...) (errno = 0, result = syscall(__VA_ARGS__), result < 0 ? errno : 0)

/* In 32-bit programs, an offset has two registers. */
#if __SIZEOF_LONG__ == 4
#define OFFSET(n) (n), 0
#define SYS_newfstatat SYS_fstatat64
#else
#define OFFSET(n) (n)
#endif

static void begin(void)
{
	int error = DO(SYS_openat, AT_FDCWD, in("begin"), O_RDWR | O_CREAT, 0600);

	row("FILE_OPEN_CLOSE,OPEN", error, result, 0, in("begin"), "");
}

static void end(void)
{
	int fd = open(in("end"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (write(fd, said, said_length) != (ssize_t)said_length)
		exit(2);
	close(fd);
}

static int file;

static void files(void)
{
	const char *path = in("data");
	struct iovec pieces[2] = {{"abc", 3}, {"de", 2}};
	char buffer[64];
	long fd;
	int error;

	error = DO(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	row("FILE_OPEN_CLOSE,OPEN", error, fd = result, 0, path, "");
	file = (int)fd;
	error = DO(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY, 0);
	row("FILE_OPEN_CLOSE,OPEN", error, -1, 0, "/no/such/file", "");
#ifdef SYS_open
	error = DO(SYS_open, path, O_RDONLY, 0);
	row("FILE_OPEN_CLOSE,OPEN", error, result, 0, path, "");
	error = DO(SYS_close, result);
	row("FILE_OPEN_CLOSE,CLOSE", error, fd + 1, 0, "", "");
#endif
	error = DO(SYS_openat, AT_FDCWD, ".", O_RDONLY, 0); /* io-monitor skips it */
	error = DO(SYS_close, result);
	row("FILE_OPEN_CLOSE,CLOSE", error, fd + 1, 0, "", "");
	error = DO(SYS_write, fd, "data", 4);
	row("FILE_WRITE,WRITE", error, fd, 4, "", "");
	error = DO(SYS_pwrite64, fd, "data", 4, OFFSET(10));
	row("FILE_WRITE,WRITE", error, fd, 4, "", "");
	error = DO(SYS_writev, fd, pieces, 2);
	row("FILE_WRITE,WRITE", error, fd, 5, "", "");
	error = DO(SYS_pwritev, fd, pieces, 2, 20, 0);
	row("FILE_WRITE,WRITE", error, fd, 5, "", "");
	error = DO(SYS_write, 1, "", 0); /* standard output is not reported */
	error = DO(SYS_lseek, fd, 0, SEEK_SET);
	row("SEEKS,SEEK", error, fd, 0, "", "");
	error = DO(SYS_read, fd, buffer, sizeof buffer); /* the bytes moved, not the bytes requested */
	row("FILE_READ,READ", error, fd, 25, "", "");
	error = DO(SYS_pread64, fd, buffer, 3, OFFSET(1));
	row("FILE_READ,READ", error, fd, 3, "", "");
	error = DO(SYS_read, 99, buffer, 3);
	row("FILE_READ,READ", EBADF, 99, 0, "", "");
	error = DO(SYS_fsync, fd);
	row("SYNCS,SYNC", error, fd, 0, "", "");
	error = DO(SYS_fdatasync, fd);
	row("SYNCS,SYNC", error, fd, 0, "", "");
	error = DO(SYS_fallocate, fd, 0, OFFSET(0), OFFSET(100));
	row("FILE_SPACE,ALLOCATE", error, fd, 0, "", "");
	error = DO(SYS_ftruncate, fd, 10);
	row("FILE_SPACE,TRUNCATE", error, fd, 0, "", "");
	error = DO(SYS_truncate, path, 5);
	row("FILE_SPACE,TRUNCATE", error, -1, 0, path, "");
	error = DO(SYS_fcntl, fd, F_GETFL, 0);
	row("FILE_DESCRIPTORS,FCNTL", error, fd, 0, "", "");
	error = DO(SYS_dup, fd);
	row("FILE_DESCRIPTORS,DUP", error, result, 0, number(fd), "");
	close((int)result);
	row("FILE_OPEN_CLOSE,CLOSE", 0, result, 0, "", "");
	error = DO(SYS_dup3, fd, 77, O_CLOEXEC);
	row("FILE_DESCRIPTORS,DUP", error, 77, 0, number(fd), "");
	error = DO(SYS_close, 77);
	row("FILE_OPEN_CLOSE,CLOSE", error, 77, 0, "", "");
	error = DO(SYS_close, 77);
	row("FILE_OPEN_CLOSE,CLOSE", EBADF, 77, 0, "", "");
	error = DO(SYS_flock, fd, LOCK_EX);
	row("MISC,FLOCK", error, fd, 0, "", "");
}

static void metadata(void)
{
	const char *path = in("data");
	struct stat info;
	struct timespec times[2] = {{1, 0}, {2, 0}};
	char buffer[256];
	int error;

	error = DO(SYS_fstat, file, &info);
	row("FILE_METADATA,STAT", error, file, 0, "", "");
	error = DO(SYS_newfstatat, AT_FDCWD, path, &info, 0);
	row("FILE_METADATA,STAT", error, -1, 0, path, "");
	error = DO(SYS_newfstatat, file, "", &info, AT_EMPTY_PATH);
	row("FILE_METADATA,STAT", error, file, 0, "", "");
	error = DO(SYS_statx, AT_FDCWD, "/no/such/file", 0, 0, buffer);
	row("FILE_METADATA,STAT", ENOENT, -1, 0, "/no/such/file", "");
	error = DO(SYS_faccessat, AT_FDCWD, path, R_OK);
	row("FILE_METADATA,ACCESS", error, -1, 0, path, "");
	error = DO(SYS_fchmod, file, 0640);
	row("FILE_METADATA,CHMOD", error, file, 0, "", "");
	error = DO(SYS_fchmodat, AT_FDCWD, path, 0600);
	row("FILE_METADATA,CHMOD", error, -1, 0, path, "");
	error = DO(SYS_fchown, file, 0, 0);
	row("FILE_METADATA,CHOWN", error, file, 0, "", "");
	error = DO(SYS_fchownat, AT_FDCWD, path, 0, 0, 0);
	row("FILE_METADATA,CHOWN", error, -1, 0, path, "");
	error = DO(SYS_utimensat, AT_FDCWD, path, times, 0);
	row("FILE_METADATA,UTIME", error, -1, 0, path, "");
	error = DO(SYS_setxattr, path, "user.a", "value", 5, 0);
	row("XATTRS,SETXATTR", error, -1, error ? 0 : 5, path, "user.a");
	error = DO(SYS_getxattr, path, "user.a", buffer, sizeof buffer);
	row("XATTRS,GETXATTR", error, -1, error ? 0 : 5, path, "user.a");
	error = DO(SYS_fgetxattr, file, "user.a", buffer, sizeof buffer);
	row("XATTRS,GETXATTR", error, file, error ? 0 : 5, "user.a", "");
	error = DO(SYS_listxattr, path, buffer, sizeof buffer);
	row("XATTRS,LISTXATTR", error, -1, result > 0 ? result : 0, path, "");
	error = DO(SYS_removexattr, path, "user.a");
	row("XATTRS,REMOVEXATTR", error, -1, 0, path, "user.a");
}

static void names(void)
{
	const char *one = in("one"), *two = in("two"), *three = in("three");
	char buffer[512];
	int error;
	long fd;

	error = DO(SYS_mkdirat, AT_FDCWD, one, 0700);
	row("DIRS,MKDIR", error, -1, 0, one, "");
	error = DO(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, two, 0);
	row("MISC,RENAME", error, -1, 0, one, two);
	error = DO(SYS_unlinkat, AT_FDCWD, two, 0);
	row("LINKS,UNLINK", EISDIR, -1, 0, two, "");
	error = DO(SYS_unlinkat, AT_FDCWD, two, AT_REMOVEDIR);
	row("DIRS,RMDIR", error, -1, 0, two, "");
	error = DO(SYS_linkat, AT_FDCWD, in("data"), AT_FDCWD, one, 0);
	row("LINKS,LINK", error, -1, 0, in("data"), one);
	error = DO(SYS_symlinkat, "target", AT_FDCWD, three);
	row("LINKS,LINK", error, -1, 0, "target", three);
	error = DO(SYS_readlinkat, AT_FDCWD, three, buffer, sizeof buffer);
	row("LINKS,READLINK", error, -1, 0, three, "");
	error = DO(SYS_unlinkat, AT_FDCWD, one, 0);
	row("LINKS,UNLINK", error, -1, 0, one, "");
	error = DO(SYS_unlinkat, AT_FDCWD, three, 0);
	row("LINKS,UNLINK", error, -1, 0, three, "");
	error = DO(SYS_mknodat, AT_FDCWD, one, S_IFIFO | 0600, 0);
	row("MISC,MKNOD", error, -1, 0, one, "");
	error = DO(SYS_chdir, directory);
	row("DIRS,CHDIR", error, -1, 0, directory, "");
	error = DO(SYS_chroot, "/no/such/folder");
	row("MISC,CHROOT", ENOENT, -1, 0, "/no/such/folder", "");
	error = DO(SYS_mount, "source", "/no/such/folder", "tmpfs", 0, 0);
	row("FILE_SYSTEMS,MOUNT", error, -1, 0, "source", "/no/such/folder");
	error = DO(SYS_umount2, "/no/such/folder", 0);
	row("FILE_SYSTEMS,UMOUNT", error, -1, 0, "/no/such/folder", "");
	error = DO(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
	row("FILE_OPEN_CLOSE,OPEN", error, fd = result, 0, directory, "");
	error = DO(SYS_getdents64, fd, buffer, sizeof buffer);
	row("DIR_METADATA,READDIR", error, fd, 0, "", "");
	error = DO(SYS_fchdir, fd);
	row("DIRS,CHDIR", error, fd, 0, "", "");
	error = DO(SYS_close, fd);
	row("FILE_OPEN_CLOSE,CLOSE", error, fd, 0, "", "");
}

static void sockets(void)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in peer;
	socklen_t size = sizeof here;
	char address[64];
	int error;
	long server, client;

	error = DO(SYS_socket, AF_INET, SOCK_STREAM, 0);
	row("SOCKETS,SOCKET", error, server = result, 0, "", "");
	error = DO(SYS_bind, server, &here, sizeof here);
	row("SOCKETS,BIND", error, server, 0, "127.0.0.1:0", "");
	getsockname((int)server, (struct sockaddr *)&here, &size);
	error = DO(SYS_listen, server, 1);
	row("SOCKETS,LISTEN", error, server, 0, "", "");
	error = DO(SYS_socket, AF_INET, SOCK_STREAM, 0);
	row("SOCKETS,SOCKET", error, client = result, 0, "", "");
	error = DO(SYS_connect, client, &here, sizeof here);
	snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(here.sin_port));
	row("SOCKETS,CONNECT", error, client, 0, address, "");
	size = sizeof peer;
	error = DO(SYS_accept4, server, &peer, &size, 0);
	snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(peer.sin_port));
	row("SOCKETS,ACCEPT", error, result, 0, address, "");
	error = DO(SYS_sendto, client, "hello", 5, 0, NULL, 0);
	row("FILE_WRITE,WRITE", error, client, 5, "", "");
	close((int)client);
	row("FILE_OPEN_CLOSE,CLOSE", 0, client, 0, "", "");
}

static void processes(void)
{
	char *words[] = {"no-program", NULL};
	int status, error;
	pid_t child;

	error = DO(SYS_kill, getpid(), 0);
	row("PROCESSES,KILL", error, -1, 0, number(getpid()), "0");
	error = DO(SYS_execve, "/no/such/program", words, NULL);
	row("PROCESSES,EXEC", ENOENT, -1, 0, "/no/such/program", "no-program");
	child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		syscall(SYS_exit_group, 0);
	waitpid(child, &status, 0);
	row("PROCESSES,FORK", 0, -1, 0, number(child), "");
}

static int print_by_list(FILE *stream, const char *format, ...)
{
	va_list list;
	int done;

	va_start(list, format);
	done = vfprintf(stream, format, list);
	va_end(list);
	return done;
}

static int scan_by_list(FILE *stream, const char *format, ...)
{
	va_list list;
	int done;

	va_start(list, format);
	done = vfscanf(stream, format, list);
	va_end(list);
	return done;
}

/* Each function that --libc watches. */
static void libc(void)
{
	const char *path = in("stream");
	struct dirent **list = NULL;
	char buffer[64];
	DIR *dir;
	FILE *f = fopen(path, "w+");
	int fd = fileno(f), number_read, count;

	row("FILE_OPEN_CLOSE,OPEN", 0, fd, 0, path, "w+");
	row("FILE_WRITE,WRITE", 0, fd, (long)(2 * fwrite("12 34", 2, 2, f)), "", "");
	row("FILE_WRITE,WRITE", 0, fd, fprintf(f, " %d %s\n", 567, "words"), "", "");
	row("FILE_WRITE,WRITE", 0, fd, print_by_list(f, "%s %d\n", "89", 1), "", "");
	fflush(f);
	row("SYNCS,FLUSH", 0, fd, 0, "", "");
	rewind(f);
	row("FILE_READ,READ", 0, fd, (long)(3 * fread(buffer, 3, 1, f)), "", "");
	if (fscanf(f, "%d", &number_read) == 1)
		row("FILE_READ,READ", 0, fd, 0, "", "");
	if (scan_by_list(f, "%d", &number_read) == 1)
		row("FILE_READ,READ", 0, fd, 0, "", "");
	fclose(f);
	row("FILE_OPEN_CLOSE,CLOSE", 0, fd, 0, "", "");
	f = fopen("/no/such/file", "r");
	row("FILE_OPEN_CLOSE,OPEN", ENOENT, -1, 0, "/no/such/file", "r");

	dir = opendir(directory);
	fd = dirfd(dir);
	row("DIR_METADATA,OPENDIR", 0, fd, 0, directory, "");
	row("DIR_METADATA,DIRFD", 0, fd, 0, "", "");
	readdir(dir);
	row("DIR_METADATA,READDIR", 0, fd, 0, "", "");
	seekdir(dir, telldir(dir));
	row("DIR_METADATA,TELLDIR", 0, fd, 0, "", "");
	row("DIR_METADATA,SEEKDIR", 0, fd, 0, "", "");
	rewinddir(dir);
	row("DIR_METADATA,REWINDDIR", 0, fd, 0, "", "");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	{
		struct dirent entry, *got;

		readdir_r(dir, &entry, &got);
	}
#pragma GCC diagnostic pop
	row("DIR_METADATA,READDIR", 0, fd, 0, "", "");
	closedir(dir);
	row("DIR_METADATA,CLOSEDIR", 0, fd, 0, "", "");
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	dir = fdopendir(fd);
	row("DIR_METADATA,OPENDIR", 0, fd, 0, "", "");
	closedir(dir);
	row("DIR_METADATA,CLOSEDIR", 0, fd, 0, "", "");
	count = scandir(directory, &list, NULL, NULL);
	row("DIR_METADATA,SCANDIR", 0, -1, 0, directory, "");
	while (count-- > 0)
		free(list[count]);
	free(list);
}

/* Data that looks like HTTP, and data that does not. */
static void http(void)
{
	static const char request[] = "GET /path?x=1 HTTP/1.1\r\nHost: here\r\nCookie: secret\r\n\r\n";
	static const char response[] = "HTTP/1.1 404 Not Found\r\nServer: s\r\nSet-Cookie: secret\r\n\r\nbody";
	static const char other[] = "GETTING on with it, which is no request\n";
	struct iovec pieces[2] = {{(void *)request, 20}, {(void *)(request + 20), sizeof request - 21}};
	char buffer[4096];
	int ends[2], pipes[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || pipe(pipes))
		exit(2);
	if (send(ends[0], request, sizeof request - 1, 0) < 0 || recv(ends[1], buffer, sizeof buffer, 0) < 0 ||
	    write(ends[1], response, sizeof response - 1) < 0 || read(ends[0], buffer, sizeof buffer) < 0 ||
	    writev(ends[0], pieces, 2) < 0 || read(ends[1], buffer, sizeof buffer) < 0 ||
	    write(ends[0], other, sizeof other - 1) < 0 || write(pipes[1], request, sizeof request - 1) < 0)
		exit(2);
}

/* A read that takes long enough to block. */
static void slow(void)
{
	struct timespec pause = {0, 60 * 1000 * 1000};
	int ends[2];
	char byte;

	if (pipe(ends))
		exit(2);
	if (fork() == 0) {
		nanosleep(&pause, NULL);
		if (write(ends[1], "x", 1) != 1)
			_exit(2);
		_exit(0);
	}
	if (read(ends[0], &byte, 1) != 1)
		exit(2);
	close(ends[0]);
	wait(NULL);
}

/* Identical calls; writes the CPU time of each (thread clock, ns) to the file "times" in the directory. */
static void timed(const char *call, const char *path, size_t bytes, long count)
{
	int writes = !strcmp(call, "write");
	int fd = !strcmp(path, "-") ? 0 : open(path, writes ? O_WRONLY | O_CREAT | O_SYNC : O_RDONLY, 0600);
	FILE *times = fopen(in("times"), "w");
	char *data = malloc(bytes);
	struct timespec before, after;

	if (fd < 0 || !times || !data)
		exit(2);
	memset(data, 'x', bytes);
	while (count-- > 0) {
		ssize_t n;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
		n = writes ? write(fd, data, bytes) : read(fd, data, bytes);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
		if (n != (ssize_t)bytes)
			exit(2);
		fprintf(times, "%ld\n", (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec);
	}
	if (fclose(times))
		exit(2);
	free(data);
}

/* Maps a file, and writes a page of it back for each line of standard input. */
static void synchronizes_mapping(const char *path)
{
	const size_t size = 1 << 20;
	int fd = open(path, O_RDWR | O_CREAT, 0600), c;
	char *page;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		exit(2);
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		exit(2);
	close(fd);
	while ((c = getchar()) != EOF) {
		if (c != '\n')
			continue;
		memset(page, 'x', size);
		if (msync(page, size, MS_SYNC))
			exit(2);
	}
}

/* Maps a file, and reads a byte of every 16th page, each of which is read by itself. Prints how often it slept. */
static void reads_mapping(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat info;
	struct rusage before, after;
	volatile char *pages;
	char sum = 0;

	if (fd < 0 || fstat(fd, &info))
		exit(2);
	pages = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (pages == MAP_FAILED || madvise((void *)pages, (size_t)info.st_size, MADV_RANDOM))
		exit(2);
	close(fd);
	getrusage(RUSAGE_SELF, &before);
	for (off_t at = 0; at < info.st_size; at += 65536)
		sum = (char)(sum + pages[at]);
	getrusage(RUSAGE_SELF, &after);
	(void)sum;
	printf("%ld\n", after.ru_nvcsw - before.ru_nvcsw);
}

static void synchronizes(const char *path)
{
	char block[4096] = "";
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct stat info;

	for (int i = 0; i < 40; i++)
		if (pwrite(fd, block, sizeof block, (off_t)i * 4096) != sizeof block || fsync(fd) || stat(path, &info))
			exit(2);
}

static void *reads_zeros(void *unused)
{
	int fd = open("/dev/zero", O_RDONLY);
	char zeros[77];

	(void)unused;
	printf("%ld\n", syscall(SYS_gettid));
	fflush(stdout);
	while (read(fd, zeros, sizeof zeros) == sizeof zeros)
		usleep(10000);
	exit(2);
}

/* The main thread ends; another one reads until the process is killed. */
static void without_main_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, reads_zeros, NULL))
		exit(2);
	syscall(SYS_exit, 0);
}

/* Runs a program in a child made by this call. */
static void child_by(const char *how)
{
	long arguments[11] = {[4] = SIGCHLD}; /* struct clone_args */
	pid_t child = !strcmp(how, "fork")  ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) :
		      !strcmp(how, "vfork") ? vfork() :
					      (pid_t)syscall(SYS_clone3, arguments, sizeof arguments);

	if (child < 0)
		exit(2);
	if (child == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(2);
	}
	if (waitpid(child, NULL, 0) != child)
		exit(2);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";

	syscall(SYS_close_range, 3, ~0U, 0); /* the first new fd is 3, as in any program */
	if (argc > 2)
		snprintf(directory, sizeof directory, "%s", argv[2]);
	if (!strcmp(mode, "calls")) {
		begin();
		files();
		metadata();
		names();
		sockets();
		processes();
		end();
	} else if (!strcmp(mode, "libc") || !strcmp(mode, "libc-when-told")) {
		char go;

		if (strcmp(mode, "libc") && read(0, &go, 1) != 1)
			return 2;
		begin();
		libc();
		end();
	} else if (!strcmp(mode, "http")) {
		http();
	} else if (!strcmp(mode, "slow")) {
		slow();
	} else if (!strcmp(mode, "seed1")) { /* io-monitor's own tests */
		int fd = open(in("file"), O_WRONLY | O_CREAT, 0707);

		if (write(fd, "data", 4) != 4 || close(fd))
			exit(2);
	} else if (!strcmp(mode, "seed2")) {
		FILE *f = fopen(in("file"), "w");

		if (fwrite("data", 1, 4, f) != 4 || fclose(f))
			exit(2);
		f = fopen(in("file2"), "w");
		if (fprintf(f, "%s", "data") != 4 || fclose(f))
			exit(2);
	} else if (!strcmp(mode, "open")) { /* opens each of the further arguments */
		for (int i = 3; i < argc; i++)
			close(open(in(argv[i]), O_RDWR | O_CREAT, 0600));
	} else if (!strcmp(mode, "spawn")) { /* a child of this program, and then another one */
		int fd = open(in("begin"), O_RDWR | O_CREAT, 0600);

		if (fork() == 0) {
			close(open(in("child"), O_RDWR | O_CREAT, 0600));
			execl(argv[0], argv[0], "open", directory, "other", (char *)NULL);
			_exit(2);
		}
		wait(NULL);
		close(fd);
	} else if (!strcmp(mode, "timed") && argc > 6) { /* CALL PATH BYTES COUNT */
		timed(argv[3], argv[4], (size_t)atol(argv[5]), atol(argv[6]));
	} else if (!strcmp(mode, "msync")) {
		synchronizes_mapping(directory);
	} else if (!strcmp(mode, "faults")) {
		reads_mapping(directory);
	} else if (!strcmp(mode, "fsync")) {
		synchronizes(directory);
#ifdef __LP64__ /* many_calls.c has 64-bit calls */
	} else if (!strcmp(mode, "many")) {
		many_calls(directory);
#endif
	} else if (!strcmp(mode, "child-by")) { /* fork, vfork or clone3 */
		child_by(argv[2]);
	} else if (!strcmp(mode, "without-main-thread")) {
		without_main_thread();
	} else if (!strcmp(mode, "writes")) {
		long count = argc > 3 ? atol(argv[3]) : 1;
		int fd = open(in("begin"), O_RDWR | O_CREAT, 0600);

		while (count-- > 0)
			if (pwrite(fd, "x", 1, 0) != 1)
				exit(2);
	} else {
		fprintf(stderr, "usage: %s MODE FOLDER\n", argv[0]);
		return 2;
	}
	return 0;
}
