// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rust_filemap.h>

__rust_helper bool
rust_helper_rust_filemap_contains(const struct address_space *mapping,
				  const struct folio *folio)
{
	return rust_filemap_contains(mapping, folio);
}

__rust_helper pgoff_t rust_helper_folio_index(struct folio *folio)
{
	return folio->index;
}

__rust_helper bool rust_helper_folio_test_dirty(struct folio *folio)
{
	return folio_test_dirty(folio);
}

__rust_helper bool rust_helper_folio_mapped(const struct folio *folio)
{
	return folio_mapped(folio);
}

__rust_helper bool rust_helper_folio_contain_hwpoisoned_page(struct folio *folio)
{
	return folio_contain_hwpoisoned_page(folio);
}

__rust_helper loff_t rust_helper_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

__rust_helper unsigned int
rust_helper_mapping_min_folio_order(const struct address_space *mapping)
{
	return mapping_min_folio_order(mapping);
}

__rust_helper bool rust_helper_folio_test_uptodate(const struct folio *folio)
{
	return folio_test_uptodate(folio);
}
