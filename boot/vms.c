/* SPDX-License-Identifier: MIT */
/*
 * From \trapeze\trapeze.conf and \trapeze\vms\*.conf to the VM records of the handoff.
 *
 * vms_read looks at everything that is written down, including whether each file exists, before anything large is
 * loaded, so that one boot shows all mistakes. VMs that name the same file share it, unless one of them writes to it,
 * which is refused. vms_load then loads what was found, once each.
 */
#include "boot/vms.h"

#include "boot/print.h"
#include "hv/lib/bits.h"
#include "hv/lib/format.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"

#define HOST_FILE	"trapeze.conf"
#define VM_DIRECTORY	"vms"
#define FILE_NAME_LEN	64	/* "vms/NAME.conf" */
#define CONF_NAME	VM_DIRECTORY "/%s.conf"
#define REASON		"configuration error"

_Static_assert(sizeof(VM_DIRECTORY) + HANDOFF_NAME_MAX + sizeof(".conf") <= FILE_NAME_LEN,
	       "vms/NAME.conf fits");

static void show_error(void *ctx, const char *text)
{
	(void)ctx;
	print("boot: error: %s\n", text);
}

/* ---- What is written down ---------------------------------------------------------------------------- */

/* A configuration file as text; a missing or empty one is an empty text. */
static enum file_status read_text(const struct volume *volume, const char *name,
				  struct ini_text *text)
{
	struct file_data file = { 0 };
	const enum file_status status = file_read(volume, name, &file);

	*text = (struct ini_text){ .file = name };
	if (status == FILE_OK) {
		text->text = file.data;
		text->len = file.length;
	}
	return status;
}

static void read_host(struct vms *vms)
{
	struct ini_text text;
	const enum file_status status = read_text(vms->volume, HOST_FILE, &text);

	if (status == FILE_MISSING)
		print("boot: no %s, using its defaults\n", HOST_FILE);
	else if (status != FILE_OK && status != FILE_EMPTY)
		ini_error_at(&vms->report, HOST_FILE, 1, "%s", file_status_text(status));
	config_parse_host(&text, &vms->host, &vms->report);
}

struct names {
	struct vms *vms;
	uint32_t count;
	bool has_bad;		/* names that were refused */
	char list[HANDOFF_VMS_MAX][HANDOFF_NAME_MAX];	/* sorted */
};

static void seen_file(void *ctx, const char *file_name)
{
	struct names *names = ctx;
	char name[HANDOFF_NAME_MAX];
	const int is_vm = config_vm_name(file_name, name);
	uint32_t at = names->count;

	names->has_bad |= is_vm < 0;
	if (is_vm < 0)
		ini_error_at(&names->vms->report, VM_DIRECTORY, 1,
			     "\"%s\" is no good name for a VM: use at most %u "
			     "letters, digits, - _ . and not \"%s\"",
			     file_name, HANDOFF_NAME_MAX - 1, CONFIG_ATTACH_NONE);
	if (is_vm == 0)
		print("boot: ignoring %s/%s, its name does not end in .conf\n", VM_DIRECTORY,
		      file_name);
	if (is_vm <= 0)
		return;
	if (names->count == HANDOFF_VMS_MAX) {
		ini_error_at(&names->vms->report, VM_DIRECTORY, 1,
			     "too many VMs at \"%s\": at most %u, remove or "
			     "rename some",
			     file_name, HANDOFF_VMS_MAX);
		return;
	}
	for (; at > 0 && config_name_order(names->list[at - 1], name) > 0; at--)
		memcpy(names->list[at], names->list[at - 1], sizeof(name));
	memcpy(names->list[at], name, sizeof(name));
	names->count++;
}

/* The length of a file that is to be loaded, or 0 when there is none. */
static uint64_t check_file(struct vms *vms, const char *conf, const char *key,
			   const struct config_file *file)
{
	uint64_t length = 0;
	enum file_status status;

	if (!file->path[0])
		return 0;
	status = file_check(vms->volume, file->path, &length);
	if (status != FILE_OK)
		ini_error_at(&vms->report, conf, file->line, "%s = \"%s\": %s", key, file->path,
			     file_status_text(status));
	return status == FILE_OK ? length : 0;
}

static void check_disk(struct vms *vms, const char *conf, const char *key,
		       const struct config_file *file)
{
	const uint64_t length = check_file(vms, conf, key, file);

	if (length % SECTOR_SIZE)
		ini_error_at(&vms->report, conf, file->line,
			     "%s = \"%s\": its %llu bytes are not whole sectors of %u: pad it "
			     "(truncate -s %%%u)",
			     key, file->path, (unsigned long long)length, SECTOR_SIZE, SECTOR_SIZE);
}

/* A number outside of the set, or -1. */
static int first_outside(uint64_t asked, uint64_t there)
{
	return asked & ~there ? __builtin_ctzll(asked & ~there) : -1;
}

static void check_cpuset(struct vms *vms, const char *conf, const struct config_vm *vm)
{
	const uint64_t there = vms->processors < HANDOFF_CPUSET_MAX ? BIT(vms->processors) - 1 : UINT64_MAX;
	const int outside = first_outside(vm->record.cpuset, there);

	if (outside >= 0)
		ini_error_at(&vms->report, conf, vm->cpuset_line,
			     "cpuset names processor %d, and the last one of this machine is %u", outside, vms->processors - 1);
}

/* Of two that are as near the lower one. */
static int nearest(uint64_t there, int to)
{
	for (int off = 1; off < HANDOFF_NODES_MAX; off++) {
		if (to - off >= 0 && there & BIT(to - off))
			return to - off;
		if (to + off < HANDOFF_NODES_MAX && there & BIT(to + off))
			return to + off;
	}
	return to;
}

static void check_numa(struct vms *vms, const char *conf, const struct config_vm *vm)
{
	const int outside = vm->record.numa == HANDOFF_NUMA_ANY ? -1 : first_outside(vm->record.numa, vms->nodes);

	if (outside >= 0)
		ini_error_at(&vms->report, conf, vm->numa_line,
			     "numa names node %d, and this machine has no memory there; nearest is %d", outside,
			     nearest(vms->nodes, outside));
}

static void read_vm(struct vms *vms, const char *name)
{
	static const char *const disk_keys[HANDOFF_DISKS_MAX] = { "disk0", "disk1", "disk2", "disk3" };
	static const char *const module_keys[HANDOFF_MODULES_MAX] = { "module0", "module1", "module2", "module3" };
	struct config_vm *vm = &vms->list[vms->count];
	char conf[FILE_NAME_LEN];
	struct ini_text text;
	enum file_status status;

	format_buf(conf, sizeof(conf), CONF_NAME, name);
	status = read_text(vms->volume, conf, &text);
	if (status != FILE_OK) {
		ini_error_at(&vms->report, conf, 1, "%s", file_status_text(status));
		return;
	}
	config_parse_vm(&text, name, vm, &vms->report);
	check_cpuset(vms, conf, vm);
	check_numa(vms, conf, vm);
	(void)check_file(vms, conf, "kernel", &vm->kernel);
	(void)check_file(vms, conf, "initrd", &vm->initrd);
	for (unsigned i = 0; i < HANDOFF_DISKS_MAX; i++)
		check_disk(vms, conf, disk_keys[i], &vm->disks[i].file);
	for (unsigned i = 0; i < HANDOFF_MODULES_MAX; i++)
		(void)check_file(vms, conf, module_keys[i], &vm->modules[i]);
	ini_report_end(&vms->report, conf);
	if (vm->autostart)
		vms->count++;
	else
		print("boot: skipping VM %s, autostart = no\n", name);
}

/* attach must name a VM that starts; the nearest name helps against typing errors. */
static void check_attach(struct vms *vms)
{
	const char *names[HANDOFF_VMS_MAX + 1], *attach = vms->host.record.attach;
	const struct ini_value value = { attach, strlen(attach) };

	for (uint32_t i = 0; i < vms->count; i++)
		names[i] = vms->list[i].record.name;
	names[vms->count] = NULL;
	if (attach[0] && strcmp(attach, CONFIG_ATTACH_NONE) != 0 && vms->count &&
	    ini_word_index(value, names) < 0)
		ini_error_at(&vms->report, HOST_FILE, vms->host.attach_line,
			     "attach = \"%s\": no VM of this name "
			     "starts; nearest is \"%s\"",
			     attach, ini_nearest(value, names));
}

static uint32_t find_file(const struct vms *vms, const struct config_file *file)
{
	uint32_t at = 0;

	while (at < vms->file_count && !config_same_path(vms->files[at].named->path, file->path))
		at++;
	return at;
}

/* Into the list of files to load. */
static void use_file(struct vms *vms, const char *vm, const struct config_file *file, bool is_written)
{
	const uint32_t at = find_file(vms, file);
	struct vms_file *use = &vms->files[at];
	char conf[FILE_NAME_LEN];

	if (!file->path[0])
		return;
	format_buf(conf, sizeof(conf), CONF_NAME, vm);
	if (at == HANDOFF_FILES_MAX) {
		ini_error_at(&vms->report, conf, file->line, "\"%s\" is one file too many: at most %u in all",
			     file->path, HANDOFF_FILES_MAX);
		return;
	}
	if (at == vms->file_count)
		vms->files[vms->file_count++] = (struct vms_file){ .named = file, .vm = vm };
	use->users++;
	use->is_written |= is_written;
	if (use->is_written && use->users > 1)
		ini_error_at(&vms->report, conf, file->line,
			     "\"%s\" is used twice and written to: give each VM a copy, or take mode=cow",
			     file->path);
}

static void use_files(struct vms *vms, const struct config_vm *vm)
{
	const char *name = vm->record.name;

	use_file(vms, name, &vm->kernel, false);
	use_file(vms, name, &vm->initrd, false);
	for (unsigned i = 0; i < HANDOFF_DISKS_MAX; i++)
		use_file(vms, name, &vm->disks[i].file, vm->disks[i].record.mode == DISK_WRITE);
	for (unsigned i = 0; i < HANDOFF_MODULES_MAX; i++)
		use_file(vms, name, &vm->modules[i], false);
}

void vms_read(struct firmware *fw, const struct volume *volume, uint32_t processors, uint64_t nodes, struct vms *vms)
{
	struct names names = { .vms = vms };

	*vms = (struct vms){ .volume = volume, .processors = processors, .nodes = nodes, .report = { .line = show_error } };
	vms->list = firmware_pages(fw, HANDOFF_VMS_MAX * sizeof(*vms->list));
	if (!vms->list)
		firmware_fail(fw, "out of memory", "TZ-E032 no memory for the configuration");
	read_host(vms);
	fw->stay_on = vms->host.record.stay_on;
	fw->run_id = vms->host.record.run_id;
	if (!file_list(volume, VM_DIRECTORY, seen_file, &names) || (names.count == 0 && !names.has_bad))
		ini_error_at(&vms->report, VM_DIRECTORY, 1,
			     "no VM: describe one in vms/NAME.conf, beside trapeze.conf");
	ini_report_end(&vms->report, VM_DIRECTORY);
	for (uint32_t i = 0; i < names.count; i++)
		read_vm(vms, names.list[i]);
	if (names.count && !vms->count && !vms->report.errors)
		ini_error_at(&vms->report, VM_DIRECTORY, 1,
			     "no VM starts: remove an \"autostart = no\"");
	for (uint32_t i = 0; i < vms->count; i++)
		use_files(vms, &vms->list[i]);
	ini_report_end(&vms->report, VM_DIRECTORY);
	check_attach(vms);
	if (vms->report.errors)
		firmware_fail(fw, REASON,
			      "TZ-E035 %u error(s) in \\trapeze\\*.conf, nothing was started",
			      vms->report.errors);
}

/* ---- Loading ----------------------------------------------------------------------------------------- */

static void load_file(const struct firmware *fw, const struct volume *volume, const struct vms_file *wanted,
		      struct handoff_file *file)
{
	const char *path = wanted->named->path;
	struct file_data loaded = { 0 };
	const enum file_status status = file_read(volume, path, &loaded);

	if (status != FILE_OK)
		firmware_fail(fw, REASON, "TZ-E035 vms/%s.conf: \"%s\": %s", wanted->vm, path,
			      file_status_text(status));
	text_copy(file->path, path, sizeof(file->path));
	file->start = (uint64_t)loaded.data;
	file->length = loaded.length;
}

static uint32_t index_of(const struct vms *vms, const struct config_file *file)
{
	return file->line ? find_file(vms, file) : HANDOFF_NO_FILE;
}

static void fill_vm(const struct vms *vms, const struct config_vm *from, struct handoff_vm *to)
{
	*to = from->record;
	to->kernel = index_of(vms, &from->kernel);
	to->initrd = index_of(vms, &from->initrd);
	for (unsigned i = 0; i < HANDOFF_DISKS_MAX && from->disks[i].file.line; i++) {
		struct handoff_disk *record = &to->disks[to->disk_count++];

		*record = from->disks[i].record;
		record->file = index_of(vms, &from->disks[i].file);
	}
	for (unsigned i = 0; i < HANDOFF_MODULES_MAX && from->modules[i].line; i++)
		to->modules[to->module_count++] = index_of(vms, &from->modules[i]);
	to->overcommit = config_overcommits(&vms->host, from);
}

void vms_load(const struct firmware *fw, struct vms *vms, struct handoff *handoff)
{
	uint64_t bytes = 0;

	handoff->host = vms->host.record;
	for (uint32_t i = 0; i < vms->count; i++)
		fill_vm(vms, &vms->list[i], &handoff->vms[handoff->vm_count++]);
	for (uint32_t i = 0; i < vms->file_count; i++) {
		load_file(fw, vms->volume, &vms->files[i], &handoff->files[handoff->file_count++]);
		bytes += handoff->files[i].length;
	}
	print("boot: %u VM(s), %u file(s), %llu KiB\n", handoff->vm_count, handoff->file_count,
	      (unsigned long long)bytes >> 10);
}
