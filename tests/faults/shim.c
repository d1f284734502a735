/* A disk that fails on demand, for LD_PRELOAD: the calls that change files below one folder are counted, and chosen
 * ones fail without being made. Nothing outside that folder is touched, so the program can still log and end.
 *
 *   OXISEG_FAULT_UNDER  the folder, an absolute path without links
 *   OXISEG_FAULT_TRACE  a file outside it that gets a line for every call: NUMBER NAME PATH, and " FAILED" where it did
 *   OXISEG_FAULT_CALL   the number of the call that fails, from 1; 0 or nothing: none
 *   OXISEG_FAULT_ERRNO  what it fails with, e.g. 28 (ENOSPC)
 *   OXISEG_FAULT_MODE   once: that call only. onward: that call and all after it, for a full disk stays full.
 *                       short: that write takes half of its bytes, and the call after it fails.
 *
 * A call counts where its path, or that of its descriptor, is the folder or lies below it; opening counts only where it
 * may change something. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum verdict { PASS, HALF, FAIL };
static atomic_long seen;

/* The function that this one hides: the C library's own. Two threads that look it up at once find the same. */
#define NEXT(name, type, parameters) \
    static type(*_Atomic found) parameters; \
    type(*next) parameters = found; \
    if (!next) found = next = (type(*) parameters)dlsym(RTLD_NEXT, name)

static long number(const char *variable) {
    const char *value = getenv(variable);
    return value ? atol(value) : 0;
}

static int real_open(const char *path, int flags, mode_t mode) {
    NEXT("open", int, (const char *, int, ...));
    return next(path, flags, mode);
}

static ssize_t real_write(int fd, const void *bytes, size_t count) {
    NEXT("write", ssize_t, (int, const void *, size_t));
    return next(fd, bytes, count);
}

/* Writes the path of a descriptor, or nothing. */
static void path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
}

/* Counts a call on `path` (relative to the folder `at`), or on the descriptor `at` where there is no path, if it is one
 * of those to be counted. */
static enum verdict judge(const char *name, int at, const char *path, int is_write) {
    const char *under = getenv("OXISEG_FAULT_UNDER"), *mode = getenv("OXISEG_FAULT_MODE");
    const char *trace = getenv("OXISEG_FAULT_TRACE");
    char start[PATH_MAX] = "", full[2 * PATH_MAX];
    int before = errno;
    if (!under || !mode) return PASS;
    if (path && path[0] == '/') {
        snprintf(full, sizeof full, "%s", path);
    } else {
        if (at != AT_FDCWD) path_of(at, start);
        else if (!getcwd(start, sizeof start)) start[0] = 0;
        snprintf(full, sizeof full, path ? "%s/%s" : "%s", start, path);
    }
    errno = before;
    size_t length = strlen(under);
    if (strncmp(full, under, length) != 0 || (full[length] != 0 && full[length] != '/')) return PASS;

    long call = atomic_fetch_add(&seen, 1) + 1, chosen = number("OXISEG_FAULT_CALL");
    enum verdict verdict = PASS;
    if (chosen > 0) {
        if (!strcmp(mode, "once") && call == chosen) verdict = FAIL;
        if (!strcmp(mode, "onward") && call >= chosen) verdict = FAIL;
        if (!strcmp(mode, "short") && call == chosen && is_write) verdict = HALF;
        if (!strcmp(mode, "short") && call == chosen + 1) verdict = FAIL;
    }
    int log = trace ? real_open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    if (log >= 0) {
        char line[3 * PATH_MAX];
        int size = snprintf(line, sizeof line, "%ld %s %s%s\n", call, name, full, verdict == FAIL ? " FAILED" : "");
        if (real_write(log, line, (size_t)size) != size) abort();
        close(log);
    }
    errno = verdict == FAIL ? (int)number("OXISEG_FAULT_ERRNO") : before;
    return verdict;
}

/* Hides `name`: judged by `at` and `path`, it fails or is passed on. */
#define HIDE(type, name, parameters, arguments, at, path) \
    type name parameters { \
        NEXT(#name, type, parameters); \
        return judge(#name, at, path, 0) == FAIL ? -1 : next arguments; \
    }

HIDE(int, fsync, (int fd), (fd), fd, NULL)
HIDE(int, fdatasync, (int fd), (fd), fd, NULL)
HIDE(int, ftruncate, (int fd, off_t size), (fd, size), fd, NULL)
HIDE(int, ftruncate64, (int fd, off64_t size), (fd, size), fd, NULL)
HIDE(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, from)
HIDE(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), a, from)
HIDE(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), a, from)
HIDE(int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
HIDE(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), at, path)
HIDE(int, unlink, (const char *path), (path), AT_FDCWD, path)
HIDE(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), at, path)
HIDE(int, rmdir, (const char *path), (path), AT_FDCWD, path)
HIDE(ssize_t, copy_file_range, (int from, off64_t *a, int to, off64_t *b, size_t count, unsigned flags),
     (from, a, to, b, count, flags), to, NULL)

/* The same for calls that write, which may also take half of the bytes. */
#define HIDE_WRITE(name, parameters, whole, half) \
    ssize_t name parameters { \
        NEXT(#name, ssize_t, parameters); \
        enum verdict verdict = judge(#name, fd, NULL, 1); \
        return verdict == FAIL ? -1 : verdict == HALF ? next half : next whole; \
    }

HIDE_WRITE(write, (int fd, const void *from, size_t n), (fd, from, n), (fd, from, (n + 1) / 2))
HIDE_WRITE(pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), (fd, from, (n + 1) / 2, at))
HIDE_WRITE(pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at), (fd, from, (n + 1) / 2, at))
HIDE_WRITE(writev, (int fd, const struct iovec *from, int n), (fd, from, n), (fd, from, (n + 1) / 2))

/* The same for calls that open: a mode only where a file may be made, and counted only where one may be changed. */
#define HIDE_OPEN(name, parameters, arguments, at) \
    int name parameters { \
        NEXT(#name, int, parameters); \
        mode_t mode = 0; \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int changes = flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC); \
        return changes && judge(#name, at, path, 0) == FAIL ? -1 : next arguments; \
    }

HIDE_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
HIDE_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
HIDE_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
HIDE_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
