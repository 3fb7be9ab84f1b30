// SPDX-License-Identifier: GPL-2.0

/* Character devices for Rust. */

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/device/class.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/rust_file.h>
#include <linux/slab.h>

/**
 * struct rust_cdev - A character device with the data of its driver
 * @cdev: The character device; an open file has a reference to it.
 * @dev: The device in sysfs, for which devtmpfs makes a node. @cdev has a reference to it.
 * @lock: Held during the open of a file. Protects @data.
 * @data: The data of the driver; NULL if the driver has deleted the device.
 *
 * cdev_del() does not wait for open files. Worse, an inode that was opened before finds the
 * device through its i_cdev, until the last of these files is closed. So the device is freed
 * when nothing has a reference to it, and an open checks @data.
 */
struct rust_cdev {
	struct cdev cdev;
	struct device dev;
	/* Serialises opens, and protects @data. */
	struct mutex lock;
	void *data;
};

static const struct class rust_cdev_class = {
	.name = "rust_cdev",
};

static int __init rust_cdev_init(void)
{
	return class_register(&rust_cdev_class);
}
subsys_initcall(rust_cdev_init);

static void rust_cdev_release(struct device *dev)
{
	kfree(container_of(dev, struct rust_cdev, dev));
}

/**
 * rust_cdev_add() - Make a character device
 * @devt: Number of the device, which the caller has allocated.
 * @name: Name of the device in sysfs and of its node in /dev.
 * @fops: Operations of its files. Their open uses rust_cdev_open_begin().
 * @data: Data of the driver, not NULL.
 *
 * User space can open the device before this returns, also if it fails.
 *
 * Context: Process context. May sleep.
 * Return: The device, or an error pointer.
 */
struct rust_cdev *rust_cdev_add(dev_t devt, const char *name,
				const struct file_operations *fops, void *data)
{
	struct rust_cdev *rdev = kzalloc(sizeof(*rdev), GFP_KERNEL);
	int ret;

	if (!rdev)
		return ERR_PTR(-ENOMEM);
	mutex_init(&rdev->lock);
	rdev->data = data;
	device_initialize(&rdev->dev);
	rdev->dev.class = &rust_cdev_class;
	rdev->dev.release = rust_cdev_release;
	rdev->dev.devt = devt;
	cdev_init(&rdev->cdev, fops);
	rdev->cdev.owner = fops->owner;
	ret = dev_set_name(&rdev->dev, "%s", name);
	if (!ret)
		ret = cdev_device_add(&rdev->cdev, &rdev->dev);
	if (!ret)
		return rdev;

	/* A file may be open: cdev_device_add() can fail after it has added the device. */
	mutex_lock(&rdev->lock);
	rdev->data = NULL;
	mutex_unlock(&rdev->lock);
	put_device(&rdev->dev);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(rust_cdev_add);

/**
 * rust_cdev_del() - Delete a character device
 * @rdev: The device.
 *
 * Its files remain open. The caller must not use @rdev after this.
 *
 * Context: Process context. Sleeps until no open of a file uses the data of the driver. No
 * open does so after this.
 */
void rust_cdev_del(struct rust_cdev *rdev)
{
	cdev_device_del(&rdev->cdev, &rdev->dev);
	mutex_lock(&rdev->lock);
	rdev->data = NULL;
	mutex_unlock(&rdev->lock);
	put_device(&rdev->dev);
}
EXPORT_SYMBOL_GPL(rust_cdev_del);

/**
 * rust_cdev_open_begin() - Find the data of the driver in the open of a file
 * @inode: The inode that is opened.
 *
 * Context: ->open of a file whose device rust_cdev_add() has made. May sleep.
 * Return: The data, which is valid until rust_cdev_open_end(); NULL if the driver has deleted
 * the device: there is nothing to end then.
 */
void *rust_cdev_open_begin(struct inode *inode)
{
	struct rust_cdev *rdev = container_of(inode->i_cdev, struct rust_cdev, cdev);
	void *data;

	mutex_lock(&rdev->lock);
	data = rdev->data;
	if (!data)
		mutex_unlock(&rdev->lock);
	return data;
}
EXPORT_SYMBOL_GPL(rust_cdev_open_begin);

/**
 * rust_cdev_open_end() - End the use of the data of the driver
 * @inode: The inode that is opened.
 *
 * Context: After rust_cdev_open_begin() has returned data.
 */
void rust_cdev_open_end(struct inode *inode)
{
	mutex_unlock(&container_of(inode->i_cdev, struct rust_cdev, cdev)->lock);
}
EXPORT_SYMBOL_GPL(rust_cdev_open_end);
