// SPDX-License-Identifier: GPL-2.0

/* Claims of the memory of a device, for Rust. */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/overflow.h>
#include <linux/rust_resource.h>
#include <linux/slab.h>
#include <linux/string.h>

/*
 * @place is in the resource of the device, and in it @busy, which others that request
 * the region conflict with. __request_region() alone takes a place in the innermost
 * resource that has room. That may be one of another device, which has the same
 * addresses, and takes the claim along when it is removed.
 */
struct rust_mem_claim {
	struct resource place;
	struct resource *busy;
	/* The caller may be a module that is unloaded before the device's driver is. */
	char name[];
};

/**
 * rust_mem_claim() - Claim all of a resource of a device
 * @of: The resource: a memory BAR, for example.
 * @name: Name of the owner, which is copied.
 *
 * Context: May sleep.
 * Return: The claim, which rust_mem_release() ends; or an error pointer.
 */
struct rust_mem_claim *rust_mem_claim(struct resource *of, const char *name)
{
	struct rust_mem_claim *claim;
	size_t len = strlen(name) + 1;
	int ret;

	claim = kzalloc(struct_size(claim, name, len), GFP_KERNEL);
	if (!claim)
		return ERR_PTR(-ENOMEM);
	memcpy(claim->name, name, len);
	claim->place.name = claim->name;
	claim->place.start = of->start;
	claim->place.end = of->end;
	claim->place.flags = resource_type(of) | resource_ext_type(of);
	claim->place.desc = of->desc;
	/* Resources from the device tree are in no resource tree here. */
	ret = request_resource(of->parent ? of : &iomem_resource, &claim->place);
	if (ret)
		goto free;

	/* From the root on, so that mappings of /dev/mem are revoked, too. */
	claim->busy = __request_region(&iomem_resource, of->start,
				       resource_size(of), claim->name, 0);
	if (claim->busy)
		return claim;
	ret = -ENOMEM;
	remove_resource(&claim->place);
free:
	kfree(claim);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(rust_mem_claim);

/**
 * rust_mem_release() - End a claim
 * @claim: The claim, which is freed.
 *
 * pci_resize_resource() moves BARs, and takes out what is claimed of them. What others
 * have put below a claim stays, unlike with release_resource().
 *
 * Context: May sleep.
 */
void rust_mem_release(struct rust_mem_claim *claim)
{
	if (claim->busy->parent)
		remove_resource(claim->busy);
	if (claim->place.parent)
		remove_resource(&claim->place);
	kfree(claim->busy);
	kfree(claim);
}
EXPORT_SYMBOL_GPL(rust_mem_release);
