// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap: a buffer of pages that user space maps through
 * mmap_prepare. The driver must show the same bytes to all users, through read(2),
 * write(2) and mappings. The kernel must return the documented errnos, and keep
 * the VMA layout and the module's lifetime right.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/sendfile.h>

#define MODULE	"rust_mmap"
#define DEVICE	"/dev/rust_mmap"
#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(rust_mmap)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the buffer */
	int fd;
};

FIXTURE_SETUP(rust_mmap)
{
	int ret = load_module(MODULE, "pages=16");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(rust_mmap)
{
	close(self->fd);
	/* The module unloads, since no file and no mapping holds it. */
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* The driver zeroes the buffer, and maps each page at its offset. */
TEST_F(rust_mmap, contents)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	for (size_t i = 0; i < self->size; i++)
		ASSERT_EQ(map[i], 0);
	for (size_t i = 0; i < PAGES; i++)
		map[i * self->page] = 'A' + i;
	for (size_t i = 0; i < PAGES; i++) {
		char c;

		ASSERT_EQ(pread(self->fd, &c, 1, i * self->page), 1);
		ASSERT_EQ(c, (char)('A' + i));
	}
	ASSERT_EQ(munmap(map, self->size), 0);
}

/* read(2) returns what the mapping wrote, and the mapping shows what write(2) wrote. */
TEST_F(rust_mmap, coherence)
{
	static const char text[] = "across the border";
	off_t at = 3 * self->page - 5;
	char back[sizeof(text)];
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0), *other;
	int fd;

	ASSERT_NE(map, MAP_FAILED);
	memcpy(map + at, text, sizeof(text));
	ASSERT_EQ(pread(self->fd, back, sizeof(back), at), sizeof(back));
	ASSERT_EQ(memcmp(back, text, sizeof(text)), 0);

	at = 7 * self->page - 9;
	ASSERT_EQ(pwrite(self->fd, text, sizeof(text), at), sizeof(text));
	ASSERT_EQ(memcmp(map + at, text, sizeof(text)), 0);

	/* A second mapping, of a second open file, shows the same memory. */
	fd = open(DEVICE, O_RDONLY);
	ASSERT_GE(fd, 0);
	other = mmap(NULL, self->page * 2, PROT_READ, MAP_SHARED, fd,
		     6 * self->page);
	ASSERT_NE(other, MAP_FAILED);
	ASSERT_EQ(memcmp(other + self->page - 9, text, sizeof(text)), 0);
	map[6 * self->page] = 'x';
	ASSERT_EQ(other[0], 'x');
	munmap(other, self->page * 2);
	close(fd);
	munmap(map, self->size);
}

/* read(2) into a mapping of the device itself, and write(2) from it. */
TEST_F(rust_mmap, copy_onto_itself)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	strcpy(map, "self");
	ASSERT_EQ(pread(self->fd, map + self->page, self->page, 0), self->page);
	ASSERT_STREQ(map + self->page, "self");
	ASSERT_EQ(pwrite(self->fd, map, self->page, 2 * self->page), self->page);
	ASSERT_STREQ(map + 2 * self->page, "self");
	munmap(map, self->size);
}

/* The file position: lseek(2), and reads and writes at and past the end. */
TEST_F(rust_mmap, read_write_seek)
{
	char buf[64] = "";

	ASSERT_EQ(lseek(self->fd, 0, SEEK_END), self->size);
	ASSERT_EQ(read(self->fd, buf, sizeof(buf)), 0);
	ASSERT_EQ(write(self->fd, buf, sizeof(buf)), -1);
	ASSERT_EQ(errno, ENOSPC);
	ASSERT_EQ(write(self->fd, buf, 0), 0);

	/* The driver cuts a write off at the end. */
	ASSERT_EQ(lseek(self->fd, -10, SEEK_END), self->size - 10);
	ASSERT_EQ(write(self->fd, "0123456789abcdef", 16), 10);
	ASSERT_EQ(lseek(self->fd, 0, SEEK_CUR), self->size);
	ASSERT_EQ(lseek(self->fd, -4, SEEK_CUR), self->size - 4);
	ASSERT_EQ(read(self->fd, buf, sizeof(buf)), 4);
	ASSERT_EQ(memcmp(buf, "6789", 4), 0);
	ASSERT_EQ(lseek(self->fd, 0, SEEK_CUR), self->size);

	ASSERT_EQ(lseek(self->fd, self->size + 1, SEEK_SET), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(lseek(self->fd, -1, SEEK_SET), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(lseek(self->fd, 0, SEEK_HOLE), -1);
	ASSERT_EQ(errno, EINVAL);

	/* A bad buffer. */
	ASSERT_EQ(pread(self->fd, NULL, 8, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(pwrite(self->fd, NULL, 8, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	/* A position at which the sum with the length overflows. */
	ASSERT_EQ(pread(self->fd, buf, sizeof(buf), 0x7ffffffffffff000), 0);
}

/* splice(2) and sendfile(2), by the driver's read_iter and write_iter. */
TEST_F(rust_mmap, splice)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	off_t from = self->page - 3, to = 3 * self->page + 5;
	off_t end = self->size - 4;
	size_t len = self->page + 7;
	char buf[8] = "";
	int p[2], file;

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(pipe(p), 0);
	for (size_t i = 0; i < self->size; i++)
		map[i] = i % 251;

	ASSERT_EQ(splice(self->fd, &from, p[1], NULL, len, 0), len);
	ASSERT_EQ(from, self->page - 3 + len);
	/* The pipe has copies. */
	map[self->page]++;
	ASSERT_EQ(splice(p[0], NULL, self->fd, &to, len, 0), len);
	ASSERT_EQ(to, 3 * self->page + 5 + len);
	map[self->page]--;
	ASSERT_EQ(memcmp(map + 3 * self->page + 5, map + self->page - 3, len),
		  0);

	/* At the end, the driver reads and writes less. */
	ASSERT_EQ(splice(self->fd, &end, p[1], NULL, len, 0), 4);
	ASSERT_EQ(splice(self->fd, &end, p[1], NULL, len, 0), 0);
	ASSERT_EQ(write(p[1], "more", 4), 4);
	end = self->size - 6;
	ASSERT_EQ(splice(p[0], NULL, self->fd, &end, len, 0), 6);
	ASSERT_EQ(splice(p[0], NULL, self->fd, &end, len, 0), -1);
	ASSERT_EQ(errno, ENOSPC);
	ASSERT_EQ(memcmp(map + self->size - 2, "mo", 2), 0);
	/* What the driver has not taken remains in the pipe. */
	ASSERT_EQ(read(p[0], buf, sizeof(buf)), 2);
	ASSERT_STREQ(buf, "re");
	ASSERT_EQ(splice(p[0], NULL, self->fd, NULL, len, SPLICE_F_NONBLOCK),
		  -1);
	ASSERT_EQ(errno, EAGAIN);

	file = memfd_create("rust_mmap", 0);
	ASSERT_GE(file, 0);
	from = 0;
	ASSERT_EQ(sendfile(file, self->fd, &from, 2 * self->size), self->size);
	ASSERT_EQ(lseek(file, 0, SEEK_CUR), self->size);
	memset(map, 0, self->size);
	from = 0;
	ASSERT_EQ(lseek(self->fd, self->page, SEEK_SET), self->page);
	ASSERT_EQ(sendfile(self->fd, file, &from, 2 * self->page),
		  2 * self->page);
	ASSERT_EQ(lseek(self->fd, 0, SEEK_CUR), 3 * self->page);
	ASSERT_EQ(map[0], 0);
	for (size_t i = 0; i < 2 * self->page; i++)
		ASSERT_EQ((unsigned char)map[self->page + i], i % 251);
	close(file);
	close(p[0]);
	close(p[1]);
	munmap(map, self->size);
}

/* The driver has nothing to sync: what is written is in the buffer. */
TEST_F(rust_mmap, fsync)
{
	char *map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	map[0] = 'x';
	ASSERT_EQ(msync(map, self->size, MS_SYNC), 0);
	ASSERT_EQ(fsync(self->fd), 0);
	ASSERT_EQ(fdatasync(self->fd), 0);
	munmap(map, self->size);
}

/* A mapping shows the part of the buffer at its offset. */
TEST_F(rust_mmap, offsets)
{
	for (size_t i = 0; i < PAGES; i++) {
		char c = '0' + i;

		ASSERT_EQ(pwrite(self->fd, &c, 1, i * self->page), 1);
	}
	for (size_t first = 0; first < PAGES; first++) {
		size_t len = (PAGES - first) * self->page;
		char *map = mmap(NULL, len, PROT_READ, MAP_SHARED, self->fd,
				 first * self->page);

		ASSERT_NE(map, MAP_FAILED);
		for (size_t i = 0; first + i < PAGES; i++)
			ASSERT_EQ(map[i * self->page], (char)('0' + first + i));
		ASSERT_EQ(munmap(map, len), 0);
	}
}

/* A range that does not fit gets the errno that vm_map_pages() returns in C. */
TEST_F(rust_mmap, bad_ranges)
{
	struct {
		size_t pages;
		unsigned long long offset;
		int error;
	} cases[] = {
		{ PAGES + 1, 0, ENXIO },
		{ PAGES, self->page, ENXIO },
		{ 1, self->size, ENXIO },
		{ 1, self->size + self->page, ENXIO },
		{ 1, 1ull << 40, ENXIO },
		{ 1, 0x7fffffffffffe000, ENXIO },
		{ 2, 0x7fffffffffffe000, ENXIO },
		{ 1, 0xfffffffffffff000, EOVERFLOW },
		{ 0, 0, EINVAL },
		{ 1, 1, EINVAL },
		{ 1ull << 40, 0, ENOMEM },
	};
	char *whole;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *map = mmap(NULL, cases[i].pages * self->page, RW,
				 MAP_SHARED, self->fd, cases[i].offset);

		ASSERT_EQ(map, MAP_FAILED);
		EXPECT_EQ(errno, cases[i].error)
			TH_LOG("%zu pages at %#llx", cases[i].pages,
			       cases[i].offset);
	}
	/* The kernel rounds the length up to whole pages. */
	whole = mmap(NULL, self->page + 1, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(whole, MAP_FAILED);
	ASSERT_EQ(try_write(whole + 2 * self->page - 1), 0);
	munmap(whole, self->page + 1);
}

/* The driver refuses a private mapping that could differ from the buffer. */
TEST_F(rust_mmap, private)
{
	char *map = mmap(NULL, self->page, RW, MAP_PRIVATE, self->fd, 0);

	ASSERT_EQ(map, MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);

	/* It permits a read-only one, which can never become writable. */
	map = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(pwrite(self->fd, "now", 4, 0), 4);
	ASSERT_STREQ(map, "now");
	ASSERT_EQ(mprotect(map, self->page, RW), -1);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(try_write(map), SIGSEGV);
	munmap(map, self->page);
}

/*
 * With this personality the kernel adds PROT_EXEC to PROT_READ. The driver takes it
 * away, and does not refuse the mapping. On a mount without MS_NOEXEC, since the
 * kernel does not add it otherwise.
 */
TEST_F(rust_mmap, read_implies_exec)
{
	char dir[] = "/tmp/rust_mmap.XXXXXX", path[64];
	unsigned long old = personality(0xffffffff);
	char *map, *zero;
	int fd, zero_fd;

	ASSERT_NE(mkdtemp(dir), NULL);
	ASSERT_EQ(mount("none", dir, "devtmpfs", 0, NULL), 0);
	snprintf(path, sizeof(path), "%s/rust_mmap", dir);
	fd = open(path, O_RDWR);
	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "%s/zero", dir);
	zero_fd = open(path, O_RDONLY);
	ASSERT_GE(zero_fd, 0);

	ASSERT_EQ(personality(old | READ_IMPLIES_EXEC), (int)old);
	zero = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, zero_fd, 0);
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT_EQ(mprotect(map, self->page, PROT_READ | PROT_WRITE), 0);
	personality(old);
	ASSERT_NE(zero, MAP_FAILED);
	ASSERT_NE(map, MAP_FAILED);
	EXPECT_TRUE(has_vm_flag(zero, "ex"));
	EXPECT_FALSE(has_vm_flag(map, "ex"));
	EXPECT_FALSE(has_vm_flag(map, "me"));
	EXPECT_TRUE(has_vm_flag(map, "rd"));
	EXPECT_EQ(try_read(map), 0);
	EXPECT_EQ(mprotect(map, self->page, PROT_READ | PROT_EXEC), -1);
	EXPECT_EQ(errno, EACCES);
	munmap(map, self->page);

	/* The same if user space itself asks for it. */
	map = mmap(NULL, self->page, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	EXPECT_FALSE(has_vm_flag(map, "ex"));
	munmap(map, self->page);
	munmap(zero, self->page);
	close(zero_fd);
	close(fd);
	ASSERT_EQ(umount2(dir, MNT_DETACH), 0);
	ASSERT_EQ(rmdir(dir), 0);
}

/* A mapping permits what the open mode of its file permits. */
TEST_F(rust_mmap, open_modes)
{
	int ro = open(DEVICE, O_RDONLY), wo = open(DEVICE, O_WRONLY);
	char *map;

	ASSERT_GE(ro, 0);
	ASSERT_GE(wo, 0);
	ASSERT_EQ(mmap(NULL, self->page, RW, MAP_SHARED, ro, 0), MAP_FAILED);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(mmap(NULL, self->page, PROT_WRITE, MAP_SHARED, wo, 0),
		  MAP_FAILED);
	ASSERT_EQ(errno, EACCES);

	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(mprotect(map, self->page, RW), -1);
	ASSERT_EQ(errno, EACCES);
	munmap(map, self->page);

	/* A read-only mapping of a writable file can become writable. */
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(try_write(map), SIGSEGV);
	ASSERT_EQ(mprotect(map, self->page, RW), 0);
	ASSERT_EQ(try_write(map), 0);
	munmap(map, self->page);
	close(ro);
	close(wo);
}

/* MAP_FIXED replaces the mapping that was there, of the device or not. */
TEST_F(rust_mmap, fixed_over_old)
{
	size_t len = 4 * self->page;
	char *map, *again;

	map = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(map, MAP_FAILED);
	memset(map, 'a', len);

	/* A device mapping over two pages in the middle. */
	again = mmap(map + self->page, 2 * self->page, RW,
		     MAP_SHARED | MAP_FIXED, self->fd, 5 * self->page);
	ASSERT_EQ(again, map + self->page);
	ASSERT_EQ(map[0], 'a');
	ASSERT_EQ(map[self->page], 0);
	ASSERT_EQ(map[3 * self->page], 'a');
	ASSERT_TRUE(has_vma(again, 2 * self->page));

	/* A device mapping over another, of other pages of the buffer. */
	ASSERT_EQ(pwrite(self->fd, "nine", 5, 9 * self->page), 5);
	again = mmap(map + self->page, self->page, RW, MAP_SHARED | MAP_FIXED,
		     self->fd, 9 * self->page);
	ASSERT_EQ(again, map + self->page);
	ASSERT_STREQ(again, "nine");

	/* The driver refuses the new mapping; the kernel has unmapped the old one by then. */
	again = mmap(map, self->page, RW, MAP_PRIVATE | MAP_FIXED, self->fd, 0);
	ASSERT_EQ(again, MAP_FAILED);
	ASSERT_EQ(try_read(map), SIGSEGV);

	/* Anonymous memory over a device mapping. */
	again = mmap(map, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
	ASSERT_EQ(again, map);
	ASSERT_EQ(map[self->page], 0);
	munmap(map, len);
}

/* Two processes that each map the device show the same memory. */
TEST_F(rust_mmap, two_processes)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	pid_t pid;

	ASSERT_NE(map, MAP_FAILED);
	strcpy(map + self->page, "from the parent");
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int fd;
		char *mine;

		munmap(map, self->size);
		fd = open(DEVICE, O_RDWR);
		mine = mmap(NULL, 2 * self->page, RW, MAP_SHARED, fd,
			    self->page);
		if (mine == MAP_FAILED || strcmp(mine, "from the parent"))
			_exit(1);
		strcpy(mine + self->page, "from the child");
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_STREQ(map + 2 * self->page, "from the child");
	munmap(map, self->size);
}

/* A child inherits the mapping; when it exits, the parent's mapping is still complete. */
TEST_F(rust_mmap, fork)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	pid_t pid;

	ASSERT_NE(map, MAP_FAILED);
	strcpy(map, "parent");
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (strcmp(map, "parent"))
			_exit(1);
		strcpy(map, "child");
		/* Unmaps a part of the child's copy only. */
		if (munmap(map + self->page, self->page))
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_STREQ(map, "child");
	ASSERT_EQ(try_write(map + self->page), 0);
	munmap(map, self->size);
}

/* munmap() in the middle: the rest remains mapped, and shows the same bytes. */
TEST_F(rust_mmap, unmap_in_the_middle)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	for (size_t i = 0; i < PAGES; i++)
		map[i * self->page] = 'a' + i;
	ASSERT_EQ(munmap(map + 4 * self->page, 2 * self->page), 0);
	ASSERT_TRUE(has_vma(map, 4 * self->page));
	ASSERT_TRUE(has_vma(map + 6 * self->page, (PAGES - 6) * self->page));
	ASSERT_EQ(try_read(map + 4 * self->page), SIGSEGV);
	ASSERT_EQ(try_read(map + 5 * self->page), SIGSEGV);
	for (size_t i = 0; i < PAGES; i++)
		if (i != 4 && i != 5)
			ASSERT_EQ(map[i * self->page], (char)('a' + i));

	/* Mapped again, the pages show the same bytes: the buffer owns them. */
	ASSERT_EQ(mmap(map + 4 * self->page, 2 * self->page, RW,
		       MAP_SHARED | MAP_FIXED, self->fd, 4 * self->page),
		  map + 4 * self->page);
	ASSERT_EQ(map[4 * self->page], 'e');
	munmap(map, self->size);
}

/* mprotect() of a part: the kernel splits the VMA, and the pages remain mapped. */
TEST_F(rust_mmap, protect_a_part)
{
	char *map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	map[5 * self->page] = 'p';
	ASSERT_EQ(mprotect(map + 5 * self->page, self->page, PROT_READ), 0);
	ASSERT_EQ(map[5 * self->page], 'p');
	ASSERT_EQ(try_write(map + 5 * self->page), SIGSEGV);
	ASSERT_EQ(try_write(map + 4 * self->page), 0);
	ASSERT_EQ(try_write(map + 6 * self->page), 0);
	munmap(map, self->size);
}

/*
 * Adjacent mappings of adjacent offsets. The kernel must not merge them: their pages
 * are populated at mmap time, so such a VMA cannot be extended.
 */
TEST_F(rust_mmap, adjacent)
{
	size_t half = self->size / 2;
	char *map = mmap(NULL, self->size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(mmap(map, half, RW, MAP_SHARED | MAP_FIXED, self->fd, 0), map);
	ASSERT_EQ(mmap(map + half, half, RW, MAP_SHARED | MAP_FIXED, self->fd,
		       half), map + half);
	ASSERT_TRUE(has_vma(map, half));
	ASSERT_TRUE(has_vma(map + half, half));

	/* Together they show the whole buffer. */
	memset(map, 0x5a, self->size);
	for (size_t i = 0; i < PAGES; i++) {
		char c;

		ASSERT_EQ(pread(self->fd, &c, 1, i * self->page), 1);
		ASSERT_EQ(c, 0x5a);
	}
	ASSERT_EQ(munmap(map + half - self->page, 2 * self->page), 0);
	ASSERT_EQ(munmap(map, self->size), 0);
}

/* mremap() does not grow a mapping, but moves it; the moved one shows the same bytes. */
TEST_F(rust_mmap, remap)
{
	char *map = mmap(NULL, 4 * self->page, RW, MAP_SHARED, self->fd, 0);
	char *moved;

	ASSERT_NE(map, MAP_FAILED);
	strcpy(map + 3 * self->page, "moves");
	moved = mremap(map, 4 * self->page, 8 * self->page, MREMAP_MAYMOVE);
	ASSERT_EQ(moved, MAP_FAILED);
	ASSERT_EQ(errno, EFAULT);

	moved = mmap(NULL, 4 * self->page, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(moved, MAP_FAILED);
	ASSERT_EQ(mremap(map, 4 * self->page, 4 * self->page,
			 MREMAP_MAYMOVE | MREMAP_FIXED, moved), moved);
	ASSERT_STREQ(moved + 3 * self->page, "moves");
	ASSERT_EQ(try_read(map), SIGSEGV);

	ASSERT_EQ(mremap(moved, 4 * self->page, self->page, 0), moved);
	ASSERT_EQ(try_read(moved + self->page), SIGSEGV);
	munmap(moved, self->page);
}

/* Pages that user space drops with MADV_DONTNEED are not faulted in: no fault handler. */
TEST_F(rust_mmap, dontneed)
{
	char *map = mmap(NULL, 2 * self->page, RW, MAP_SHARED, self->fd, 0);
	char c;

	ASSERT_NE(map, MAP_FAILED);
	map[0] = 'd';
	ASSERT_EQ(madvise(map, self->page, MADV_DONTNEED), 0);
	ASSERT_EQ(try_read(map), SIGBUS);
	ASSERT_EQ(try_read(map + self->page), 0);
	ASSERT_EQ(pread(self->fd, &c, 1, 0), 1);
	ASSERT_EQ(c, 'd');
	munmap(map, 2 * self->page);
}

/* The mapping has the flags of a page mapping, and none of a PFN mapping. */
TEST_F(rust_mmap, vm_flags)
{
	char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	EXPECT_TRUE(has_vm_flag(map, "mm"));
	EXPECT_TRUE(has_vm_flag(map, "de"));
	EXPECT_TRUE(has_vm_flag(map, "sh"));
	EXPECT_FALSE(has_vm_flag(map, "pf"));
	EXPECT_FALSE(has_vm_flag(map, "io"));
	munmap(map, self->page);
}

/* The kernel does not unload the module while a file or a mapping exists. */
TEST_F(rust_mmap, module_lifetime)
{
	char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	close(self->fd);
	/* The mapping alone keeps the module loaded. */
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	strcpy(map, "alive");
	ASSERT_STREQ(map, "alive");
	ASSERT_EQ(munmap(map, self->page), 0);

	ASSERT_EQ(unload_module(MODULE), 0);
	ASSERT_EQ(open(DEVICE, O_RDWR), -1);
	ASSERT_EQ(errno, ENOENT);

	/* Loaded again, the module has a new buffer. */
	ASSERT_EQ(load_module(MODULE, "pages=4"), 0);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(lseek(self->fd, 0, SEEK_END), 4 * self->page);
	map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(map[0], 0);
	munmap(map, self->page);
}

/* The module refuses to load with a bad size. */
TEST_F(rust_mmap, parameter)
{
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
	EXPECT_EQ(load_module(MODULE, "pages=0"), -EINVAL);
	EXPECT_EQ(load_module(MODULE, "pages=-1"), -EINVAL);
	EXPECT_EQ(load_module(MODULE, "pages=many"), -EINVAL);
	EXPECT_EQ(load_module(MODULE, "pages=4294967295"), -ENOMEM);
	ASSERT_EQ(load_module(MODULE, "pages=1"), 0);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

/* The driver counts opens, reads, writes and mmaps. */
TEST_F(rust_mmap, counters)
{
	char c = 0, *map;

	ASSERT_EQ(fdinfo(self->fd, "size"), self->size);
	ASSERT_EQ(fdinfo(self->fd, "opens"), 1);
	ASSERT_EQ(fdinfo(self->fd, "mmaps"), 0);
	ASSERT_EQ(pwrite(self->fd, &c, 1, 0), 1);
	ASSERT_EQ(pread(self->fd, &c, 1, 0), 1);
	ASSERT_EQ(pread(self->fd, &c, 1, 0), 1);
	map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(fdinfo(self->fd, "writes"), 1);
	ASSERT_EQ(fdinfo(self->fd, "reads"), 2);
	ASSERT_EQ(fdinfo(self->fd, "mmaps"), 1);
	munmap(map, self->page);
}

TEST_HARNESS_MAIN
