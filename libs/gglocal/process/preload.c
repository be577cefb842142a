/* Preloaded by gglocal into a component's processes, to inject faults of disk and clock.

   GGLOCAL_SHIM_CONTROL names a mapped file of 16 bytes, which the nucleus writes: int64, the offset of the wall clock in nanoseconds;
   int32, nonzero if writes below GGLOCAL_SHIM_UNDER, the real path of a directory, fail with ENOSPC. Without a fault, each call costs a look
   at that file.

   Not intercepted: writes through a mapping, and calls inside the C library (the open of fopen). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define REAL(result, name, ...)                                    \
    static result (*real)(__VA_ARGS__);                            \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

struct control {
    int64_t clock_ns;
    int32_t full;
};

static struct control none;
static volatile struct control *control = &none;
static char under[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("GGLOCAL_SHIM_CONTROL"), *directory = getenv("GGLOCAL_SHIM_UNDER");
    if (!file || !directory || strlen(directory) >= sizeof under) return;
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) return;
    strcpy(under, directory);
    control = mapped;
}

static int inside(const char *path) {
    size_t length = strlen(under);
    return length && !strncmp(path, under, length) && (path[length] == '/' || !path[length]);
}

static int full(int fd) {
    char link[40], path[PATH_MAX];
    if (!control->full) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!inside(path)) return 0;
    errno = ENOSPC;
    return 1;
}

/* Whether the call would have to create a file in a full directory. */
static int cannot_create(int at, const char *path, int flags) {
    char place[PATH_MAX], real_place[PATH_MAX], *slash;
    struct stat found;
    if (!control->full || !(flags & (O_CREAT | __O_TMPFILE)) || !fstatat(at, path, &found, 0)) return 0;
    if (path[0] != '/' && at != AT_FDCWD) return full(at);
    if (strlen(path) >= sizeof place) return 0;
    strcpy(place, path);
    slash = strrchr(place, '/');
    if (slash) *(slash == place ? slash + 1 : slash) = 0;
    else strcpy(place, ".");
    if (!realpath(place, real_place) || !inside(real_place)) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return full(fd) ? -1 : real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return full(fd) ? -1 : real(fd, parts, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return full(fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return full(fd) ? -1 : real(fd, data, size, at);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return full(fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return full(fd) ? -1 : real(fd);
}

static int grows(int fd, off64_t length) {
    struct stat found;
    return control->full && !fstat(fd, &found) && length > found.st_size;
}

int ftruncate(int fd, off_t length) {
    REAL(int, "ftruncate", int, off_t);
    return grows(fd, length) && full(fd) ? -1 : real(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    return grows(fd, length) && full(fd) ? -1 : real(fd, length);
}

int posix_fallocate(int fd, off_t at, off_t length) {
    REAL(int, "posix_fallocate", int, off_t, off_t);
    return full(fd) ? ENOSPC : real(fd, at, length);
}

int posix_fallocate64(int fd, off64_t at, off64_t length) {
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    return full(fd) ? ENOSPC : real(fd, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length) {
    REAL(int, "fallocate", int, int, off_t, off_t);
    return full(fd) ? -1 : real(fd, mode, at, length);
}

int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    REAL(int, "fallocate64", int, int, off64_t, off64_t);
    return full(fd) ? -1 : real(fd, mode, at, length);
}

#define MODE                                                       \
    mode_t mode = 0;                                               \
    if (flags & (O_CREAT | __O_TMPFILE)) {                         \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                              \
    }

int open(const char *path, int flags, ...) {
    REAL(int, "open", const char *, int, ...);
    MODE
    return cannot_create(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    MODE
    return cannot_create(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    REAL(int, "openat", int, const char *, int, ...);
    MODE
    return cannot_create(at, path, flags) ? -1 : real(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    REAL(int, "openat64", int, const char *, int, ...);
    MODE
    return cannot_create(at, path, flags) ? -1 : real(at, path, flags, mode);
}

static void shift(struct timespec *at, int64_t by) {
    int64_t rest = at->tv_nsec + by % SECOND;
    at->tv_sec += by / SECOND + (rest < 0 ? -1 : rest >= SECOND);
    at->tv_nsec = rest < 0 ? rest + SECOND : rest >= SECOND ? rest - SECOND : rest;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(now, control->clock_ns);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec at;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (into) *into = at.tv_sec;
    return at.tv_sec;
}

/* Convert a deadline of the shifted wall clock for the kernel. A deadline of the monotonic clock is a small number, and stays unchanged. */
static struct timespec kernel_deadline(const struct timespec *until) {
    struct timespec at = *until;
    if (at.tv_sec > 500000000) shift(&at, -control->clock_ns);
    return at;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    REAL(int, "sem_timedwait", sem_t *, const struct timespec *);
    struct timespec at = kernel_deadline(until);
    return real(semaphore, &at);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    typedef int waits(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    static waits *real;
    struct timespec at = kernel_deadline(until);
    /* On x86_64, the unversioned name may resolve to a version from before 2002 with another struct. */
    if (!real) real = (waits *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = (waits *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return real(condition, mutex, &at);
}
