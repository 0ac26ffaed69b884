/* SPDX-License-Identifier: MIT */
/* From files on a disk to the VM records of the handoff: what is right arrives, what is wrong is said, all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boot/print.h"
#include "boot/vms.h"
#include "efi_fake.h"
#include "hv/lib/util.h"

#define DIR	"\\trapeze\\"
#define TEN	"abcdefghij"
#define LONG_NAME TEN TEN TEN TEN "abcdefgh"	/* 48 characters */

static struct firmware fw;
static struct volume volume;
static struct vms vms;
static struct handoff handoff;

static int set_up(void **unused)
{
	(void)unused;
	efi_fake_init(&fw);
	efi_fake_volume(&volume, &fw);
	print_leave_screen();		/* of the test before this one */
	print_start(&fw);
	memset(&handoff, 0, sizeof(handoff));
	efi_fake_text(DIR "kernel", "KERNEL");
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	efi_fake_free();
	return 0;
}

static void read_all(void) { vms_read(&fw, &volume, 4, 1 << 0 | 1 << 3 | 1 << 6, &vms); }
static void load_all(void) { vms_load(&fw, &vms, &handoff); }

static bool says(const char *text) { return strstr(efi_fake.serial, text); }

/* ---- What is right ---- */

static void test_whole(void **unused)
{
	static uint8_t disk[1024];

	(void)unused;
	memset(disk, 0xdd, sizeof(disk));
	efi_fake_text(DIR "trapeze.conf", "log_level = debug\nattach = b\nrun_id = 123\nwhen_done = halt\novercommit = yes\n");
	efi_fake_text(DIR "vms\\b.conf", "kernel = kernel\ninitrd = images/initrd\ndisk0 = images/disk\n"
		      "disk1 = images/own,mode=rw\nmodule0 = kernel\nmemory = 64M\novercommit = no\n");
	efi_fake_text(DIR "vms\\a.conf", "kernel = Kernel\n");		/* FAT does not tell case */
	efi_fake_text(DIR "vms\\later.conf", "kernel = kernel\nautostart = no\n");
	efi_fake_text(DIR "vms\\notes.txt", "none of ours");
	efi_fake_add(DIR "images\\initrd", disk, 1017);	/* with the others 3071 bytes */
	efi_fake_add(DIR "images\\disk", disk, sizeof(disk));
	efi_fake_add(DIR "images\\own", disk, sizeof(disk));
	read_all();
	load_all();

	assert_int_equal(handoff.vm_count, 2);
	assert_string_equal(handoff.vms[0].name, "a");		/* in the order of their names */
	assert_string_equal(handoff.vms[1].name, "b");
	assert_string_equal(handoff.host.attach, "b");
	assert_string_equal(handoff.host.run_id, "123");
	assert_int_equal(handoff.host.log_level, 3);
	assert_true(handoff.host.stay_on && fw.stay_on);
	assert_string_equal(fw.run_id, "123");
	assert_true(handoff.vms[0].overcommit);			/* as trapeze.conf says */
	assert_false(handoff.vms[1].overcommit);

	assert_int_equal(handoff.file_count, 4);		/* the kernel once */
	assert_int_equal(handoff.vms[0].kernel, handoff.vms[1].kernel);
	assert_int_equal(handoff.vms[1].modules[0], handoff.vms[1].kernel);
	assert_int_equal(handoff.vms[1].module_count, 1);
	assert_int_equal(handoff.vms[0].initrd, HANDOFF_NO_FILE);
	assert_int_equal(handoff.vms[0].disk_count, 0);
	assert_int_equal(handoff.vms[1].disk_count, 2);
	assert_int_equal(handoff.vms[1].disks[0].mode, DISK_COW);
	assert_int_equal(handoff.vms[1].disks[1].mode, DISK_WRITE);
	assert_int_equal(handoff.vms[1].memory, 64U << 20);
	assert_true(says("ignoring vms/notes.txt"));
	assert_true(says("skipping VM later"));
	assert_true(says("boot: 2 VM(s), 4 file(s), 2 KiB"));
	assert_false(says("error"));
}

/* A file is there whole, with zeros to the end of its page, also when the disk gives it in small pieces. */
static void test_contents(void **unused)
{
	static uint8_t big[5 << 20];
	const struct handoff_file *file = &handoff.files[1];
	const uint8_t *bytes;

	(void)unused;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 >> 3);
	efi_fake.read_max = 1000001;
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\ninitrd = big\n");
	efi_fake_add(DIR "big", big, sizeof(big) - 100);
	read_all();
	load_all();
	bytes = (const uint8_t *)file->start;
	assert_int_equal(file->length, sizeof(big) - 100);
	assert_int_equal(file->start % FIRMWARE_PAGE, 0);
	assert_memory_equal(bytes, big, file->length);
	for (size_t i = file->length; i < sizeof(big); i++)
		assert_int_equal(bytes[i], 0);
	assert_true(says("boot: big 19%"));		/* the fake clock has always struck */
}

static void test_defaults(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\n");
	read_all();
	load_all();
	assert_true(says("no trapeze.conf"));
	assert_int_equal(handoff.vm_count, 1);
	assert_int_equal(handoff.vms[0].memory, 128U << 20);
	assert_int_equal(handoff.vms[0].vcpus, 1);
	assert_string_equal(handoff.host.attach, "");
	assert_false(handoff.vms[0].overcommit || handoff.host.stay_on);
}

static void test_empty_host_file(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "trapeze.conf", "");
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\nnuma = any\n");
	efi_fake_text(DIR "vms\\b.conf", "kernel = kernel\nnuma = 3,6\n");
	read_all();
	assert_int_equal(vms.count, 2);
	assert_false(says("no trapeze.conf"));
}

static void test_attach_first(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "trapeze.conf", "attach = a\n");
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\n");
	efi_fake_text(DIR "vms\\b.conf", "kernel = kernel\n");
	read_all();
	load_all();
	assert_string_equal(handoff.host.attach, "a");
}

static void test_attach_none(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "trapeze.conf", "attach = none\n");
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\n");
	read_all();
	assert_int_equal(vms.count, 1);
}

/* ---- What is wrong ---- */

static void test_mistakes(void **unused)
{
	static const struct { const char *host, *name, *vm, *want; } rows[] = {
		{ "", "a.conf", "kernel = nowhere\n", "vms/a.conf:1: kernel = \"nowhere\": no such file" },
		{ "", "a.conf", "\nkernel = vms\n", "vms/a.conf:2: kernel = \"vms\": this is a directory" },
		{ "", "a.conf", "kernel = empty\n", "the file is empty" },
		{ "", "a.conf", "kernel = broken\n", "the firmware cannot read it" },
		{ "", "a.conf", "kernel = kernel\ninitrd = nowhere\n", "vms/a.conf:2: initrd = \"nowhere\"" },
		{ "", "a.conf", "kernel = kernel\ndisk0 = kernel\n", "vms/a.conf:2: disk0 = \"kernel\": its 6 bytes are not whole" },
		{ "", "a.conf", "kernel = kernel\nmodule0 = nowhere\n", "module0 = \"nowhere\"" },
		{ "", "a.conf", "kernel = kernel\ndisk0 = whole\ndisk1 = nowhere\n", "disk1 = \"nowhere\"" },
		{ "", "a.conf", "kernel = kernel\nmodule0 = kernel\nmodule1 = nowhere\n", "module1 = \"nowhere\"" },
		{ "", "a.conf", "", "vms/a.conf:1: the file is empty" },
		{ "", LONG_NAME ".conf", "kernel = kernel\n", "vms:1: \"" LONG_NAME ".conf\" is no good name for a VM: use at most 47 " },
		{ "", "none.conf", "kernel = kernel\n", "\"none.conf\" is no good name" },
		{ "", "a b.conf", "kernel = kernel\n", "\"a b.conf\" is no good name" },
		{ "", "\xc3\xa4.conf", "kernel = kernel\n", "\"?" },		/* not ASCII: shown, and refused */
		{ "", "a.txt", "kernel = kernel\n", "vms:1: no VM" },
		{ "", "a.conf", "kernel = kernel\nautostart = no\n", "no VM starts" },
		{ "attach = abd\n", "abc.conf", "kernel = kernel\n", "nearest is \"abc\"" },
		{ "", "a.conf", "kernel = kernel\ncpuset = 0,3-5\n", "vms/a.conf:2: cpuset names processor 4, and the last one of this machine is 3" },
		{ "", "a.conf", "kernel = kernel\ncpuset = 5,99\n", "TZ-E035 1 error(s)" },	/* one fault, not two */
		{ "", "a.conf", "kernel = kernel\ncpuset = 0,3-5\n", "TZ-E035 1 error(s)" },
		{ "", "a.conf", "kernel = kernel\nnuma = 0,2-3\n", "vms/a.conf:2: numa names node 2, and this machine has no memory there; nearest is 3" },
		{ "", "a.conf", "kernel = kernel\nnuma = 1\n", "numa names node 1, and this machine has no memory there; nearest is 0" },
		{ "", "a.conf", "kernel = kernel\nnuma = 63\n", "numa names node 63, and this machine has no memory there; nearest is 6" },
		{ "", "a.conf", "kernel = kernel\nnuma = 4,7\n", "TZ-E035 1 error(s)" },
		{ "", "a.conf", "kernel = kernel\ndisk0 = half\n", "not whole sectors of 512" },
		{ "log_level = loud\n", "a.conf", "kernel = kernel\n", "trapeze.conf:1" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		static const uint8_t sector[512];
		char path[300];

		efi_fake_free();
		set_up(NULL);
		efi_fake_add(DIR "whole", sector, sizeof(sector));
		snprintf(path, sizeof(path), DIR "vms\\%s", rows[i].name);
		efi_fake_text(DIR "trapeze.conf", rows[i].host);
		efi_fake_text(path, rows[i].vm);
		efi_fake_text(DIR "empty", "");
		efi_fake_add(DIR "half", sector, sizeof(sector) / 2);
		efi_fake_text(DIR "broken", "broken");
		efi_fake.files[efi_fake.file_count - 1].readable = 0;
		assert_true(efi_fake_ends(read_all));
		assert_true(says(rows[i].want));
		assert_false(says("is no good name") && says("no VM: describe"));	/* it is described, under that name */
		assert_true(says("error(s) in \\trapeze\\*.conf, nothing was started"));
		assert_true(says("trapeze: END status=1 configuration error\r\n"));
	}
}

/* All of them in one boot: who has to start a machine again for each mistake loses patience. */
static void test_all_at_once(void **unused)
{
	static const uint8_t sector[512];

	(void)unused;
	efi_fake_text(DIR "trapeze.conf", "log_level = loud\n");
	efi_fake_text(DIR "vms\\a.conf", "kernel = nowhere\ndisk0 = kernel\n");
	efi_fake_text(DIR "vms\\b.conf", "kernel = nowhere\n");
	efi_fake_text(DIR "vms\\c.conf", "kernel = kernel\ndisk0 = disk,mode=rw\ndisk1 = disk\n");
	efi_fake_text(DIR "vms\\d.conf", "kernel = kernel\ndisk0 = disk\n");
	efi_fake_add(DIR "disk", sector, sizeof(sector));
	assert_true(efi_fake_ends(read_all));
	assert_true(says("vms/c.conf:3: \"disk\" is used twice"));
	assert_true(says("vms/d.conf:2: \"disk\" is used twice"));
	assert_true(says("TZ-E035 6 error(s)"));
}

static void test_no_directory(void **unused)
{
	(void)unused;
	assert_true(efi_fake_ends(read_all));
	assert_true(says("vms:1: no VM: describe one"));
}

static void test_unreadable_host_file(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\n");
	efi_fake_text(DIR "trapeze.conf", "attach = a\n");
	efi_fake.files[efi_fake.file_count - 1].readable = 3;
	assert_true(efi_fake_ends(read_all));
	assert_true(says("trapeze.conf:1: the firmware cannot read it"));
}

/* ---- Limits ---- */

static void add_vms(unsigned count, const char *text)
{
	for (unsigned i = 0; i < count; i++) {
		char path[64];

		snprintf(path, sizeof(path), DIR "vms\\vm%02u.conf", i);
		efi_fake_text(path, text);
	}
}

static void test_as_many_as_there_may_be(void **unused)
{
	(void)unused;
	add_vms(HANDOFF_VMS_MAX, "kernel = kernel\n");
	read_all();
	load_all();
	assert_int_equal(handoff.vm_count, 32);
	assert_string_equal(handoff.vms[31].name, "vm31");
}

static void test_too_many(void **unused)
{
	(void)unused;
	add_vms(HANDOFF_VMS_MAX + 1, "kernel = kernel\n");
	assert_true(efi_fake_ends(read_all));
	assert_true(says("too many VMs at \"vm32.conf\": at most 32"));
}

/* 65 files: thirteen VMs of five each. */
static void test_too_many_files(void **unused)
{
	static char names[13 * 4][32], text[13][160];
	static uint8_t sector[512];

	(void)unused;
	for (unsigned i = 0; i < 13; i++) {
		char path[64];
		int len = snprintf(text[i], sizeof(text[i]), "kernel = k%u\n", i);

		for (unsigned disk = 0; disk < 4; disk++) {
			snprintf(names[i * 4 + disk], sizeof(names[0]), DIR "d%u-%u", i, disk);
			efi_fake_add(names[i * 4 + disk], sector, sizeof(sector));
			len += snprintf(text[i] + len, sizeof(text[i]) - (size_t)len, "disk%u = d%u-%u\n", disk, i, disk);
		}
		snprintf(path, sizeof(path), DIR "k%u", i);
		efi_fake_text(path, "KERNEL");
		snprintf(path, sizeof(path), DIR "vms\\vm%02u.conf", i);
		efi_fake_text(path, text[i]);
	}
	assert_true(efi_fake_ends(read_all));
	assert_true(says("vms/vm12.conf:5: \"d12-3\" is one file too many: at most 64 in all"));
	assert_true(says("TZ-E035 1 error(s)"));
}

/* A disk that is written to belongs to one VM, whoever names it first. */
static void test_shared_and_written(void **unused)
{
	static const struct { const char *a, *b; bool is_refused; } rows[] = {
		{ "disk", "disk", false },
		{ "disk,mode=ro", "DISK,mode=ro", false },
		{ "disk,mode=rw", "disk", true },
		{ "disk", "Disk,mode=rw", true },
		{ "disk,mode=rw", "disk,mode=rw", true },
	};
	static uint8_t disk[512];

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		char a[64], b[64];

		efi_fake_free();
		set_up(NULL);
		memset(&handoff, 0, sizeof(handoff));
		snprintf(a, sizeof(a), "kernel = kernel\ndisk0 = %s\n", rows[i].a);
		snprintf(b, sizeof(b), "kernel = kernel\ndisk0 = %s\n", rows[i].b);
		efi_fake_text(DIR "vms\\a.conf", a);
		efi_fake_text(DIR "vms\\b.conf", b);
		efi_fake_add(DIR "disk", disk, sizeof(disk));
		if (rows[i].is_refused) {
			assert_true(efi_fake_ends(read_all));
			assert_true(says("error: vms/b.conf:2: \""));
			assert_true(says("is used twice and written to"));
		} else {
			read_all();
			load_all();
			assert_int_equal(handoff.vms[0].disks[0].file, handoff.vms[1].disks[0].file);
		}
	}
}

/* The disk breaks, and memory ends, behind the checks. */
static void test_late_failures(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\n");
	efi_fake.files[0].readable = 3;
	read_all();
	assert_true(efi_fake_ends(load_all));
	assert_true(says("TZ-E035 vms/a.conf: \"kernel\": the firmware cannot read it"));
	efi_fake.files[0].readable = SIZE_MAX;
	efi_fake.pages_left = 0;
	memset(&handoff, 0, sizeof(handoff));
	assert_true(efi_fake_ends(load_all));
	assert_true(says("not enough memory to load it"));
	assert_true(efi_fake_ends(read_all));
	assert_true(says("TZ-E032 no memory for the configuration"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole), TEST(test_contents), TEST(test_defaults), TEST(test_empty_host_file), TEST(test_attach_first), TEST(test_attach_none),
		TEST(test_mistakes), TEST(test_all_at_once), TEST(test_no_directory), TEST(test_unreadable_host_file),
		TEST(test_as_many_as_there_may_be), TEST(test_too_many), TEST(test_too_many_files),
		TEST(test_shared_and_written), TEST(test_late_failures),
	};

	return cmocka_run_group_tests_name("boot_vms", tests, NULL, NULL);
}
