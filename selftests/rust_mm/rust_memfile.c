// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files without userfaultfd: those of the sample driver rust_memfile must do what those of
 * memfd_create() do. Where they differ, the test says so.
 */

#define WITH_LARGE_FOLIOS
#include "rust_memfile_fixture.h"
#include "rust_memfile_balance.h"
#include "rust_mm_pin.h"

#include <linux/udmabuf.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>

#define PAGES	16

/* --- the file */

/* A new file has its size, no data and no name. */
TEST_F(memory, create)
{
	int fd = file_of(self, PAGES), flags;
	struct stat stat;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(fstat(fd, &stat), 0);
	EXPECT_TRUE(S_ISREG(stat.st_mode));
	EXPECT_EQ(stat.st_size, PAGES * self->page);
	EXPECT_EQ(stat.st_blocks, 0);
	EXPECT_EQ(stat.st_nlink, 0);
	EXPECT_EQ(stat.st_uid, geteuid());
	/* A memfd can be executed by all, unless a sysctl says otherwise. */
	EXPECT_EQ(stat.st_mode & 0600, 0600);
	if (!variant->memfd)
		EXPECT_EQ(stat.st_mode & 0777, 0600);
	EXPECT_TRUE(is_hole(fd, 0, PAGES * self->page));
	EXPECT_TRUE(has_bytes(fd, 0, PAGES * self->page, 0));

	flags = fcntl(fd, F_GETFD);
	EXPECT_EQ(flags & FD_CLOEXEC, FD_CLOEXEC);
	flags = fcntl(fd, F_GETFL);
	EXPECT_EQ(flags & O_ACCMODE, O_RDWR);
	close(fd);

	/* Without pages, and not closed by execve(). */
	self->flags &= ~RUST_MEMFILE_CLOEXEC;
	fd = file_of(self, 0);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(size_of(fd), 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
	close(fd);
}

/* Each file is its own. */
TEST_F(memory, many_files)
{
	int fds[32];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = file_of(self, i);
		ASSERT_GE(fds[i], 0);
		ASSERT_TRUE(put_bytes(fds[i], 0, (i + 1) * 100, 'a' + i));
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ASSERT_TRUE(has_bytes(fds[i], 0, (i + 1) * 100, 'a' + i));
		ASSERT_EQ(size_of(fds[i]), i ? (i * self->page) : 100);
		ASSERT_EQ(close(fds[i]), 0);
	}
}

/* The file position: read(2), write(2), lseek(2). */
TEST_F(memory, read_write_seek)
{
	void *volatile nowhere = NULL;
	int fd = file_of(self, 1);
	char buf[64];

	ASSERT_GE(fd, 0);
	ASSERT_EQ(write(fd, "0123456789", 10), 10);
	ASSERT_EQ(lseek(fd, 0, SEEK_CUR), 10);
	ASSERT_EQ(lseek(fd, -4, SEEK_CUR), 6);
	ASSERT_EQ(read(fd, buf, 4), 4);
	ASSERT_EQ(memcmp(buf, "6789", 4), 0);

	/* At the end, and past it: a write extends the file. */
	ASSERT_EQ(lseek(fd, 0, SEEK_END), self->page);
	ASSERT_EQ(read(fd, buf, sizeof(buf)), 0);
	ASSERT_EQ(write(fd, "end", 3), 3);
	ASSERT_EQ(size_of(fd), self->page + 3);
	ASSERT_EQ(lseek(fd, 5 * self->page + 1, SEEK_SET), 5 * self->page + 1);
	ASSERT_EQ(read(fd, buf, sizeof(buf)), 0);
	ASSERT_EQ(write(fd, "far", 3), 3);
	ASSERT_EQ(size_of(fd), 5 * self->page + 4);
	ASSERT_TRUE(has_bytes(fd, self->page + 3, 4 * self->page - 2, 0));

	/* A read over the end is short, and one of nothing does nothing. */
	ASSERT_EQ(pread(fd, buf, sizeof(buf), 5 * self->page), 4);
	ASSERT_EQ(memcmp(buf, "\0far", 4), 0);
	ASSERT_EQ(pread(fd, buf, 0, 0), 0);
	ASSERT_EQ(pwrite(fd, buf, 0, 100 * self->page), 0);
	ASSERT_EQ(size_of(fd), 5 * self->page + 4);

	ASSERT_EQ(lseek(fd, -1, SEEK_SET), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(pread(fd, nowhere, 8, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(pwrite(fd, nowhere, 8, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(pread(fd, buf, sizeof(buf), 0x7ffffffffffff000), 0);
	ASSERT_EQ(pwrite(fd, buf, sizeof(buf), 0x7fffffffffffffff), -1);
	ASSERT_EQ(errno, EINVAL);
	close(fd);
}

/* Reads and writes of several buffers, over the borders of pages, and of many pages at once. */
TEST_F(memory, vectors)
{
	const size_t len = PAGES * self->page - 5;
	char *from = malloc(len), *to = malloc(len);
	struct iovec iov[3] = {
		{ from, 3 }, { from + 3, 2 * self->page }, { from + 3 + 2 * self->page, 1 },
	};
	int fd = file_of(self, 0);

	ASSERT_GE(fd, 0);
	ASSERT_NE(from, NULL);
	ASSERT_NE(to, NULL);
	for (size_t i = 0; i < len; i++)
		from[i] = i * 7 + i / 256;
	ASSERT_EQ(pwritev(fd, iov, 3, 5), 4 + 2 * self->page);
	ASSERT_EQ(pread(fd, to, len, 5), 4 + 2 * self->page);
	ASSERT_EQ(memcmp(from, to, 4 + 2 * self->page), 0);
	ASSERT_EQ(pwrite(fd, from, len, 5), len);
	iov[0].iov_base = to;
	iov[0].iov_len = 1;
	iov[1].iov_base = to + 1;
	iov[1].iov_len = len - 2;
	iov[2].iov_base = to + len - 1;
	memset(to, 0, len);
	ASSERT_EQ(preadv(fd, iov, 3, 5), len);
	ASSERT_EQ(memcmp(from, to, len), 0);
	ASSERT_TRUE(has_bytes(fd, 0, 5, 0));

	/* O_APPEND writes at the end, wherever the position is. */
	ASSERT_EQ(fcntl(fd, F_SETFL, O_APPEND), 0);
	ASSERT_EQ(lseek(fd, 0, SEEK_SET), 0);
	ASSERT_EQ(write(fd, "more", 4), 4);
	ASSERT_EQ(size_of(fd), PAGES * self->page + 4);
	ASSERT_EQ(pread(fd, to, 9, PAGES * self->page), 4);
	ASSERT_EQ(memcmp(to, "more", 4), 0);
	free(from);
	free(to);
	close(fd);
}

/* What a file does not have is not found, and not allocated by reading it. */
TEST_F(memory, holes)
{
	const off_t page = self->page, end = PAGES * page;
	int fd = file_of(self, PAGES);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(lseek(fd, 0, SEEK_DATA), -1);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(lseek(fd, 3, SEEK_HOLE), 3);
	ASSERT_EQ(lseek(fd, end, SEEK_DATA), -1);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(lseek(fd, end, SEEK_HOLE), -1);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(lseek(fd, -1, SEEK_DATA), -1);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(lseek(fd, -1, SEEK_HOLE), -1);
	ASSERT_EQ(errno, ENXIO);

	if (variant->flags & RUST_MEMFILE_HUGE) {
		/* A write may allocate more than its page, but only around it. */
		ASSERT_TRUE(put_bytes(fd, 4 * page + 5, 1, 'x'));
		ASSERT_LE(lseek(fd, 0, SEEK_DATA), 4 * page);
		ASSERT_GE(lseek(fd, 4 * page, SEEK_HOLE), 5 * page);
		close(fd);
		return;
	}
	/* Data in the pages 4, 5 and 9. */
	ASSERT_TRUE(put_bytes(fd, 4 * page + 5, page, 'x'));
	ASSERT_TRUE(put_bytes(fd, 9 * page, 1, 'y'));
	ASSERT_EQ(lseek(fd, 0, SEEK_DATA), 4 * page);
	ASSERT_EQ(lseek(fd, 4 * page + 9, SEEK_DATA), 4 * page + 9);
	ASSERT_EQ(lseek(fd, 4 * page, SEEK_HOLE), 6 * page);
	ASSERT_EQ(lseek(fd, 6 * page, SEEK_DATA), 9 * page);
	ASSERT_EQ(lseek(fd, 9 * page, SEEK_HOLE), 10 * page);
	ASSERT_EQ(lseek(fd, 10 * page, SEEK_DATA), -1);
	ASSERT_EQ(errno, ENXIO);

	/* Reading allocates nothing. */
	ASSERT_TRUE(has_bytes(fd, 10 * page, 6 * page, 0));
	ASSERT_TRUE(has_bytes(fd, 0, 4 * page + 5, 0));
	ASSERT_TRUE(is_hole(fd, 10 * page, end));
	ASSERT_TRUE(is_hole(fd, 0, 4 * page));
	/* Data up to the end: the hole is at the end. */
	ASSERT_TRUE(put_bytes(fd, 15 * page, page, 'z'));
	ASSERT_EQ(lseek(fd, 15 * page, SEEK_HOLE), end);
	close(fd);
}

/* st_blocks counts the pages that the file has, as du(1) shows them. */
TEST_F(memory, blocks)
{
	int fd = file_of(self, PAGES);
	struct stat stat;

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 0, 1, 'x'));
	ASSERT_TRUE(put_bytes(fd, 2 * self->page, self->page, 'x'));
	ASSERT_EQ(fstat(fd, &stat), 0);
	/* The sizes of large folios are the kernel's choice. */
	EXPECT_GE(stat.st_blocks, 2 * self->page / 512);
	if (!(variant->flags & RUST_MEMFILE_HUGE))
		EXPECT_EQ(stat.st_blocks, 2 * self->page / 512);
	ASSERT_EQ(ftruncate(fd, self->page), 0);
	ASSERT_EQ(fstat(fd, &stat), 0);
	EXPECT_EQ(stat.st_blocks, self->page / 512);
	ASSERT_EQ(ftruncate(fd, 0), 0);
	ASSERT_EQ(fstat(fd, &stat), 0);
	EXPECT_EQ(stat.st_blocks, 0);
	close(fd);
}

/* A sparse file can be larger than all memory. */
TEST_F(memory, far_offsets)
{
	const off_t far = 1ll << 40, last = INT64_MAX - 2 * self->page + 1;
	int fd = file_of(self, 1);
	char *map;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, far + self->page), 0);
	ASSERT_EQ(size_of(fd), far + self->page);
	ASSERT_TRUE(put_bytes(fd, far, 1, 'x'));
	map = mmap(NULL, self->page, RW, MAP_SHARED, fd, far);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(map[0], 'x');
	map[1] = 'y';
	ASSERT_TRUE(has_bytes(fd, far + 1, 1, 'y'));
	if (!(variant->flags & RUST_MEMFILE_HUGE))
		ASSERT_EQ(lseek(fd, 0, SEEK_DATA), far);
	ASSERT_EQ(ftruncate(fd, 0), 0);
	ASSERT_EQ(touch_read(map), SIGBUS);

	/* The last page that can be mapped of the largest file. */
	ASSERT_EQ(ftruncate(fd, INT64_MAX), 0);
	map = mmap(NULL, self->page, RW, MAP_SHARED, fd, last);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(touch_write(map + 1, 'z'), 0);
	ASSERT_TRUE(has_bytes(fd, last, 1, 0));
	ASSERT_TRUE(has_bytes(fd, last + 1, 1, 'z'));
	ASSERT_EQ(ftruncate(fd, 0), 0);
	ASSERT_EQ(touch_read(map), SIGBUS);
	close(fd);
}

/* ftruncate(): what is cut off is gone, also in a page that stays. */
TEST_F(memory, truncate)
{
	const size_t page = self->page;
	char *map, *private;
	int fd = mapped_file(self, PAGES, 'x', &map, &private);

	ASSERT_GE(fd, 0);
	private[7 * page] = 'p';

	ASSERT_EQ(ftruncate(fd, 3 * page + 100), 0);
	ASSERT_EQ(size_of(fd), 3 * page + 100);
	/* The end of the last page is zero, the pages after it are not there. */
	ASSERT_TRUE(all_bytes(map + 3 * page, 100, 'x'));
	ASSERT_TRUE(all_bytes(map + 3 * page + 100, page - 100, 0));
	ASSERT_EQ(touch_read(map + 4 * page), SIGBUS);
	ASSERT_EQ(touch_write(map + PAGES * page - 1, 'y'), SIGBUS);
	/* Nor are copies of them that were written to. */
	ASSERT_EQ(touch_read(private + 7 * page), SIGBUS);
	ASSERT_EQ(touch_read(private + 3 * page), 0);

	/* And it does not come back when the file grows. */
	ASSERT_EQ(ftruncate(fd, PAGES * page), 0);
	ASSERT_TRUE(has_bytes(fd, 0, 3 * page + 100, 'x'));
	ASSERT_TRUE(has_bytes(fd, 3 * page + 100, PAGES * page - 3 * page - 100, 0));
	ASSERT_EQ(touch_read(map + 4 * page), 0);
	ASSERT_EQ(map[4 * page], 0);
	ASSERT_EQ(touch_read(private + 7 * page), 0);
	ASSERT_EQ(private[7 * page], 0);

	ASSERT_EQ(ftruncate(fd, -1), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(ftruncate(fd, 0), 0);
	ASSERT_EQ(touch_read(map), SIGBUS);
	close(fd);
}

/* RLIMIT_FSIZE holds for these files as well. */
TEST_F(memory, file_size_limit)
{
	struct rlimit limit = { 4 * self->page, 4 * self->page };
	int fd = file_of(self, 1);

	ASSERT_GE(fd, 0);
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ASSERT_EQ(ftruncate(fd, 4 * self->page), 0);
	ASSERT_EQ(ftruncate(fd, 4 * self->page + 1), -1);
	ASSERT_EQ(errno, EFBIG);
	ASSERT_EQ(pwrite(fd, "xy", 2, 4 * self->page - 1), 1);
	ASSERT_EQ(pwrite(fd, "xy", 2, 4 * self->page), -1);
	ASSERT_EQ(errno, EFBIG);
	ASSERT_EQ(fallocate(fd, 0, 0, 5 * self->page), -1);
	ASSERT_EQ(errno, EFBIG);
	close(fd);
}

/* fallocate() takes what memfd takes, and FALLOC_FL_ZERO_RANGE. */
TEST_F(memory, fallocate)
{
	const int keep = FALLOC_FL_KEEP_SIZE, punch = FALLOC_FL_PUNCH_HOLE,
		zero = FALLOC_FL_ZERO_RANGE;
	const int only_ours = variant->memfd ? EOPNOTSUPP : 0;
	const off_t page = self->page;
	struct {
		int mode;
		off_t at, len;
		int error;
		off_t size;
	} cases[] = {
		{ 0, 0, page, 0, 4 * page },
		{ 0, 3 * page, 2 * page + 5, 0, 5 * page + 5 },
		{ keep, 6 * page, page, 0, 5 * page + 5 },
		{ punch | keep, 0, page, 0, 5 * page + 5 },
		{ punch | keep, 10 * page, page, 0, 5 * page + 5 },
		{ zero, 0, page, only_ours, 5 * page + 5 },
		{ zero | keep, 5 * page, 9 * page, only_ours, 5 * page + 5 },
		{ zero, 5 * page, page, only_ours, variant->memfd ? 5 * page + 5 : 6 * page },
		{ punch, 0, page, EOPNOTSUPP },
		{ punch | zero | keep, 0, page, EOPNOTSUPP },
		{ FALLOC_FL_COLLAPSE_RANGE, 0, page, EOPNOTSUPP },
		{ FALLOC_FL_INSERT_RANGE, 0, page, EOPNOTSUPP },
		{ 0x10000, 0, page, EOPNOTSUPP },
		{ 0, 0, 0, EINVAL },
		{ 0, -page, page, EINVAL },
		{ 0, 0, -page, EINVAL },
		{ 0, 0x7ffffffffffff000, page, EFBIG },
	};
	int fd = file_of(self, 4), ro;

	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		off_t after = size_of(fd);
		int error = 0;

		if (!cases[i].error)
			after = cases[i].size;
		if (fallocate(fd, cases[i].mode, cases[i].at, cases[i].len))
			error = errno;
		EXPECT_EQ(error, cases[i].error)
			TH_LOG("mode %#x at %#jx, %#jx", cases[i].mode, (intmax_t)cases[i].at,
			       (intmax_t)cases[i].len);
		EXPECT_EQ(size_of(fd), after)
			TH_LOG("mode %#x at %#jx, %#jx", cases[i].mode, (intmax_t)cases[i].at,
			       (intmax_t)cases[i].len);
	}
	ro = reopen(fd, O_RDONLY);
	ASSERT_GE(ro, 0);
	ASSERT_EQ(fallocate(ro, 0, 0, page), -1);
	ASSERT_EQ(errno, EBADF);
	close(ro);
	close(fd);
}

/* Pages that are allocated are zero, and keep what they had. */
TEST_F(memory, allocate)
{
	int fd = file_of(self, PAGES);
	char *map;

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 3 * self->page, self->page, 'x'));
	ASSERT_EQ(fallocate(fd, 0, 0, 8 * self->page), 0);
	ASSERT_TRUE(has_bytes(fd, 0, 3 * self->page, 0));
	ASSERT_TRUE(has_bytes(fd, 3 * self->page, self->page, 'x'));
	ASSERT_TRUE(has_bytes(fd, 4 * self->page, 12 * self->page, 0));
	map = map_pages(self, fd, PAGES, MAP_SHARED);
	ASSERT_NE(map, NULL);
	ASSERT_TRUE(all_bytes(map, 3 * self->page, 0));
	map[self->page] = 'y';
	ASSERT_TRUE(has_bytes(fd, self->page, 1, 'y'));
	ASSERT_TRUE(has_bytes(fd, self->page + 1, self->page - 1, 0));
	/* In a memfd, allocated pages are a hole until they are accessed. */
	ASSERT_EQ(is_hole(fd, 5 * self->page, 8 * self->page), variant->memfd);
	ASSERT_TRUE(is_hole(fd, 8 * self->page, PAGES * self->page));
	close(fd);
}

/* A hole that is punched takes its pages out of each mapping; parts of pages become zero. */
TEST_F(memory, punch_hole)
{
	const size_t page = self->page;
	char *map, *private;
	int fd = mapped_file(self, PAGES, 'x', &map, &private);

	ASSERT_GE(fd, 0);
	private[5 * page] = 'p';

	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * page - 10,
			    3 * page + 20), 0);
	ASSERT_EQ(size_of(fd), PAGES * page);
	ASSERT_TRUE(has_bytes(fd, 0, 4 * page - 10, 'x'));
	ASSERT_TRUE(has_bytes(fd, 4 * page - 10, 3 * page + 20, 0));
	ASSERT_TRUE(has_bytes(fd, 7 * page + 10, (PAGES - 7) * page - 10, 'x'));
	if (!(variant->flags & RUST_MEMFILE_HUGE))
		ASSERT_TRUE(is_hole(fd, 4 * page, 7 * page));
	/* The shared mapping shows the hole; the page of the private one that was copied stays. */
	ASSERT_TRUE(all_bytes(map + 4 * page - 10, 3 * page + 20, 0));
	ASSERT_EQ(private[4 * page], 0);
	ASSERT_EQ(private[5 * page], 'p');

	map[4 * page] = 'n';
	ASSERT_TRUE(has_bytes(fd, 4 * page, 1, 'n'));
	close(fd);
}

/* FALLOC_FL_ZERO_RANGE: the bytes are zero, in each mapping, and nothing else changes. */
TEST_F(memory, zero_range)
{
	const size_t page = self->page;
	char *map;
	int fd = mapped_file(self, PAGES, 'x', &map, NULL);

	ASSERT_GE(fd, 0);
	/* memfd does not have it. */
	if (variant->memfd) {
		ASSERT_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, page + 1, 3 * page), -1);
		ASSERT_EQ(errno, EOPNOTSUPP);
		ASSERT_TRUE(has_bytes(fd, 0, PAGES * page, 'x'));
		close(fd);
		return;
	}
	ASSERT_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, page + 1, 3 * page), 0);
	ASSERT_TRUE(all_bytes(map, page + 1, 'x'));
	ASSERT_TRUE(all_bytes(map + page + 1, 3 * page, 0));
	ASSERT_TRUE(all_bytes(map + 4 * page + 1, 12 * page - 1, 'x'));
	ASSERT_TRUE(has_bytes(fd, page + 1, 3 * page, 0));
	/* Within one page, and past the end. */
	ASSERT_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, 6 * page + 10, 10), 0);
	ASSERT_TRUE(all_bytes(map + 6 * page, 10, 'x'));
	ASSERT_TRUE(all_bytes(map + 6 * page + 10, 10, 0));
	ASSERT_TRUE(all_bytes(map + 6 * page + 20, page - 20, 'x'));
	ASSERT_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGES * page - 5, 10), 0);
	ASSERT_EQ(size_of(fd), PAGES * page + 5);
	ASSERT_TRUE(has_bytes(fd, PAGES * page - 5, 10, 0));
	close(fd);
}

/* fsync() and its kind have nothing to do; sendfile() reads pages and holes. */
TEST_F(memory, sync_and_splice)
{
	off_t at = self->page - 3;
	char buf[6], *map;
	int fd = mapped_file(self, PAGES, 0, &map, NULL), pipes[2];

	ASSERT_GE(fd, 0);
	memcpy(map + self->page, "abc", 3);
	EXPECT_EQ(fsync(fd), 0);
	EXPECT_EQ(fdatasync(fd), 0);
	EXPECT_EQ(msync(map, self->page, MS_SYNC), 0);
	EXPECT_EQ(msync(map, self->page, MS_ASYNC), 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	ASSERT_TRUE(has_bytes(fd, self->page, 1, 'a'));

	ASSERT_EQ(pipe(pipes), 0);
	ASSERT_EQ(sendfile(pipes[1], fd, &at, 6), 6);
	ASSERT_EQ(at, self->page + 3);
	ASSERT_EQ(read(pipes[0], buf, 6), 6);
	ASSERT_EQ(memcmp(buf, "\0\0\0abc", 6), 0);
	at = PAGES * self->page;
	ASSERT_EQ(sendfile(pipes[1], fd, &at, 6), 0);
	/* Into the file. */
	ASSERT_EQ(write(pipes[1], "pipe", 4), 4);
	at = 5 * self->page - 2;
	ASSERT_EQ(splice(pipes[0], NULL, fd, &at, 4, 0), 4);
	ASSERT_EQ(memcmp(map + 5 * self->page - 2, "pipe", 4), 0);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

/* The file can be opened again, with another mode and another position. */
TEST_F(memory, reopen)
{
	int fd = file_of(self, 2), ro, rw;
	char c, *map;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(write(fd, "abc", 3), 3);
	ro = reopen(fd, O_RDONLY);
	rw = reopen(fd, O_RDWR);
	ASSERT_GE(ro, 0);
	ASSERT_GE(rw, 0);
	ASSERT_EQ(read(ro, &c, 1), 1);
	ASSERT_EQ(c, 'a');
	ASSERT_EQ(write(rw, "x", 1), 1);
	ASSERT_EQ(pread(fd, &c, 1, 0), 1);
	ASSERT_EQ(c, 'x');
	ASSERT_EQ(lseek(fd, 0, SEEK_CUR), 3);

	ASSERT_EQ(write(ro, "x", 1), -1);
	ASSERT_EQ(errno, EBADF);
	ASSERT_EQ(ftruncate(ro, 0), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(mmap(NULL, self->page, RW, MAP_SHARED, ro, 0), MAP_FAILED);
	ASSERT_EQ(errno, EACCES);
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(mprotect(map, self->page, RW), -1);
	ASSERT_EQ(errno, EACCES);

	/* The file lives as long as one of its descriptors or mappings. */
	close(fd);
	close(rw);
	ASSERT_EQ(pread(ro, &c, 1, 1), 1);
	ASSERT_EQ(c, 'b');
	rw = reopen(ro, O_RDWR);
	ASSERT_GE(rw, 0);
	close(ro);
	ASSERT_EQ(map[0], 'x');
	ASSERT_EQ(size_of(rw), 2 * self->page);
	close(rw);
	rw = open("/proc/self/maps", O_RDONLY);
	close(rw);
	ASSERT_EQ(map[0], 'x');

	/* O_TRUNC */
	fd = file_of(self, 2);
	rw = reopen(fd, O_RDWR | O_TRUNC);
	ASSERT_GE(rw, 0);
	ASSERT_EQ(size_of(fd), 0);
	close(rw);
	/* memfd ignores it. */
	rw = reopen(fd, O_RDWR | O_DIRECT);
	ASSERT_TRUE(variant->memfd ? rw >= 0 : rw == -EINVAL);
	close(rw);
	close(fd);
}

/* A descriptor can be sent to another process, which maps the same memory. */
TEST_F(memory, sent)
{
	int fd = file_of(self, 2), sockets[2];
	char *map;
	pid_t pid;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int got;

		close(fd);
		got = receive_fd(sockets[1]);
		map = map_pages(self, got, 2, MAP_SHARED);
		if (!map || strcmp(map, "parent"))
			_exit(1);
		strcpy(map + self->page, "child");
		_exit(0);
	}
	map = map_pages(self, fd, 2, MAP_SHARED);
	ASSERT_NE(map, NULL);
	strcpy(map, "parent");
	ASSERT_EQ(send_fd(sockets[0], fd), 0);
	close(fd);
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_STREQ(map + self->page, "child");
	close(sockets[0]);
	close(sockets[1]);
}

/* --- seals */

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif

/* Only a file that is created for it can be sealed. */
TEST_F(memory, seals_of_a_new_file)
{
	int fd = file_of(self, 1), ro;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), -1);
	ASSERT_EQ(errno, EPERM);
	close(fd);

	fd = file_with(self, self->page, RUST_MEMFILE_SEALABLE);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(fcntl(fd, F_GET_SEALS), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, 0x1000), -1);
	ASSERT_EQ(errno, EINVAL);
	ro = reopen(fd, O_RDONLY);
	ASSERT_GE(ro, 0);
	ASSERT_EQ(fcntl(ro, F_ADD_SEALS, F_SEAL_GROW), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	/* All descriptors have them. */
	ASSERT_EQ(fcntl(ro, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(fcntl(ro, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	close(ro);
	close(fd);
}

/* Seals that a file has from the start: its maker need not write to it, nor can. */
TEST_F(memory, sealed_from_the_start)
{
	static const unsigned int all[] = {
		F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_GROW | F_SEAL_SHRINK, F_SEAL_WRITE,
		F_SEAL_FUTURE_WRITE, F_SEAL_SEAL, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE,
	};
	const off_t page = self->page;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(all); i++) {
		const unsigned int seals = all[i / 2], sealable = i % 2 ? RUST_MEMFILE_SEALABLE : 0;
		const bool writable = !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
		const bool more = sealable && !(seals & F_SEAL_SEAL);
		int fd = file_sealed(self, 2 * page, sealable, seals);
		char *map;

		ASSERT_GE(fd, 0) TH_LOG("seals %#x", seals);
		ASSERT_EQ(fcntl(fd, F_GET_SEALS), seals | (sealable ? 0 : F_SEAL_SEAL));
		ASSERT_EQ(size_of(fd), 2 * page);
		ASSERT_TRUE(has_bytes(fd, 0, 2 * page, 0));

		ASSERT_EQ(pwrite(fd, "x", 1, page), writable ? 1 : -1);
		ASSERT_TRUE(writable || errno == EPERM);
		map = map_pages(self, fd, 2, MAP_SHARED);
		ASSERT_EQ(!!map, writable) TH_LOG("seals %#x", seals);
		if (map)
			munmap(map, 2 * page);
		/* It can be mapped to read; as it is not writable, userfaultfd refuses it. */
		map = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_NE(map, MAP_FAILED);
		ASSERT_EQ(map[page], writable ? 'x' : 0);
		if (!writable) {
			int uffd = uffd_with(0, 0);

			ASSERT_GE(uffd, 0);
			ASSERT_EQ(mprotect(map, page, RW), -1);
			ASSERT_EQ(errno, EACCES);
			ASSERT_EQ(watch(uffd, map, 2 * page, MISSING), -EPERM);
			close(uffd);
		}
		munmap(map, 2 * page);

		ASSERT_EQ(ftruncate(fd, page), seals & F_SEAL_SHRINK ? -1 : 0);
		ASSERT_EQ(ftruncate(fd, 3 * page), seals & F_SEAL_GROW ? -1 : 0);
		ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), more ? 0 : -1);
		ASSERT_TRUE(more || errno == EPERM);
		close(fd);
	}
}

/* A file whose maker gives out a descriptor that cannot write. */
TEST_F(memory, read_only)
{
	const off_t page = self->page;
	int fd = file_sealed(self, page, RUST_MEMFILE_READ_ONLY, 0), rw;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ASSERT_TRUE(has_bytes(fd, 0, page, 0));
	ASSERT_EQ(pwrite(fd, "x", 1, 0), -1);
	ASSERT_EQ(errno, EBADF);
	ASSERT_EQ(map_pages(self, fd, 1, MAP_SHARED), NULL);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ASSERT_EQ(errno, EPERM);
	/* It can be opened again, which only a seal makes useless. */
	rw = reopen(fd, O_RDWR);
	ASSERT_GE(rw, 0);
	ASSERT_EQ(pwrite(rw, "x", 1, 0), 1);
	ASSERT_TRUE(has_bytes(fd, 0, 1, 'x'));
	close(rw);
	close(fd);

	fd = file_sealed(self, page, RUST_MEMFILE_READ_ONLY, F_SEAL_WRITE);
	ASSERT_GE(fd, 0);
	rw = reopen(fd, O_RDWR);
	ASSERT_GE(rw, 0);
	ASSERT_EQ(pwrite(rw, "x", 1, 0), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(map_pages(self, rw, 1, MAP_SHARED), NULL);
	ASSERT_EQ(errno, EPERM);
	close(rw);
	close(fd);
}

TEST_F(memory, seal_size)
{
	const off_t page = self->page;
	int fd = file_with(self, 4 * page, RUST_MEMFILE_SEALABLE);

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 0, 4 * page, 'x'));
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	ASSERT_EQ(ftruncate(fd, 5 * page), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(pwrite(fd, "y", 1, 4 * page), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(fallocate(fd, 0, 4 * page, page), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(pwrite(fd, "y", 1, 4 * page - 1), 1);
	ASSERT_EQ(fallocate(fd, 0, 0, 4 * page), 0);
	ASSERT_EQ(ftruncate(fd, 3 * page), 0);

	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ASSERT_EQ(ftruncate(fd, 2 * page), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(reopen(fd, O_RDWR | O_TRUNC), -EPERM);
	ASSERT_EQ(ftruncate(fd, 3 * page), 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page), 0);
	ASSERT_TRUE(has_bytes(fd, 0, page, 0));
	ASSERT_EQ(size_of(fd), 3 * page);
	close(fd);
}

TEST_F(memory, seal_write)
{
	const size_t page = self->page;
	int fd = file_with(self, 4 * page, RUST_MEMFILE_SEALABLE);
	char *map, *reader;

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 0, 4 * page, 'x'));
	map = map_pages(self, fd, 4, MAP_SHARED);
	ASSERT_NE(map, NULL);
	map[0] = 'y';
	/* Not as long as a mapping can write. */
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ASSERT_EQ(errno, EBUSY);
	ASSERT_EQ(mprotect(map, 4 * page, PROT_READ), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ASSERT_EQ(errno, EBUSY);
	ASSERT_EQ(munmap(map, 4 * page), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);

	ASSERT_EQ(pwrite(fd, "z", 1, 0), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page), -1);
	ASSERT_EQ(errno, EPERM);
	if (!variant->memfd) {
		ASSERT_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, page), -1);
		ASSERT_EQ(errno, EPERM);
	}
	ASSERT_EQ(mmap(NULL, page, RW, MAP_SHARED, fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EPERM);
	reader = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(reader, MAP_FAILED);
	ASSERT_EQ(reader[0], 'y');
	ASSERT_EQ(mprotect(reader, page, RW), -1);
	ASSERT_EQ(errno, EACCES);
	/* A private mapping changes only its own pages. */
	map = map_pages(self, fd, 4, MAP_PRIVATE);
	ASSERT_NE(map, NULL);
	map[0] = 'p';
	ASSERT_EQ(reader[0], 'y');
	ASSERT_TRUE(has_bytes(fd, 0, 1, 'y'));
	ASSERT_TRUE(has_bytes(fd, 1, 4 * page - 1, 'x'));
	/* The size can still change. */
	ASSERT_EQ(ftruncate(fd, page), 0);
	ASSERT_EQ(touch_read(map + page), SIGBUS);
	close(fd);
}

/* Puts a page into a pipe, which has a reference to it then. Returns the other end, or -errno. */
static int put_into_pipe(char *at, size_t len)
{
	struct iovec iov = { at, len };
	int pipes[2], ret;

	if (pipe(pipes))
		return -errno;
	ret = vmsplice(pipes[1], &iov, 1, 0) == (ssize_t)len ? pipes[0] : -errno;
	close(pipes[1]);
	if (ret < 0)
		close(pipes[0]);
	return ret;
}

/* F_SEAL_WRITE waits for pages that a device may still write to, and fails if they stay pinned. */
TEST_F(memory, seal_write_pinned)
{
	const size_t page = self->page;
	char *buf = page_of(self, 0);

	for (int by_pipe = 0; by_pipe < 2; by_pipe++) {
		int fd = file_with(self, 4 * page, RUST_MEMFILE_SEALABLE), holder;
		ssize_t got;
		char *map;

		ASSERT_GE(fd, 0);
		map = map_pages(self, fd, 4, MAP_SHARED);
		ASSERT_NE(map, NULL);
		memset(map + 2 * page, 'x', page);
		holder = by_pipe ? put_into_pipe(map + 2 * page, page) :
			pin_longterm(map + 2 * page, page, true);
		if (holder == -ENOENT)
			SKIP(return, "no CONFIG_GUP_TEST");
		ASSERT_GE(holder, 0);
		/* No mapping can write, but who has the page can. */
		ASSERT_EQ(munmap(map, 4 * page), 0);
		ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
		ASSERT_EQ(errno, EBUSY);
		ASSERT_EQ(fcntl(fd, F_GET_SEALS), 0);

		/* The file is as before, and its page is the one that is pinned. */
		ASSERT_TRUE(put_bytes(fd, 2 * page + 1, page - 1, 'y'));
		got = by_pipe ? read(holder, buf, page) :
			ioctl(holder, PIN_LONGTERM_TEST_READ, &buf);
		ASSERT_EQ(got, by_pipe ? page : 0);
		ASSERT_EQ(buf[0], 'x');
		ASSERT_TRUE(all_bytes(buf + 1, page - 1, 'y'));

		close(holder);
		ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
		ASSERT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE);
		ASSERT_EQ(pwrite(fd, "z", 1, 2 * page), -1);
		ASSERT_EQ(errno, EPERM);
		ASSERT_TRUE(has_bytes(fd, 2 * page + 1, page - 1, 'y'));
		close(fd);
	}
}

/* F_SEAL_FUTURE_WRITE: the mappings that are there go on writing. */
TEST_F(memory, seal_future_write)
{
	const size_t page = self->page;
	int fd = file_with(self, 4 * page, RUST_MEMFILE_SEALABLE);
	char *map, *reader;

	ASSERT_GE(fd, 0);
	map = map_pages(self, fd, 4, MAP_SHARED);
	ASSERT_NE(map, NULL);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	map[0] = 'a';
	map[3 * page] = 'b';
	ASSERT_TRUE(has_bytes(fd, 3 * page, 1, 'b'));
	ASSERT_EQ(pwrite(fd, "z", 1, 0), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(mmap(NULL, page, RW, MAP_SHARED, fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EPERM);
	reader = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(reader, MAP_FAILED);
	ASSERT_EQ(reader[0], 'a');
	ASSERT_EQ(mprotect(reader, page, RW), -1);
	ASSERT_EQ(errno, EACCES);
	map[0] = 'c';
	ASSERT_EQ(reader[0], 'c');
	close(fd);
}

/* F_SEAL_EXEC: who may execute the file can no longer change. */
TEST_F(memory, seal_exec)
{
	int fd = file_with(self, self->page, RUST_MEMFILE_SEALABLE);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(fchmod(fd, 0600), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC), 0);
	ASSERT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC);
	ASSERT_EQ(fchmod(fd, 0700), -1);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(fchmod(fd, 0640), 0);
	close(fd);

	/* If it can be executed, it can no longer be written to. */
	fd = file_with(self, self->page, RUST_MEMFILE_SEALABLE);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(fchmod(fd, 0700), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC), 0);
	ASSERT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW |
		  F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
	ASSERT_EQ(pwrite(fd, "x", 1, 0), -1);
	ASSERT_EQ(errno, EPERM);
	close(fd);
}

/* --- mappings */

/* All shared mappings, read(2) and write(2) show the same bytes. */
TEST_F(memory, shared)
{
	const size_t page = self->page;
	int fd = file_of(self, PAGES);
	char *map, *other;

	ASSERT_GE(fd, 0);
	map = map_pages(self, fd, PAGES, MAP_SHARED);
	other = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED, fd, 2 * page);
	ASSERT_NE(map, NULL);
	ASSERT_NE(other, MAP_FAILED);
	ASSERT_TRUE(all_bytes(map, PAGES * page, 0));
	for (size_t i = 0; i < PAGES; i++)
		map[i * page + i] = 'A' + i;
	for (size_t i = 0; i < PAGES; i++)
		ASSERT_TRUE(has_bytes(fd, i * page + i, 1, 'A' + i));
	ASSERT_EQ(other[3], 0);
	ASSERT_EQ(other[page + 3], 'D');
	ASSERT_TRUE(put_bytes(fd, 3 * page - 2, 4, 'w'));
	ASSERT_TRUE(all_bytes(other + page - 2, 4, 'w'));
	ASSERT_TRUE(all_bytes(map + 3 * page - 2, 4, 'w'));

	/* From the mapping into the file, and back: other pages, and the same. */
	ASSERT_EQ(pwrite(fd, map, page, 8 * page), page);
	ASSERT_EQ(memcmp(map, map + 8 * page, page), 0);
	ASSERT_EQ(pwrite(fd, map + 8 * page, page, 8 * page), page);
	ASSERT_EQ(pread(fd, map + 9 * page, page, 8 * page), page);
	ASSERT_EQ(memcmp(map, map + 9 * page, page), 0);
	/* Pages that are not there yet, in a new mapping. */
	ASSERT_EQ(munmap(map, PAGES * page), 0);
	map = map_pages(self, fd, PAGES, MAP_SHARED);
	ASSERT_NE(map, NULL);
	ASSERT_EQ(pwrite(fd, map, 2 * page, 10 * page), 2 * page);
	ASSERT_EQ(memcmp(map, map + 10 * page, 2 * page), 0);
	close(fd);
}

/* A private mapping shows the file until it is written to. */
TEST_F(memory, private)
{
	const size_t page = self->page;
	char *map, *shared;
	int fd = mapped_file(self, 4, 'f', &shared, &map);

	ASSERT_GE(fd, 0);
	shared[0] = 's';
	ASSERT_EQ(map[0], 's');
	map[0] = 'p';
	map[page] = 'q';
	ASSERT_EQ(shared[0], 's');
	ASSERT_EQ(shared[page], 'f');
	shared[0] = 't';
	ASSERT_EQ(map[0], 'p');
	ASSERT_EQ(map[1], 'f');
	ASSERT_TRUE(has_bytes(fd, page, page, 'f'));
	/* Without its own page again. */
	ASSERT_EQ(madvise(map, page, MADV_DONTNEED), 0);
	ASSERT_EQ(map[0], 't');

	/* Writing to a hole leaves it. */
	ASSERT_EQ(ftruncate(fd, 0), 0);
	ASSERT_EQ(ftruncate(fd, 4 * page), 0);
	map[2 * page] = 'h';
	ASSERT_EQ(map[2 * page + 1], 0);
	ASSERT_TRUE(has_bytes(fd, 0, 4 * page, 0));
	close(fd);
}

TEST_F(memory, fork)
{
	const size_t page = self->page;
	char *shared, *private;
	int fd = mapped_file(self, 4, 0, &shared, &private);
	pid_t pid;

	ASSERT_GE(fd, 0);
	shared[0] = 'a';
	private[page] = 'b';
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (shared[0] != 'a' || private[page] != 'b')
			_exit(1);
		shared[2 * page] = 'c';
		private[page] = 'd';
		private[3 * page] = 'e';
		if (munmap(shared + page, page) || ftruncate(fd, 3 * page))
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(shared[2 * page], 'c');
	ASSERT_EQ(private[page], 'b');
	ASSERT_EQ(touch_read(shared + 3 * page), SIGBUS);
	ASSERT_EQ(touch_read(shared + page), 0);
	close(fd);
}

/* mremap() moves and grows; what it grows beyond the file is SIGBUS, until the file grows, too. */
TEST_F(memory, remap)
{
	const size_t page = self->page;
	int fd = file_of(self, 4);
	char *map, *moved, *again;

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 0, 4 * page, 'x'));
	map = map_pages(self, fd, 2, MAP_SHARED);
	ASSERT_NE(map, NULL);
	map[page] = 'y';
	moved = mremap(map, 2 * page, 8 * page, MREMAP_MAYMOVE);
	ASSERT_NE(moved, MAP_FAILED);
	ASSERT_EQ(moved[page], 'y');
	ASSERT_EQ(moved[3 * page], 'x');
	ASSERT_EQ(touch_read(moved + 4 * page), SIGBUS);
	ASSERT_EQ(ftruncate(fd, 6 * page), 0);
	ASSERT_EQ(touch_read(moved + 4 * page), 0);
	ASSERT_EQ(moved[5 * page], 0);
	ASSERT_EQ(touch_read(moved + 6 * page), SIGBUS);

	/* Twice the same memory, and the old range empty. */
	again = mremap(moved, 0, 4 * page, MREMAP_MAYMOVE);
	ASSERT_NE(again, MAP_FAILED);
	moved[2 * page] = 'z';
	ASSERT_EQ(again[2 * page], 'z');
	again = mremap(moved, 8 * page, 8 * page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	ASSERT_NE(again, MAP_FAILED);
	again[0] = 'w';
	ASSERT_EQ(moved[0], 'w');
	/* A part of it, between others. */
	ASSERT_EQ(mremap(again + 2 * page, page, page, MREMAP_MAYMOVE | MREMAP_FIXED,
			 moved + 4 * page), moved + 4 * page);
	ASSERT_EQ(moved[4 * page], 'z');
	ASSERT_EQ(touch_read(again + 2 * page), SIGSEGV);
	close(fd);
}

/* The memory of a driver's file cannot be executed. */
TEST_F(memory, execute)
{
	int fd = file_of(self, 1);
	void *map;

	ASSERT_GE(fd, 0);
	map = mmap(NULL, self->page, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (variant->memfd) {
		ASSERT_NE(map, MAP_FAILED);
	} else {
		ASSERT_EQ(map, MAP_FAILED);
		ASSERT_EQ(errno, EPERM);
		map = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, fd, 0);
		ASSERT_NE(map, MAP_FAILED);
		ASSERT_EQ(mprotect(map, self->page, PROT_READ | PROT_EXEC), -1);
		ASSERT_EQ(errno, EACCES);
	}
	close(fd);
}

/* Splitting a mapping, and putting it together again. */
TEST_F(memory, parts)
{
	const size_t page = self->page;
	char *map;
	int fd = mapped_file(self, PAGES, 0, &map, NULL);

	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < PAGES; i++)
		map[i * page] = 'a' + i;
	ASSERT_EQ(mprotect(map + 4 * page, 2 * page, PROT_READ), 0);
	ASSERT_EQ(touch_write(map + 4 * page, 'x'), SIGSEGV);
	ASSERT_EQ(touch_write(map + 3 * page, 'd'), 0);
	ASSERT_EQ(munmap(map + 8 * page, page), 0);
	ASSERT_EQ(touch_read(map + 8 * page), SIGSEGV);
	for (size_t i = 0; i < PAGES; i++)
		if (i != 8)
			ASSERT_EQ(map[i * page], (char)('a' + i));
	ASSERT_EQ(mmap(map + 8 * page, page, RW, MAP_SHARED | MAP_FIXED, fd, 8 * page),
		  map + 8 * page);
	ASSERT_EQ(mprotect(map + 4 * page, 2 * page, RW), 0);
	ASSERT_EQ(map[8 * page], 'a' + 8);
	/* Neighbours of the same file merge, as those of memfd do. */
	ASSERT_TRUE(has_vma(map, PAGES * page));
	close(fd);
}

/* What a mapping takes of madvise(). */
TEST_F(memory, advice)
{
	const size_t page = self->page;
	const struct {
		const char *name;
		int advice, error;
		char after;	/* what the first byte is then */
	} cases[] = {
#define CASE(name, error, after)	{ #name, MADV_##name, error, after }
		CASE(NORMAL, 0, 'x'),
		CASE(RANDOM, 0, 'x'),
		CASE(SEQUENTIAL, 0, 'x'),
		CASE(WILLNEED, 0, 'x'),
		CASE(DONTNEED, 0, 'x'),
		CASE(POPULATE_READ, 0, 'x'),
		CASE(POPULATE_WRITE, 0, 'x'),
		CASE(COLD, 0, 'x'),
		CASE(PAGEOUT, 0, 'x'),
		CASE(FREE, EINVAL, 'x'),
		CASE(WIPEONFORK, EINVAL, 'x'),
		CASE(DONTFORK, 0, 'x'),
		CASE(DOFORK, 0, 'x'),
		CASE(DONTDUMP, 0, 'x'),
		CASE(DODUMP, 0, 'x'),
		CASE(HUGEPAGE, 0, 'x'),
		CASE(NOHUGEPAGE, 0, 'x'),
		CASE(MERGEABLE, 0, 'x'),
		CASE(UNMERGEABLE, 0, 'x'),
		CASE(REMOVE, 0, 0),
#undef CASE
	};
	char *map;
	int fd = mapped_file(self, 4, 0, &map, NULL);

	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int error = 0;

		memset(map, 'x', 4 * page);
		if (madvise(map, 2 * page, cases[i].advice))
			error = errno;
		EXPECT_EQ(error, cases[i].error)
			TH_LOG("MADV_%s", cases[i].name);
		EXPECT_EQ(map[0], cases[i].after) TH_LOG("MADV_%s", cases[i].name);
		EXPECT_TRUE(all_bytes(map + 2 * page, 2 * page, 'x'));
	}
	ASSERT_EQ(mlock(map, 4 * page), 0);
	ASSERT_EQ(madvise(map, page, MADV_DONTNEED), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(munlock(map, 4 * page), 0);
	/* Beyond the end, there is nothing to populate. */
	ASSERT_EQ(ftruncate(fd, page), 0);
	ASSERT_EQ(madvise(map, 2 * page, MADV_POPULATE_READ), -1);
	ASSERT_EQ(errno, EFAULT);
	close(fd);
}

/* MAP_POPULATE and MAP_LOCKED; a mapping that is larger than the file. */
TEST_F(memory, populate)
{
	const size_t page = self->page;
	unsigned char core[8];
	int fd = file_of(self, 4);
	char *map;

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 0, 2 * page, 'x'));
	map = map_pages(self, fd, 8, MAP_SHARED | MAP_POPULATE);
	ASSERT_NE(map, NULL);
	for (int i = 0; i < 4; i++)
		EXPECT_TRUE(pagemap_entry(map + i * page) & PM_PRESENT);
	EXPECT_FALSE(pagemap_entry(map + 4 * page) & PM_PRESENT);
	EXPECT_TRUE(pagemap_entry(map) & PM_FILE);
	ASSERT_EQ(mincore(map, 8 * page, core), 0);
	EXPECT_TRUE(core[0] & 1);
	EXPECT_FALSE(core[7] & 1);
	ASSERT_EQ(map[0], 'x');
	ASSERT_EQ(map[3 * page], 0);
	ASSERT_EQ(touch_read(map + 4 * page), SIGBUS);
	ASSERT_EQ(munmap(map, 8 * page), 0);

	map = map_pages(self, fd, 4, MAP_SHARED | MAP_LOCKED);
	ASSERT_NE(map, NULL);
	EXPECT_TRUE(pagemap_entry(map) & PM_PRESENT);
	ASSERT_EQ(map[0], 'x');
	close(fd);
}

/*
 * Pages that nothing has written to go by themselves if the file is evictable, and those of a memfd
 * as well; no others do.
 */
TEST_F(memory, reclaim)
{
	const bool evictable = variant->memfd || variant->flags & RUST_MEMFILE_EVICTABLE;
	const size_t page = self->page;
	char *map;
	int fd = mapped_file(self, 4, 0, &map, NULL);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(map[0], 0);
	map[page] = 'x';
	ASSERT_EQ(map[2 * page], 0);
	ASSERT_TRUE(put_bytes(fd, 3 * page, 1, 'y'));
	ASSERT_EQ(madvise(map, 4 * page, MADV_PAGEOUT), 0);
	ASSERT_EQ(munmap(map, 4 * page), 0);
	ASSERT_EQ(write_text("/proc/sys/vm/drop_caches", "1"), 0);
	EXPECT_EQ(is_hole(fd, 0, page), evictable);
	EXPECT_EQ(is_hole(fd, 2 * page, 3 * page), evictable);
	ASSERT_EQ(lseek(fd, page, SEEK_DATA), page);
	ASSERT_EQ(lseek(fd, 3 * page, SEEK_DATA), 3 * page);
	ASSERT_TRUE(has_bytes(fd, page, 1, 'x'));
	ASSERT_TRUE(has_bytes(fd, 3 * page, 1, 'y'));
	ASSERT_TRUE(has_bytes(fd, 0, page, 0));
	close(fd);
}

/* Another process reads and writes the mapping, and so does a debugger. */
TEST_F(memory, remote)
{
	const size_t page = self->page;
	struct iovec local, remote;
	char buf[8], *map;
	int fd = mapped_file(self, 4, 0, &map, NULL), go[2];
	pid_t pid;

	ASSERT_GE(fd, 0);
	memcpy(map + page - 4, "01234567", 8);
	ASSERT_EQ(pipe(go), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], buf, 1));
	}
	close(go[0]);
	local = (struct iovec){ buf, 8 };
	remote = (struct iovec){ map + page - 4, 8 };
	ASSERT_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), 8);
	ASSERT_EQ(memcmp(buf, "01234567", 8), 0);
	memcpy(buf, "abcdefgh", 8);
	remote.iov_base = map + 3 * page - 4;
	ASSERT_EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), 8);
	ASSERT_EQ(memcmp(map + 3 * page - 4, "abcdefgh", 8), 0);
	close(go[1]);
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(ptrace_peek(map + page - 4), *(long *)(map + page - 4));
	close(fd);
}

/* No device gets the pages by the descriptor: udmabuf knows the files of shmem and hugetlb only. */
TEST_F(memory, udmabuf)
{
	int device = open("/dev/udmabuf", O_RDWR), buffer;
	struct udmabuf_create create = { .size = 2 * self->page };

	if (device < 0)
		SKIP(return, "no /dev/udmabuf (CONFIG_UDMABUF)");
	create.memfd = file_sealed(self, 4 * self->page, 0, F_SEAL_SHRINK);
	ASSERT_GE((int)create.memfd, 0);
	buffer = ioctl(device, UDMABUF_CREATE, &create);
	if (variant->memfd) {
		EXPECT_GE(buffer, 0);
		close(buffer);
	} else {
		EXPECT_EQ(buffer, -1);
		EXPECT_EQ(errno, EBADFD);
	}
	close(create.memfd);
	close(device);
}

/* The kernel reads from the mapping and writes to it, also where pages are not there yet. */
TEST_F(memory, buffers_of_system_calls)
{
	const size_t page = self->page;
	char *map;
	int fd = mapped_file(self, 8, 0, &map, NULL), pipes[2];

	ASSERT_GE(fd, 0);
	ASSERT_EQ(pipe(pipes), 0);
	ASSERT_EQ(write(pipes[1], map, 2 * page), 2 * page);
	ASSERT_EQ(read(pipes[0], map + 3 * page, 2 * page), 2 * page);
	ASSERT_EQ(write(pipes[1], "text", 4), 4);
	ASSERT_EQ(read(pipes[0], map + 7 * page - 2, 4), 4);
	ASSERT_EQ(memcmp(map + 7 * page - 2, "text", 4), 0);
	ASSERT_TRUE(has_bytes(fd, 7 * page, 1, 'x'));
	/* Beyond the end, the page is not there for the kernel either. */
	ASSERT_EQ(ftruncate(fd, page), 0);
	ASSERT_EQ(write(pipes[1], "text", 4), 4);
	ASSERT_EQ(read(pipes[0], map + 2 * page, 4), -1);
	ASSERT_EQ(errno, EFAULT);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

/* --- futexes */

#define WORKERS	4
#define ROUNDS	400

struct contended {
	pthread_mutex_t mutex;
	pthread_cond_t turn;
	sem_t done;
	unsigned long count, next;
};

/* What each process does: each has a mapping of its own, at an address of its own. */
static int contend(const FIXTURE_DATA(memory) *self, int fd, unsigned int worker)
{
	int own = reopen(fd, O_RDWR);
	struct contended *shared;

	if (own < 0 || !mmap(NULL, (worker + 1) * self->page, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		return 1;
	shared = (void *)map_pages(self, own, 2, MAP_SHARED);
	close(own);
	if (!shared)
		return 2;
	for (int i = 0; i < ROUNDS; i++) {
		unsigned long before;

		if (pthread_mutex_lock(&shared->mutex))
			return 3;
		before = shared->count;
		if (i % 16 == 0)
			sched_yield();
		shared->count = before + 1;
		if (pthread_mutex_unlock(&shared->mutex))
			return 4;
	}
	/* In turn, with a condition variable. */
	for (int i = 0; i < ROUNDS / 8; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->next % WORKERS != worker)
			if (pthread_cond_wait(&shared->turn, &shared->mutex))
				return 5;
		shared->next++;
		pthread_cond_broadcast(&shared->turn);
		pthread_mutex_unlock(&shared->mutex);
	}
	return sem_post(&shared->done) ? 6 : 0;
}

/* Mutexes, condition variables and semaphores between processes. */
TEST_F_TIMEOUT(memory, process_shared, 120)
{
	pthread_mutexattr_t mutexattr;
	pthread_condattr_t condattr;
	struct contended *shared;
	int fd = file_of(self, 2);
	pid_t pids[WORKERS];

	ASSERT_GE(fd, 0);
	shared = (void *)map_pages(self, fd, 2, MAP_SHARED);
	ASSERT_NE(shared, NULL);
	pthread_mutexattr_init(&mutexattr);
	pthread_mutexattr_setpshared(&mutexattr, PTHREAD_PROCESS_SHARED);
	ASSERT_EQ(pthread_mutex_init(&shared->mutex, &mutexattr), 0);
	pthread_condattr_init(&condattr);
	pthread_condattr_setpshared(&condattr, PTHREAD_PROCESS_SHARED);
	ASSERT_EQ(pthread_cond_init(&shared->turn, &condattr), 0);
	ASSERT_EQ(sem_init(&shared->done, 1, 0), 0);

	for (unsigned int i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		ASSERT_GE(pids[i], 0);
		if (!pids[i])
			_exit(contend(self, fd, i));
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		ASSERT_EQ(sem_wait(&shared->done), 0);
	for (unsigned int i = 0; i < WORKERS; i++)
		ASSERT_EQ(wait_child(pids[i]), 0);
	ASSERT_EQ(shared->count, WORKERS * ROUNDS);
	ASSERT_EQ(shared->next, WORKERS * (ROUNDS / 8));
	close(fd);
}

/* The owner of a robust mutex dies. */
TEST_F(memory, robust)
{
	int fd = file_of(self, 1);
	pthread_mutexattr_t attr;
	pthread_mutex_t *mutex;
	pid_t pid;

	ASSERT_GE(fd, 0);
	mutex = (void *)map_pages(self, fd, 1, MAP_SHARED);
	ASSERT_NE(mutex, NULL);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	ASSERT_EQ(pthread_mutex_init(mutex, &attr), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(pthread_mutex_lock(mutex));
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
	ASSERT_EQ(pthread_mutex_consistent(mutex), 0);
	ASSERT_EQ(pthread_mutex_unlock(mutex), 0);
	close(fd);
}

/* --- races without userfaultfd */

struct racer {
	int fd;
	char *map;
	size_t page;
	atomic_bool stop;
	atomic_ulong accesses, signals, wrong;
};

/* Each byte is that of its page, or zero. */
static void *race_access(void *arg)
{
	struct racer *racer = arg;

	for (size_t i = 0; !racer->stop; i = (i + 1) % PAGES) {
		char *at = racer->map + i * racer->page, value;

		if (touch(at, false, &value))
			racer->signals++;
		else if (value && value != (char)('a' + i))
			racer->wrong++;
		value = 'a' + i;
		if (touch(at, true, &value))
			racer->signals++;
		racer->accesses++;
	}
	return NULL;
}

static void *race_write(void *arg)
{
	struct racer *racer = arg;

	for (size_t i = 0; !racer->stop; i = (i + 5) % PAGES)
		if (!put_bytes(racer->fd, i * racer->page, 1, 'a' + i))
			racer->wrong++;
	return NULL;
}

/* Faults and write(2) while the file shrinks and grows, and holes are punched into it. */
TEST_F_TIMEOUT(memory, access_while_truncated, 120)
{
	const size_t page = self->page;
	struct racer racer = { .page = page };
	pthread_t threads[4];
	double end;

	racer.fd = mapped_file(self, PAGES, 0, &racer.map, NULL);
	ASSERT_GE(racer.fd, 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, i < 3 ? race_access : race_write,
					 &racer), 0);
	end = seconds() + 3;
	for (unsigned int i = 0; seconds() < end; i++) {
		ASSERT_EQ(ftruncate(racer.fd, (i % 3) * page + i % 100), 0);
		ASSERT_EQ(ftruncate(racer.fd, PAGES * page), 0);
		ASSERT_EQ(fallocate(racer.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    (i % PAGES) * page, 3 * page), 0);
		ASSERT_EQ(madvise(racer.map + (i % 8) * page, page, MADV_DONTNEED), 0);
	}
	racer.stop = true;
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	ASSERT_GT(atomic_load(&racer.accesses), 0);
	ASSERT_EQ(atomic_load(&racer.wrong), 0);
	/* Nothing is left of pages that were cut off. */
	ASSERT_EQ(ftruncate(racer.fd, 0), 0);
	ASSERT_EQ(ftruncate(racer.fd, PAGES * page), 0);
	ASSERT_TRUE(has_bytes(racer.fd, 0, PAGES * page, 0));
	ASSERT_TRUE(all_bytes(racer.map, PAGES * page, 0));
	close(racer.fd);
}

/* --- the driver */

FIXTURE(driver)
{
	size_t page;
	int fd;
};

FIXTURE_SETUP(driver)
{
	int ret = load_module(MODULE, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	catch_signals();
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(driver)
{
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* What the ioctl does not take. */
TEST_F(driver, arguments)
{
	struct rust_memfile_create create = { .size = self->page };

	create.modes = 16;
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_CREATE, &create), -1);
	ASSERT_EQ(errno, EINVAL);
	create.modes = 0;
	create.flags = 64;
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_CREATE, &create), -1);
	ASSERT_EQ(errno, EINVAL);
	create.flags = 0;
	create.seals = 0x1000;
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_CREATE, &create), -1);
	ASSERT_EQ(errno, EINVAL);
	create.seals = 0;
	create.reserved = 1;
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_CREATE, &create), -1);
	ASSERT_EQ(errno, EINVAL);
	create.reserved = 0;
	create.size = -1;
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_CREATE, &create), -1);
	ASSERT_TRUE(errno == EINVAL || errno == EFBIG);
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_CREATE, NULL), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_STATS, NULL), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(ioctl(self->fd, _IO('M', 99)), -1);
	ASSERT_EQ(errno, ENOTTY);
}

/* The driver counts its files. */
TEST_F(driver, statistics)
{
	struct rust_memfile_stats stats;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = rust_memfile(self->fd, 8 * self->page, 0, 0);
		ASSERT_GE(fds[i], 0);
	}
	for (int i = 3; i; i--) {
		ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_STATS, &stats), 0);
		ASSERT_EQ(stats.files, i);
		close(fds[i - 1]);
	}
	ASSERT_EQ(ioctl(self->fd, RUST_MEMFILE_STATS, &stats), 0);
	ASSERT_EQ(stats.files, 0);
}

/* userfaultfd registers only what the driver allows. */
TEST_F(driver, modes)
{
	const uint64_t modes[] = { MISSING, MINOR, WP, RWP };
	const bool rwp = uffd_features() & UFFD_FEATURE_RWP;

	for (unsigned int allowed = 0; allowed < 16; allowed++) {
		int fd = rust_memfile(self->fd, self->page, allowed, 0);
		char *map = mmap(NULL, self->page, RW, MAP_SHARED, fd, 0);
		int uffd = uffd_with(rwp ? UFFD_FEATURE_RWP : 0, 0);

		ASSERT_GE(fd, 0);
		ASSERT_NE(map, MAP_FAILED);
		ASSERT_GE(uffd, 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
			bool may = allowed >> i & 1 && (modes[i] != RWP || rwp);
			int ret = watch(uffd, map, self->page, modes[i]);

			EXPECT_EQ(ret, may ? 0 : -EINVAL) TH_LOG("%#x of %#x", 1 << i, allowed);
			if (!ret)
				EXPECT_EQ(unwatch(uffd, map, self->page), 0);
		}
		/* All of a set, or none. */
		EXPECT_EQ(watch(uffd, map, self->page, MISSING | MINOR),
			  (allowed & 3) == 3 ? 0 : -EINVAL);
		close(uffd);
		munmap(map, self->page);
		close(fd);
	}
}

/* The module stays as long as one of its files is open or mapped, and no longer. */
TEST_F(driver, module_lifetime)
{
	int fd = rust_memfile(self->fd, self->page, ALL_MODES, 0), again, pipes[2];
	char *map;
	pid_t pid;

	ASSERT_GE(fd, 0);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	ASSERT_TRUE(put_bytes(fd, 0, 5, 'x'));
	again = reopen(fd, O_RDWR);
	ASSERT_GE(again, 0);
	close(fd);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	map = mmap(NULL, self->page, RW, MAP_SHARED, again, 0);
	ASSERT_NE(map, MAP_FAILED);
	close(again);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	ASSERT_EQ(map[4], 'x');

	/* A mapping of another process. */
	ASSERT_EQ(pipe(pipes), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		char c;

		close(pipes[1]);
		_exit(read(pipes[0], &c, 1) || map[4] != 'x');
	}
	ASSERT_EQ(munmap(map, self->page), 0);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(wait_child(pid), 0);

	ASSERT_EQ(unload_module(MODULE), 0);
	ASSERT_EQ(load_module(MODULE, ""), 0);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

/*
 * A thread that waits for a page keeps neither the mapping, nor the file, nor the module: all are
 * gone when it wakes up.
 */
TEST_F(driver, unload_with_waiter)
{
	int fd = rust_memfile(self->fd, self->page, ALL_MODES, 0), uffd = uffd_with(0, 0);
	struct toucher toucher;
	char *map;

	ASSERT_GE(fd, 0);
	ASSERT_GE(uffd, 0);
	map = mmap(NULL, self->page, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(watch(uffd, map, self->page, MISSING), 0);
	ASSERT_EQ(start_touch(&toucher, map, false, 0), 0);
	ASSERT_EQ(next_fault(uffd, map), 0);
	close(fd);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	ASSERT_EQ(munmap(map, self->page), 0);
	ASSERT_EQ(unload_module(MODULE), 0);
	ASSERT_FALSE(atomic_load(&toucher.done));
	ASSERT_EQ(wake(uffd, map, self->page), 0);
	ASSERT_EQ(end_touch(&toucher), SIGSEGV);
	close(uffd);

	ASSERT_EQ(load_module(MODULE, ""), 0);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

static long pages_of(const FIXTURE_DATA(driver) *self, int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? -1 : stat.st_blocks * 512 / (long)self->page;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* Nothing makes a large folio in a file without them, also not of clean pages. */
TEST_F(driver, collapse)
{
	const size_t huge = 2UL << 20;
	int fd = rust_memfile(self->fd, 2 * huge, 0, RUST_MEMFILE_EVICTABLE), again;
	char *map;

	ASSERT_GE(fd, 0);
	map = mmap(NULL, 2 * huge, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	/* Zero pages, and one with data that only its entry of the page table knows of. */
	for (size_t at = 0; at < 2 * huge; at += self->page)
		ASSERT_EQ(map[at], 0);
	map[0] = 'x';
	for (size_t at = 0; at < 2 * huge; at += huge) {
		ASSERT_EQ(madvise(map + at, huge, MADV_COLLAPSE), -1);
		ASSERT_EQ(errno, EINVAL);
	}
	again = reopen(fd, O_RDWR);
	ASSERT_GE(again, 0);
	ASSERT_EQ(pages_of(self, again), 2 * huge / self->page);
	ASSERT_EQ(munmap(map, 2 * huge), 0);
	ASSERT_TRUE(has_bytes(again, 0, 1, 'x'));
	close(again);
	close(fd);
}

/* Reclaim takes pages that nothing was written to, of a file that allows it; and no others. */
TEST_F(driver, evictable)
{
	int fds[2];

	for (int i = 0; i < 2; i++) {
		char *map;

		fds[i] = rust_memfile(self->fd, 16 * self->page, 0, i ? RUST_MEMFILE_EVICTABLE : 0);
		ASSERT_GE(fds[i], 0);
		map = mmap(NULL, 16 * self->page, RW, MAP_SHARED, fds[i], 0);
		ASSERT_NE(map, MAP_FAILED);
		/* Faults that read: zero pages. */
		for (int page = 0; page < 14; page++)
			ASSERT_EQ(map[page * self->page], 0);
		map[3 * self->page] = 'x';
		/* Into a page that is there, into a hole, and by a fault at a hole. */
		ASSERT_TRUE(put_bytes(fds[i], 5 * self->page, 1, 'y'));
		ASSERT_TRUE(put_bytes(fds[i], 14 * self->page, 1, 'z'));
		map[15 * self->page] = 'x';
		ASSERT_EQ(munmap(map, 16 * self->page), 0);
		ASSERT_EQ(pages_of(self, fds[i]), 16);
	}
	sync();
	ASSERT_EQ(write_text("/proc/sys/vm/drop_caches", "1"), 0);
	for (int i = 0; i < 2; i++) {
		/* All of the one, and of the other those that were written to. */
		EXPECT_EQ(pages_of(self, fds[i]), i ? 4 : 16);
		EXPECT_TRUE(has_bytes(fds[i], 3 * self->page, 1, 'x'));
		EXPECT_TRUE(has_bytes(fds[i], 5 * self->page, 1, 'y'));
		EXPECT_TRUE(has_bytes(fds[i], 6 * self->page, 8 * self->page, 0));
		EXPECT_TRUE(has_bytes(fds[i], 14 * self->page, 1, 'z'));
		EXPECT_TRUE(has_bytes(fds[i], 15 * self->page, 1, 'x'));
		close(fds[i]);
	}
}

int main(int argc, char **argv)
{
	return run_balanced(test_harness_run, argc, argv);
}
