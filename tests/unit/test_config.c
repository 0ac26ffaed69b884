/* SPDX-License-Identifier: MIT */
/* boot/config.c and boot/ini.c: what is accepted becomes the right record, what is not gets the right message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boot/config.h"
#include "hv/lib/util.h"

#define LINES_MAX	64

struct lines {
	unsigned count;
	char text[LINES_MAX][INI_LINE_MAX];
};

static void keep_line(void *ctx, const char *text)
{
	struct lines *lines = ctx;

	assert_true(lines->count < LINES_MAX);
	snprintf(lines->text[lines->count++], INI_LINE_MAX, "%s", text);
}

static unsigned parse_vm_bytes(const char *text, size_t len, struct config_vm *vm, struct lines *lines)
{
	const struct ini_text source = { .file = "vms/a.conf", .text = text, .len = len };
	struct ini_report report = { .line = keep_line, .ctx = lines };

	lines->count = 0;
	config_parse_vm(&source, "a", vm, &report);
	return report.errors;
}

static unsigned parse_vm(const char *text, struct config_vm *vm, struct lines *lines)
{
	return parse_vm_bytes(text, strlen(text), vm, lines);
}

static unsigned parse_host(const char *text, struct config_host *host, struct lines *lines)
{
	const struct ini_text source = { .file = "trapeze.conf",
					 .text = text,
					 .len = strlen(text) };
	struct ini_report report = { .line = keep_line, .ctx = lines };

	lines->count = 0;
	config_parse_host(&source, host, &report);
	return report.errors;
}

static void whole_vm(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# a remark\r\n\r\n"
		"kernel = images/vmlinuz\r\n"
		"  initrd=images/initrd.gz\t\r\n"
		"cmdline = console=hvc0 root=/dev/vda # no remark here\r\n"
		"vcpus = 64\nweight = 10000\ncap = 25\ncpuset = 0,2-3,63\nnuma = 1,4-5\nmemory = 262144K\nprotocol = multiboot\n"
		"disk0 = images/a.raw\n"
		"disk1 = images/b.raw,mode=ro,serial=12345678901234567890\n"
		"disk2 = images/c.raw,serial=x,mode=rw\n"
		"module0 = m0\nmodule1 = m1\n"
		"console = serial\non_crash = restart\non_reboot = destroy\nautostart = no\novercommit = yes";
	struct lines lines;
	struct config_vm vm;

	(void)state;
	assert_int_equal(parse_vm(text, &vm, &lines), 0);
	assert_string_equal(vm.record.name, "a");
	assert_string_equal(vm.kernel.path, "images/vmlinuz");
	assert_int_equal(vm.kernel.line, 3);
	assert_string_equal(vm.initrd.path, "images/initrd.gz");
	assert_string_equal(vm.record.cmdline, "console=hvc0 root=/dev/vda # no remark here");
	assert_int_equal(vm.record.vcpus, 64);
	assert_int_equal(vm.record.weight, 10000);
	assert_int_equal(vm.record.cap, 25);
	assert_int_equal(vm.record.cpuset, 1ULL << 63 | 0xd);
	assert_int_equal(vm.record.numa, 0x32);
	assert_int_equal(vm.record.memory, 256 << 20);
	assert_int_equal(vm.record.protocol, PROTOCOL_MULTIBOOT);
	assert_int_equal(vm.disks[0].record.mode, DISK_COW);
	assert_int_equal(vm.disks[0].record.serial[0], 0);
	assert_int_equal(vm.disks[1].record.mode, DISK_READONLY);
	assert_memory_equal(vm.disks[1].record.serial, "12345678901234567890", 20);
	assert_int_equal(vm.disks[2].record.mode, DISK_WRITE);
	assert_string_equal(vm.disks[2].record.serial, "x");
	assert_string_equal(vm.disks[2].file.path, "images/c.raw");
	assert_int_equal(vm.disks[3].file.line, 0);
	assert_string_equal(vm.modules[1].path, "m1");
	assert_int_equal(vm.record.console, CONSOLE_SERIAL);
	assert_int_equal(vm.record.on_crash, ACTION_RESTART);
	assert_int_equal(vm.record.on_reboot, ACTION_DESTROY);
	assert_int_equal(vm.autostart, 0);
	assert_int_equal(vm.overcommit, 1);
}

static void all_nodes(void **state)
{
	struct lines lines;
	struct config_vm vm;

	(void)state;
	assert_int_equal(parse_vm("kernel = k\nnuma = any\n", &vm, &lines), 0);
	assert_true(vm.record.numa == HANDOFF_NUMA_ANY);
	assert_int_equal(vm.numa_line, 0);
}

static void who_delivers(void **state)
{
	static const struct { const char *text; uint32_t apic; } rows[] = {
		{ "kernel = k\n", LAPIC_AUTO }, { "kernel = k\ntest_apic = auto\n", LAPIC_AUTO },
		{ "kernel = k\ntest_apic = processor\n", LAPIC_PROCESSOR }, { "kernel = k\ntest_apic = software\n", LAPIC_SOFTWARE },
	};
	struct lines lines;
	struct config_vm vm;

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(parse_vm(rows[i].text, &vm, &lines), 0);
		assert_int_equal(vm.record.test_apic, rows[i].apic);
	}
}

static void defaults(void **state)
{
	struct lines lines;
	struct config_host host;
	struct config_vm vm;

	(void)state;
	assert_int_equal(parse_vm("kernel = k\n", &vm, &lines), 0);
	assert_int_equal(vm.record.vcpus, 1);
	assert_int_equal(vm.record.weight, 100);
	assert_int_equal(vm.record.cap, 0);
	assert_int_equal(vm.record.cpuset, 0);
	assert_int_equal(vm.record.numa, 0);
	assert_int_equal(vm.record.memory, 128 << 20);
	assert_int_equal(vm.record.protocol, PROTOCOL_AUTO);
	assert_int_equal(vm.record.console, CONSOLE_AUTO);
	assert_int_equal(vm.record.on_crash, ACTION_DESTROY);
	assert_int_equal(vm.record.on_reboot, ACTION_RESTART);
	assert_int_equal(vm.autostart, 1);
	assert_int_equal(vm.overcommit, CONFIG_AS_HOST);
	assert_string_equal(vm.record.cmdline, "");

	assert_int_equal(parse_host("", &host, &lines), 0);
	assert_int_equal(host.record.log_level, 2);
	assert_int_equal(host.record.stay_on, 0);
	assert_int_equal(host.record.scheduler, SCHEDULER_SHARE);
	assert_int_equal(host.timeout, 0);
	assert_string_equal(host.record.attach, "");
}

static void whole_host(void **state)
{
	struct lines lines;
	struct config_host host;

	(void)state;
	assert_int_equal(
		parse_host("log_level=trace\nwhen_done = halt\nattach = web1\ntimeout = 3600\nscheduler = round-robin\nrun_id = 5d0c1f",
			   &host, &lines),
		0);
	assert_int_equal(host.record.log_level, 4);
	assert_int_equal(host.record.stay_on, 1);
	assert_string_equal(host.record.attach, "web1");
	assert_int_equal(host.attach_line, 3);
	assert_int_equal(host.record.scheduler, SCHEDULER_ROUND_ROBIN);
	assert_int_equal(host.timeout, 3600);
	assert_string_equal(host.record.run_id, "5d0c1f");
}

static void sizes(void **state)
{
	static const struct { const char *text; uint64_t bytes; } rows[] = {
		{ "64M", 64ULL << 20 }, { "1G", 1ULL << 30 }, { "1024K", 1 << 20 }, { "1048576", 1 << 20 },
		{ "1052672", (1 << 20) + 4096 }, { "60G", 60ULL << 30 },
		{ "0", 0 }, { "1023K", 0 }, { "61G", 0 }, { "1048577", 0 }, { "64m", 0 }, { "64 M", 0 },
		{ "64MB", 0 }, { "M", 0 }, { "-64M", 0 }, { "0x40000000", 0 }, { "64Q", 0 },
		{ "18446744073709551616", 0 }, { "18446744073709551615G", 0 }, { "99999999999999999999999M", 0 },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		char text[128];
		struct lines lines;
		struct config_vm vm;
		unsigned errors;

		snprintf(text, sizeof(text), "kernel = k\nmemory = %s\n", rows[i].text);
		errors = parse_vm(text, &vm, &lines);
		assert_int_equal(errors, rows[i].bytes == 0);
		if (!errors)
			assert_int_equal(vm.record.memory, rows[i].bytes);
		else
			assert_non_null(strstr(lines.text[0], rows[i].text));
	}
}

#define LONG_PATH "0123456789012345678901234567890123456789012345678901234567890123456789" \
		  "012345678901234567890123456789012345678901234567890123456"	/* 127 */

/* One fault a row (beside which "kernel = k" is fine), and what its only message must contain. */
static void messages(void **state)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "kernal = k\n",          "vms/a.conf:2: unknown key \"kernal\": the nearest valid key is \"kernel\"" },
		{ "memory = 1\n",          "1 is bytes: write 1M" },
		{ "Memory = 1M\n",         "nearest valid key is \"memory\"" },
		{ "MEMORY = 16M\n",        "nearest valid key is \"memory\"" },
		{ "on_crash = RESTART\n",  "write one of destroy|restart; nearest is \"restart\"" },
		{ "disks = k\n",           "nearest valid key is \"disk0\"" },
		{ "scheduler = share\n",   "vms/a.conf:2: the key \"scheduler\" belongs into trapeze.conf" },
		{ "vcpu = 1\n",            "nearest valid key is \"vcpus\"" },
		{ "x\n",                   "write \"key = value\"" },
		{ "[vm]\n",                "vms/a.conf:2: \"[vm]\"" },
		{ "= 3\n",                 "write \"key = value\"" },
		{ "vcpus =\n",             "vms/a.conf:2: vcpus = \"\": no value" },
		{ "vcpus = 0\n",           "vcpus = \"0\": write a number from 1 to 64; nearest is 1" },
		{ "vcpus = 65\n",          "vcpus = \"65\": write a number from 1 to 64; nearest is 64" },
		{ "vcpus = -1\n",          "vcpus = \"-1\": write a number from 1 to 64; nearest is 1" },
		{ "vcpus = -\n",           "vcpus = \"-\": write a number from 1 to 64" },
		{ "vcpus = 2.5\n",         "vcpus = \"2.5\": write a number from 1 to 64" },
		{ "weight = 0\n",          "weight = \"0\": write a number from 1 to 10000; nearest is 1" },
		{ "weight = 10001\n",      "weight = \"10001\": write a number from 1 to 10000; nearest is 10000" },
		{ "cpuset = \n",           "cpuset = \"\": no value" },
		{ "cpuset = 0,64\n",       "cpuset = \"0,64\": processors have numbers from 0 to 63; nearest is 63" },
		{ "cpuset = 99999999999\n", "processors have numbers from 0 to 63; nearest is 63" },
		{ "cpuset = 1,\n",         "write the numbers of processors, such as 0,2-3" },
		{ "cpuset = ,1\n",         "write the numbers of processors, such as 0,2-3" },
		{ "cpuset = 1-\n",         "write the numbers of processors, such as 0,2-3" },
		{ "cpuset = -1\n",         "write the numbers of processors, such as 0,2-3" },
		{ "cpuset = 1 2\n",        "write the numbers of processors, such as 0,2-3" },
		{ "cpuset = 1-2-3\n",      "write the numbers of processors, such as 0,2-3" },
		{ "cpuset = 3-1\n",        "cpuset = \"3-1\": \"3-1\" is no range: write 1-3" },
		{ "numa = \n",             "numa = \"\": no value" },
		{ "numa = 64\n",           "numa = \"64\": nodes have numbers from 0 to 63; nearest is 63" },
		{ "numa = 1,\n",           "write the numbers of nodes, such as 0,2-3" },
		{ "numa = 1,any\n",        "write the numbers of nodes, such as 0,2-3" },
		{ "numa = 3-1\n",          "numa = \"3-1\": \"3-1\" is no range: write 1-3" },
		{ "numa = all\n",          "numa = \"all\": write the numbers of nodes, such as 0,2-3, or any; nearest is \"any\"" },
		{ "cap = 0\n",             "cap = \"0\": write a number from 1 to 6400; nearest is 1" },
		{ "cap = 6401\n",          "cap = \"6401\": write a number from 1 to 6400; nearest is 6400" },
		{ "vcpus = 165\n",         "a number from 1 to 64" },
		{ "vcpus = 2 # two\n",     "a number from 1 to 64" },
		{ "vcpus = 4294967297\n",  "a number from 1 to 64" },
		{ "kernel = l\n",          "kernel = \"l\": given twice: remove it here or in line 1" },
		{ "memory = 5000000\n",    "not a multiple of 4K" },
		{ "memory = 4K\n",         "out of range: from 1M to 60G" },
		{ "memory = 0\n",          "out of range: from 1M to 60G" },
		{ "memory = 12\n",         "memory = \"12\": 12 is bytes: write 12M" },
		{ "memory = 61441\n",      "out of range: from 1M to 60G" },
		{ "console = virtoi\n",    "one of auto|virtio|serial; nearest is \"virtio\"" },
		{ "autostart = true\n",    "one of no|yes" },
		{ "initrd = /a\n",         "relative to the directory of trapeze.conf" },
		{ "initrd = a//b\n",       "twice in a row" },
		{ "initrd = a/\n",         "without \"/\" at its ends" },
		{ "initrd = a\\b\n",       "write \"/\"" },
		{ "initrd = ../a\n",       "\"..\" are not allowed" },
		{ "initrd = a/./b\n",      "not allowed" },
		{ "initrd = a/..\n",       "not allowed" },
		{ "initrd = a:b\n",        "cannot be part" },
		{ "initrd = .\n",          "not allowed" },
		{ "initrd = end.\n",       "cannot end with a dot" },
		{ "initrd = .../a\n",      "cannot end with a dot" },
		{ "initrd = a /b\n",       "cannot end with a dot or a space" },
		{ "initrd = CON\n",        "are devices" },
		{ "initrd = a/nul/b\n",    "are devices" },
		{ "disk0 = prn,mode=ro\n", "are devices" },
		{ "initrd = Aux\n",        "are devices" },
		{ "initrd = com1\n",       "are devices" },
		{ "initrd = LPT9\n",       "are devices" },
		{ "initrd = " LONG_PATH "8\n", "too long: at most 127" },
		{ "disk0 = ,mode=ro\n",    "relative to" },
		{ "disk0 = a,mod=ro\n",    "nearest is \"mode\"" },
		{ "disk0 = a,mode=\n",     "mode must be" },
		{ "disk0 = a,mode=wr\n",   "mode must be cow, ro or rw; nearest is" },
		{ "disk0 = a,serial=\n",   "1 to 20" },
		{ "disk0 = a,serial=123456789012345678901\n", "1 to 20" },
		{ "disk0 = a,mode=ro,mode=ro\n", "mode is given twice" },
		{ "disk1 = a\n",           "vms/a.conf:2: disk1 without disk0" },
		{ "module0 = a\nmodule2 = a\n", "vms/a.conf:3: module2 without module1" },
		{ "cmdline = \"a b\"\n",   "remove the quotation marks" },
		{ "initrd = \xc3\xa4\n",   "character 10 is not ASCII" },
		{ "vcpus = \x1b[2J\n",     "not ASCII" },
		{ "\xc3\xa4 = 1\n",         "character 1 is not ASCII" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		char text[512];
		struct lines lines;
		struct config_vm vm;

		snprintf(text, sizeof(text), "kernel = k\n%s", rows[i].text);
		if (parse_vm(text, &vm, &lines) != 1 || !strstr(lines.text[0], rows[i].says))
			fail_msg("\"%s\" gave %u lines, \"%s\"", rows[i].text, lines.count,
				 lines.text[0]);
	}
}

/* The keys of a VM in the host's file; one that both have is no fault, and a misspelt one has a nearest key here. */
static void keys_of_a_vm(void **state)
{
	struct lines lines;
	struct config_host host;

	(void)state;
	assert_int_equal(parse_host("weight = 1\ncap = 5\novercommit = yes\ntimeut = 3\n", &host, &lines), 3);
	assert_string_equal(lines.text[0], "trapeze.conf:1: the key \"weight\" belongs into vms/NAME.conf");
	assert_string_equal(lines.text[1], "trapeze.conf:2: the key \"cap\" belongs into vms/NAME.conf");
	assert_non_null(strstr(lines.text[2], "nearest valid key is \"timeout\""));
}

static void longest_values(void **state)
{
	char text[2 * HANDOFF_CMDLINE_MAX] = "kernel = " LONG_PATH "\ncmdline = ";
	const size_t at = strlen(text);
	struct lines lines;
	struct config_vm vm;

	(void)state;
	memset(text + at, 'x', HANDOFF_CMDLINE_MAX - 1);
	assert_int_equal(parse_vm(text, &vm, &lines), 0);
	assert_int_equal(strlen(vm.record.cmdline), HANDOFF_CMDLINE_MAX - 1);
	assert_string_equal(vm.kernel.path, LONG_PATH);
	text[at + HANDOFF_CMDLINE_MAX - 1] = 'x';
	assert_int_equal(parse_vm(text, &vm, &lines), 1);
	assert_non_null(strstr(lines.text[0], "too long: 1024 characters, at most 1023"));
	assert_non_null(strstr(lines.text[0], "xxx...\""));
}

static void missing_kernel(void **state)
{
	struct lines lines;
	struct config_vm vm;

	(void)state;
	assert_int_equal(parse_vm("vcpus = 2\n# end\n", &vm, &lines), 1);
	assert_string_equal(
		lines.text[0],
		"vms/a.conf:2: the key \"kernel\" is missing: add a line \"kernel = ...\"");
	assert_int_equal(parse_vm("", &vm, &lines), 1);
	assert_non_null(strstr(lines.text[0], "vms/a.conf:1: the key"));
	assert_int_equal(parse_vm("Kernel = tiny/hello.bin\n", &vm, &lines), 1);
	assert_string_equal(lines.text[0], "vms/a.conf:1: unknown key \"Kernel\": the nearest valid key is \"kernel\"");
}

/* A byte that is no text is one fault: the key of its line is not missing as well. */
static void byte_that_is_no_text(void **state)
{
	static const struct { char text[32]; size_t len; unsigned errors; } rows[] = {
		{ "kernel = k\0", 11, 1 }, { "kernel = k\0\nvcpus = 2\n", 22, 1 }, { "\tkernel= \xc3\xa4", 11, 1 },
		{ "kernel\0= k", 11, 2 }, { "kernel = k\0\nkernel = k", 22, 2 }, { "initrd = i\0", 11, 2 },
	};
	struct lines lines;
	struct config_vm vm;

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		assert_int_equal(parse_vm_bytes(rows[i].text, rows[i].len, &vm, &lines), rows[i].errors);
		assert_non_null(strstr(lines.text[0], "is not ASCII text"));
	}
}

/* The word with the fewest changes, the first of several; capitals are no change. */
static void nearest(void **state)
{
	static const struct { const char *value, *words[4], *says; } rows[] = {
		{ "kernal", { "initrd", "kernel" }, "kernel" }, { "x", { "yyyx", "z" }, "z" }, { "x", { "xyyy", "z" }, "z" },
		{ "bcd", { "xbcde", "bcx" }, "bcx" }, { "abc", { "", "ab" }, "ab" }, { "", { "abc", "ab", "xy" }, "ab" },
		{ "same", { "sane", "same" }, "same" }, { "mdoe", { "serial", "mode" }, "mode" },
		{ "1", { "no", "yes" }, "yes" }, { "true", { "no", "yes" }, "yes" }, { "on", { "no", "yes" }, "yes" },
		{ "0", { "no", "yes" }, "no" }, { "on", { "no", "oh" }, "oh" }, { "On", { "no", "yes" }, "yes" },
		{ "ON", { "oh", "yes" }, "yes" }, { "MEMORY", { "kernel", "memory" }, "memory" },
		{ "zap", { "Za", "cap" }, "Za" }, { "zap", { "cab", "ZAP" }, "ZAP" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		const char *found = ini_nearest((struct ini_value){ rows[i].value, strlen(rows[i].value) }, rows[i].words);

		if (!found || strcmp(found, rows[i].says) != 0)
			fail_msg("\"%s\": \"%s\" instead of \"%s\"", rows[i].value, found, rows[i].says);
	}
}

/* Every disk and module has a place of its own, and only "." and ".." are refused among names with a dot in front. */
static void all_files(void **state)
{
	static const char *const paths[] = { "k", ".i", "d0", "d1", "d2", ".d", "comb", ".a/con.txt", "..m", "m3" };
	struct lines lines;
	struct config_vm vm;
	const struct config_file *files[countof(paths)];

	(void)state;
	assert_int_equal(parse_vm("kernel = k\ninitrd = .i\ndisk0 = d0\ndisk1 = d1\ndisk2 = d2\ndisk3 = .d\n"
				  "module0 = comb\nmodule1 = .a/con.txt\nmodule2 = ..m\nmodule3 = m3\n", &vm, &lines), 0);
	files[0] = &vm.kernel;
	files[1] = &vm.initrd;
	for (size_t i = 0; i < 4; i++) {
		files[2 + i] = &vm.disks[i].file;
		files[6 + i] = &vm.modules[i];
	}
	for (size_t i = 0; i < countof(paths); i++)
		if (strcmp(files[i]->path, paths[i]) != 0 || files[i]->line != i + 1)
			fail_msg("%s: \"%s\" in line %u", paths[i], files[i]->path, files[i]->line);
	assert_int_equal(vm.autostart, 1);
}

/* All errors of a file are listed, but a binary file does not fill the screen for ever. */
static void many_errors(void **state)
{
	char text[1024] = "";
	struct lines lines;
	struct config_vm vm;

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		strcat(text, "rubbish\n");
	assert_int_equal(parse_vm(text, &vm, &lines), 31);
	assert_int_equal(lines.count, INI_ERRORS_MAX + 1);
	assert_string_equal(lines.text[INI_ERRORS_MAX], "vms/a.conf: and 11 more errors");
}

static void names(void **state)
{
	static const struct { const char *file, *name; int result; } rows[] = {
		{ "web.conf", "web", 1 }, { "Web-1.2_x.CONF", "Web-1.2_x", 1 }, { "a.conf", "a", 1 },
		{ "web.txt", "", 0 }, { ".conf", "", 0 }, { "._web.conf", "", 0 }, { "web.conf~", "", 0 },
		{ "conf", "", 0 }, { "", "", 0 },
		{ "a b.conf", "", -1 }, { "none.conf", "", -1 }, { "NONE.conf", "", -1 }, { "?.conf", "", -1 },
		{ "0123456789012345678901234567890123456789abcdefg.conf",
		  "0123456789012345678901234567890123456789abcdefg", 1 },
		{ "0123456789012345678901234567890123456789abcdefgh.conf", "", -1 },
	};
	char name[HANDOFF_NAME_MAX];

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(config_vm_name(rows[i].file, name), rows[i].result);
		if (rows[i].result == 1)
			assert_string_equal(name, rows[i].name);
	}
	assert_true(config_name_order("Another", "linux") < 0);
	assert_true(config_name_order("a", "ab") < 0);
	assert_true(config_same_path("images/VMLINUZ", "Images/vmlinuz"));
	assert_false(config_same_path("images/a", "images/ab"));
	assert_true(config_same_path("AMZ", "amz"));
	assert_false(config_same_path("@[", "`{"));
}

/* Each required key that is missing is told, wherever it stands in the table. A misspelt one is one fault, not two. */
static void required(void **state)
{
	static const struct ini_key keys[] = {
		{ .name = "one", .set = ini_set_text, .max = 8, .required = true },
		{ .name = "two", .set = ini_set_text, .max = 8 },
		{ .name = "three", .set = ini_set_text, .max = 8, .required = true },
	};
	static const struct ini_elsewhere none;
	static const struct { const char *text; unsigned errors; const char *last; } rows[] = {
		{ "one = x\nthree = x\n", 0, NULL }, { "two = x\nthree = x\n", 1, "x:2: the key \"one\" is missing" },
		{ "one = x\n", 1, "x:1: the key \"three\" is missing" }, { "", 2, "x:1: the key \"three\" is missing" },
		{ "One = x\nthree = x\n", 1, "unknown key \"One\"" },
		{ "one = x\ntreee = x\n", 1, "unknown key \"treee\"" },
		{ "one = x\nthreeeee = x\n", 2, "the key \"three\" is missing" },
		{ "Three = x\n", 2, "the key \"one\" is missing" },
		{ "One = x\nThree = x\n", 2, "unknown key \"Three\"" },
		{ "One = x\none = x\nthree = x\n", 1, "unknown key \"One\"" },	/* and not given twice */
		{ "thne = x\n", 2, "the key \"three\" is missing" },	/* "one" is as near, but a line has one key */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		const struct ini_text source = { .file = "x", .text = rows[i].text, .len = strlen(rows[i].text) };
		struct lines lines = { .count = 0 };
		struct ini_report report = { .line = keep_line, .ctx = &lines };
		char record[8];

		ini_parse(&source, keys, 3, &none, record, &report);
		assert_int_equal(report.errors, rows[i].errors);
		if (rows[i].errors)
			assert_non_null(strstr(lines.text[lines.count - 1], rows[i].last));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_vm),	  cmocka_unit_test(defaults), cmocka_unit_test(all_nodes), cmocka_unit_test(who_delivers),
		cmocka_unit_test(whole_host),	  cmocka_unit_test(sizes),
		cmocka_unit_test(messages),	  cmocka_unit_test(keys_of_a_vm),
		cmocka_unit_test(longest_values), cmocka_unit_test(byte_that_is_no_text),
		cmocka_unit_test(missing_kernel), cmocka_unit_test(many_errors),
		cmocka_unit_test(names),	  cmocka_unit_test(all_files),
		cmocka_unit_test(nearest),	  cmocka_unit_test(required),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
