/*
 * A preload library that makes a disk fail: it keeps what would be needed to take back the writes of one file that are
 * not flushed yet, and gives the answers of a broken, slow or full disk when it is told to.
 *
 *   cc -shared -fPIC -O2 -o powerloss.so powerloss.c -ldl -lpthread
 *
 *   SLUICE_DISK_FILE   absolute path of the file that is watched
 *   SLUICE_DISK_STATE  folder of this library, which must exist:
 *     log       writes that are not on disk yet, oldest first: each with the bytes that were there before
 *     created   is there as long as the file is new and its folder was not flushed
 *     control   read at each call; words such as `sync=eio`, `sync=eio-once`, `sync=swallow`, `sync=delay:1500`,
 *               `data=eio`, `data=enospc`, `meta=eio`
 *     failed    when the first call failed or was delayed: ms of CLOCK_MONOTONIC
 *     counts    calls seen so far: data writes, meta writes, flushes
 *     clock     eight bytes: how many ms the wall clock is ahead of the true one; the monotonic clock is left alone
 *
 * A record reaches the log before its write begins, and leaves it after the flush that covers it: whoever kills the
 * process at any moment finds in the log all that a loss of power could take. A write through a descriptor that was
 * opened with O_DSYNC (LMDB's meta page) is on disk when it returns. Nothing that a flush which failed should have
 * covered is ever taken out by a later one that succeeds: the kernel may have thrown those pages away.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS 65536
#define MAGIC 0x474f4c53u
enum { IS_FILE = 1, IS_SYNCHRONOUS = 2, IS_FOLDER = 4 };
enum { KIND_WRITE = 1, KIND_TRUNCATE = 2 };

struct record {
	uint32_t magic;
	uint32_t kind;
	uint64_t offset;
	uint64_t length;
	uint64_t old_size;
	uint64_t old_length;
};

static unsigned char kinds[FDS];
static char path[PATH_MAX], folder[PATH_MAX], state[PATH_MAX];
static int is_on, log_fd = -1, control_fd = -1, counts_fd = -1, reader = -1, has_failed_once, has_noted;
/* The log up to here is lost to every later flush: a flush that covered it has failed. */
static off_t lost_up_to;
static uint64_t counts[3];
static volatile int64_t *clock_ahead_ms;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...) \
	static type (*real_##name)(__VA_ARGS__); \
	static void load_##name(void) { if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name); }

REAL(int, open64, const char *, int, ...)
REAL(int, close, int)
REAL(ssize_t, write, int, const void *, size_t)
REAL(ssize_t, writev, int, const struct iovec *, int)
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t)
REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t)
REAL(int, ftruncate64, int, off64_t)
REAL(int, fdatasync, int)
REAL(int, fsync, int)
REAL(int, clock_gettime, clockid_t, struct timespec *)
REAL(void *, mmap64, void *, size_t, int, int, int, off64_t)

static void give_up(const char *why) {
	dprintf(2, "powerloss: %s: %s\n", why, strerror(errno));
	_exit(99);
}

static void load_all(void) {
	load_open64(); load_close(); load_write(); load_writev(); load_pwrite64(); load_pwritev64(); load_ftruncate64();
	load_fdatasync(); load_fsync(); load_mmap64(); load_clock_gettime();
}

static int in_state(const char *name, int flags) {
	char at[PATH_MAX + 16];
	snprintf(at, sizeof at, "%s/%s", state, name);
	return real_open64(at, flags | O_CLOEXEC, 0600);
}

/* A record that the process before could not finish is no record: its write had not begun. */
static void cut_log(void) {
	struct record head;
	struct stat64 st;
	off_t at = 0;
	if (fstat64(log_fd, &st)) give_up("cannot stat the log");
	while (pread(log_fd, &head, sizeof head, at) == sizeof head && head.magic == MAGIC) {
		off_t next = at + sizeof head + head.old_length + (head.kind == KIND_WRITE ? head.length : 0);
		if (next > st.st_size) break;
		at = next;
	}
	if (real_ftruncate64(log_fd, at)) give_up("cannot cut the log");
}

__attribute__((constructor)) static void begin(void) {
	const char *file = getenv("SLUICE_DISK_FILE"), *in = getenv("SLUICE_DISK_STATE");
	load_all();
	if (!file || !in) return;
	snprintf(path, sizeof path, "%s", file);
	snprintf(folder, sizeof folder, "%s", file);
	char *slash = strrchr(folder, '/');
	if (slash) *slash = 0;
	snprintf(state, sizeof state, "%s", in);
	if ((log_fd = in_state("log", O_RDWR | O_CREAT)) < 0) give_up("cannot open the log");
	if ((control_fd = in_state("control", O_RDWR | O_CREAT)) < 0) give_up("cannot open the control file");
	if ((counts_fd = in_state("counts", O_RDWR | O_CREAT)) < 0) give_up("cannot open the counts");
	cut_log();
	int clock_fd = in_state("clock", O_RDWR | O_CREAT);
	if (clock_fd < 0 || real_ftruncate64(clock_fd, sizeof *clock_ahead_ms)) give_up("cannot open the clock");
	void *at = real_mmap64(NULL, sizeof *clock_ahead_ms, PROT_READ, MAP_SHARED, clock_fd, 0);
	if (at == MAP_FAILED) give_up("cannot map the clock");
	clock_ahead_ms = at;
	real_close(clock_fd);
	is_on = 1;
}

static int kind_of(int fd) {
	return is_on && fd >= 0 && fd < FDS ? kinds[fd] : 0;
}

/* What the control file says of `what`, or an empty text. */
static void told(const char *what, char *answer, size_t size) {
	char text[256];
	ssize_t length = pread(control_fd, text, sizeof text - 1, 0);
	answer[0] = 0;
	if (length <= 0) return;
	text[length] = 0;
	for (char *rest = NULL, *word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		size_t named = strlen(what);
		if (!strncmp(word, what, named) && word[named] == '=') snprintf(answer, size, "%s", word + named + 1);
	}
}

static void count(int which) {
	char text[96];
	counts[which]++;
	int length = snprintf(text, sizeof text, "%20llu %20llu %20llu\n", (unsigned long long)counts[0],
		(unsigned long long)counts[1], (unsigned long long)counts[2]);
	if (real_pwrite64(counts_fd, text, length, 0) < 0) give_up("cannot count");
}

static void note_failure(void) {
	char text[32];
	struct timespec now;
	if (has_noted) return;
	has_noted = 1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int fd = in_state("failed", O_WRONLY | O_CREAT | O_TRUNC);
	int length = snprintf(text, sizeof text, "%.3f\n", now.tv_sec * 1e3 + now.tv_nsec / 1e6);
	if (fd < 0 || real_write(fd, text, length) < 0) give_up("cannot note a failure");
	real_close(fd);
}

static void wait_as(const char *told) {
	if (strncmp(told, "delay:", 6)) return;
	note_failure();
	long ms = atol(told + 6);
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) && errno == EINTR);
}

/* Notes a write before it begins; returns where the log ended before. */
static off_t note(uint32_t kind, off64_t offset, const struct iovec *parts, int part_count, size_t length) {
	struct stat64 st;
	if (reader < 0 || fstat64(reader, &st)) give_up("cannot stat the file");
	size_t old = 0;
	if (kind == KIND_WRITE && offset < st.st_size)
		old = (size_t)(st.st_size - offset) < length ? (size_t)(st.st_size - offset) : length;
	size_t size = sizeof(struct record) + old + (kind == KIND_WRITE ? length : 0);
	char *text = malloc(size);
	if (!text) give_up("no memory for the log");
	struct record head = { MAGIC, kind, offset, length, st.st_size, old };
	memcpy(text, &head, sizeof head);
	if (old && pread64(reader, text + sizeof head, old, offset) != (ssize_t)old) give_up("cannot read what was there");
	char *to = text + sizeof head + old;
	for (int k = 0; k < part_count; k++) {
		memcpy(to, parts[k].iov_base, parts[k].iov_len);
		to += parts[k].iov_len;
	}
	off_t end = lseek(log_fd, 0, SEEK_END);
	if (real_write(log_fd, text, size) != (ssize_t)size) give_up("cannot write the log");
	free(text);
	return end;
}

static size_t length_of(const struct iovec *parts, int count) {
	size_t length = 0;
	for (int k = 0; k < count; k++) length += parts[k].iov_len;
	return length;
}

static ssize_t pass_on(int fd, const struct iovec *parts, int count, off64_t offset) {
	/* Written at its offset also where the caller had moved there: both ends up in the same place. */
	return real_pwritev64(fd, parts, count, offset);
}

static ssize_t watched_write(int fd, const struct iovec *parts, int part_count, off64_t offset) {
	char answer[32];
	int is_synchronous = kind_of(fd) & IS_SYNCHRONOUS;
	pthread_mutex_lock(&mutex);
	count(is_synchronous ? 1 : 0);
	told(is_synchronous ? "meta" : "data", answer, sizeof answer);
	ssize_t result = -1;
	int error = 0;
	if (!strcmp(answer, "enospc")) error = ENOSPC;
	else if (!strcmp(answer, "eio") && !is_synchronous) error = EIO;
	else {
		off_t before = note(KIND_WRITE, offset, parts, part_count, length_of(parts, part_count));
		result = pass_on(fd, parts, part_count, offset);
		error = errno;
		if (is_synchronous && !strcmp(answer, "eio")) {
			/* It is in the cache, it did not reach the disk, and no later flush will bring it there. */
			lost_up_to = lseek(log_fd, 0, SEEK_END);
			result = -1;
			error = EIO;
		} else if (is_synchronous && result >= 0) {
			told("sync", answer, sizeof answer);
			if (strcmp(answer, "swallow") && real_ftruncate64(log_fd, before)) give_up("cannot cut the log");
		}
	}
	if (result < 0) note_failure();
	pthread_mutex_unlock(&mutex);
	errno = error;
	return result;
}

static int watched_sync(void) {
	char answer[32];
	pthread_mutex_lock(&mutex);
	count(2);
	told("sync", answer, sizeof answer);
	int result = 0, error = 0;
	wait_as(answer);
	if (!strcmp(answer, "eio") || (!strcmp(answer, "eio-once") && !has_failed_once)) {
		has_failed_once = 1;
		note_failure();
		lost_up_to = lseek(log_fd, 0, SEEK_END);
		result = -1;
		error = EIO;
	} else if (strcmp(answer, "swallow")) {
		/* The page cache of the machine is not what is under test here: what is asked to be flushed is taken as flushed. */
		if (lseek(log_fd, 0, SEEK_END) > lost_up_to && real_ftruncate64(log_fd, lost_up_to)) give_up("cannot cut the log");
	}
	pthread_mutex_unlock(&mutex);
	errno = error;
	return result;
}

/* ── what the process calls ──────────────────────────────────────────────────────────────────────────────────────── */

int open64(const char *name, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	load_open64();
	int is_file = is_on && !strcmp(name, path);
	int is_new = is_file && (flags & O_CREAT) && access(path, F_OK);
	if (is_new) {
		int made = in_state("created", O_WRONLY | O_CREAT);
		if (made < 0) give_up("cannot note that the file is new");
		real_close(made);
	}
	int fd = real_open64(name, flags, mode);
	if (!is_on || fd < 0 || fd >= FDS) return fd;
	kinds[fd] = 0;
	if (is_file) {
		kinds[fd] = IS_FILE | (flags & (O_DSYNC | O_SYNC) ? IS_SYNCHRONOUS : 0);
		if (reader < 0) reader = real_open64(path, O_RDONLY | O_CLOEXEC);
	} else if (!strcmp(name, folder)) kinds[fd] = IS_FOLDER;
	return fd;
}

int open(const char *name, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return open64(name, flags, mode);
}

int close(int fd) {
	load_close();
	if (kind_of(fd)) kinds[fd] = 0;
	return real_close(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
	load_pwrite64();
	struct iovec part = { (void *)data, length };
	return kind_of(fd) & IS_FILE ? watched_write(fd, &part, 1, offset) : real_pwrite64(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
	return pwrite64(fd, data, length, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
	load_pwritev64();
	return kind_of(fd) & IS_FILE ? watched_write(fd, parts, count, offset) : real_pwritev64(fd, parts, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
	return pwritev64(fd, parts, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
	load_writev();
	if (!(kind_of(fd) & IS_FILE)) return real_writev(fd, parts, count);
	off64_t at = lseek64(fd, 0, SEEK_CUR);
	ssize_t result = watched_write(fd, parts, count, at);
	if (result > 0) lseek64(fd, at + result, SEEK_SET);
	return result;
}

ssize_t write(int fd, const void *data, size_t length) {
	load_write();
	struct iovec part = { (void *)data, length };
	return kind_of(fd) & IS_FILE ? writev(fd, &part, 1) : real_write(fd, data, length);
}

int ftruncate64(int fd, off64_t size) {
	load_ftruncate64();
	if (!(kind_of(fd) & IS_FILE)) return real_ftruncate64(fd, size);
	struct stat64 st;
	if (fstat64(fd, &st) || size < st.st_size) give_up("the file is made shorter, which this library cannot take back");
	pthread_mutex_lock(&mutex);
	note(KIND_TRUNCATE, size, NULL, 0, 0);
	int result = real_ftruncate64(fd, size);
	pthread_mutex_unlock(&mutex);
	return result;
}

int ftruncate(int fd, off_t size) {
	return ftruncate64(fd, size);
}

int fdatasync(int fd) {
	load_fdatasync();
	return kind_of(fd) & IS_FILE ? watched_sync() : real_fdatasync(fd);
}

int fsync(int fd) {
	load_fsync();
	if (kind_of(fd) & IS_FILE) return watched_sync();
	if (kind_of(fd) & IS_FOLDER) {
		char at[PATH_MAX + 16];
		snprintf(at, sizeof at, "%s/created", state);
		unlink(at);
	}
	return real_fsync(fd);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
	load_mmap64();
	if (kind_of(fd) & IS_FILE && protection & PROT_WRITE && flags & MAP_SHARED) {
		errno = EPERM;
		give_up("the file is mapped to be written, and such writes cannot be seen");
	}
	return real_mmap64(at, length, protection, flags, fd, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
	return mmap64(at, length, protection, flags, fd, offset);
}

/* ── the wall clock ──────────────────────────────────────────────────────────────────────────────────────────────── */

int clock_gettime(clockid_t which, struct timespec *now) {
	load_clock_gettime();
	int result = real_clock_gettime(which, now);
	if (result || !clock_ahead_ms || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return result;
	int64_t ns = now->tv_sec * 1000000000LL + now->tv_nsec + *clock_ahead_ms * 1000000LL;
	now->tv_sec = ns / 1000000000LL;
	now->tv_nsec = ns % 1000000000LL;
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
	(void)zone;
	struct timespec exact;
	int result = clock_gettime(CLOCK_REALTIME, &exact);
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return result;
}

time_t time(time_t *now) {
	struct timespec exact;
	clock_gettime(CLOCK_REALTIME, &exact);
	if (now) *now = exact.tv_sec;
	return exact.tv_sec;
}
