// SPDX-License-Identifier: GPL-2.0

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/rust_mm.h>

__rust_helper struct folio *rust_helper_folio_alloc(gfp_t gfp, unsigned int order)
{
	return folio_alloc(gfp, order);
}

__rust_helper struct folio *rust_helper___folio_alloc_node(gfp_t gfp, unsigned int order, int nid)
{
	return __folio_alloc_node(gfp, order, nid);
}

__rust_helper struct folio *rust_helper_vma_alloc_folio(gfp_t gfp, int order,
							struct vm_area_struct *vma,
							unsigned long addr)
{
	return vma_alloc_folio(gfp, order, vma, addr);
}

__rust_helper void rust_helper_folio_lock(struct folio *folio)
{
	folio_lock(folio);
}

__rust_helper bool rust_helper_folio_trylock(struct folio *folio)
{
	return folio_trylock(folio);
}

__rust_helper unsigned int rust_helper_folio_order(const struct folio *folio)
{
	return folio_order(folio);
}

__rust_helper int rust_helper_folio_nid(const struct folio *folio)
{
	return folio_nid(folio);
}

__rust_helper int rust_helper_folio_ref_count(const struct folio *folio)
{
	return folio_ref_count(folio);
}

__rust_helper struct page *rust_helper_folio_page(struct folio *folio, size_t n)
{
	return folio_page(folio, n);
}

__rust_helper struct folio *rust_helper_page_folio(struct page *page)
{
	return page_folio(page);
}

__rust_helper int rust_helper_folio_mappable_order(const struct folio *folio)
{
	return folio_mappable_order(folio);
}

__rust_helper bool rust_helper_rust_folio_maybe_dma_pinned(struct folio *folio)
{
	return rust_folio_maybe_dma_pinned(folio);
}

__rust_helper void *rust_helper_rust_mm_shared_address(struct page *page)
{
	return rust_mm_shared_address(page);
}

__rust_helper void rust_helper_put_page(struct page *page)
{
	put_page(page);
}

__rust_helper struct page *rust_helper_alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	return alloc_pages_node(nid, gfp, order);
}

__rust_helper bool rust_helper_node_online(int nid)
{
	return node_online(nid);
}

__rust_helper unsigned long rust_helper_totalram_pages(void)
{
	return totalram_pages();
}
