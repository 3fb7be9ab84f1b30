// SPDX-License-Identifier: GPL-2.0

/* Words of memory that user space may write at the same time. */

#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/rust_mm.h>
#include <linux/string.h>
#include <linux/types.h>

/**
 * word_size() - Return the size of the largest word at an address
 * @word: The address.
 * @len: Number of bytes from there on that are to be copied, not zero.
 *
 * Return: The size of a naturally aligned word: 1, 2, 4, or 8 on a 64-bit machine.
 */
static __always_inline size_t word_size(const void *word, size_t len)
{
	size_t size = sizeof(unsigned long);

	while (((unsigned long)word & (size - 1)) || size > len)
		size /= 2;
	return size;
}

/**
 * rust_mm_load_words() - Read memory that other threads may write meanwhile, word by word
 * @to: Destination, which only the caller accesses.
 * @from: Source.
 * @len: Number of bytes.
 *
 * Each byte of the source is read exactly once. A word of at most the size of an unsigned long that
 * is naturally aligned in the source is read by a single access, as part of the same or a larger
 * word. Unlike with memcpy(), the caller therefore never gets a word that was not written.
 *
 * Nothing orders the accesses to different words. This is not a helper, which
 * CONFIG_RUST_INLINE_HELPERS would inline into Rust.
 *
 * Context: Any context. Does not sleep.
 */
void rust_mm_load_words(void *to, const void *from, size_t len)
{
	while (len) {
		size_t size = word_size(from, len);

		if (size == sizeof(unsigned long)) {
			unsigned long word = READ_ONCE(*(const unsigned long *)from);

			memcpy(to, &word, sizeof(word));
		} else if (size == sizeof(u32)) {
			u32 word = READ_ONCE(*(const u32 *)from);

			memcpy(to, &word, sizeof(word));
		} else if (size == sizeof(u16)) {
			u16 word = READ_ONCE(*(const u16 *)from);

			memcpy(to, &word, sizeof(word));
		} else {
			*(u8 *)to = READ_ONCE(*(const u8 *)from);
		}
		from += size;
		to += size;
		len -= size;
	}
}
EXPORT_SYMBOL_GPL(rust_mm_load_words);

/**
 * rust_mm_store_words() - Write memory that other threads may access meanwhile, word by word
 * @to: Destination.
 * @from: Source, which only the caller accesses.
 * @len: Number of bytes.
 *
 * The counterpart of rust_mm_load_words(): a naturally aligned word of the destination is written
 * by a single access, and each byte exactly once.
 *
 * Context: Any context. Does not sleep.
 */
void rust_mm_store_words(void *to, const void *from, size_t len)
{
	while (len) {
		size_t size = word_size(to, len);

		if (size == sizeof(unsigned long)) {
			unsigned long word;

			memcpy(&word, from, sizeof(word));
			WRITE_ONCE(*(unsigned long *)to, word);
		} else if (size == sizeof(u32)) {
			u32 word;

			memcpy(&word, from, sizeof(word));
			WRITE_ONCE(*(u32 *)to, word);
		} else if (size == sizeof(u16)) {
			u16 word;

			memcpy(&word, from, sizeof(word));
			WRITE_ONCE(*(u16 *)to, word);
		} else {
			WRITE_ONCE(*(u8 *)to, *(const u8 *)from);
		}
		from += size;
		to += size;
		len -= size;
	}
}
EXPORT_SYMBOL_GPL(rust_mm_store_words);

/**
 * rust_mm_load_words_from_page() - rust_mm_load_words() from a page
 * @to: Destination, which only the caller accesses.
 * @page: The page.
 * @offset: Offset of the first byte in the page.
 * @len: Number of bytes, all of them in the page.
 *
 * Context: The caller holds a reference to the page. Does not sleep.
 */
void rust_mm_load_words_from_page(void *to, struct page *page, size_t offset,
				  size_t len)
{
	const char *from = kmap_local_page(page);

	rust_mm_load_words(to, from + offset, len);
	kunmap_local(from);
}
EXPORT_SYMBOL_GPL(rust_mm_load_words_from_page);

/**
 * rust_mm_store_words_to_page() - rust_mm_store_words() to a page
 * @page: The page.
 * @offset: Offset of the first byte in the page.
 * @from: Source, which only the caller accesses.
 * @len: Number of bytes, all of them in the page.
 *
 * Context: The caller holds a reference to the page. Does not sleep.
 */
void rust_mm_store_words_to_page(struct page *page, size_t offset,
				 const void *from, size_t len)
{
	char *to = kmap_local_page(page);

	rust_mm_store_words(to + offset, from, len);
	flush_dcache_page(page);
	kunmap_local(to);
}
EXPORT_SYMBOL_GPL(rust_mm_store_words_to_page);
