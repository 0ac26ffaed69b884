/* SPDX-License-Identifier: MIT */
/*
 * The keys of trapeze.conf and vms/NAME.conf: one row a key, and the few values that need more than ini.c offers.
 *
 * Pure and fed with hostile text by the fuzzer. Words are libvirt's, kvmtool's and Firecracker's where they have one.
 */
#include "boot/config.h"

#include "hv/lib/bits.h"
#include "hv/lib/log_level.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define TIMEOUT_MAX	3600
#define MEMORY_MIN	(1ULL << 20)
#define MEMORY_DEFAULT	(128ULL << 20)
#define CONF_SUFFIX	".conf"

/* The words of each value, at the number that stands for them in the handoff; a list ends with NULL. */
static const char *const log_levels[] = { [LOG_ERROR] = "error", [LOG_WARN] = "warn",	[LOG_INFO] = "info",
					  [LOG_DEBUG] = "debug", [LOG_TRACE] = "trace", NULL };
static const char *const when_done[] = { [false] = "poweroff", [true] = "halt", NULL };
static const char *const protocols[] = { [PROTOCOL_AUTO] = "auto",
					 [PROTOCOL_LINUX] = "linux",
					 [PROTOCOL_MULTIBOOT] = "multiboot",
					 [PROTOCOL_BOOTSECTOR] = "bootsector", NULL };
static const char *const consoles[] = { [CONSOLE_AUTO] = "auto", [CONSOLE_VIRTIO] = "virtio",
					[CONSOLE_SERIAL] = "serial", NULL };
static const char *const schedulers[] = { [SCHEDULER_SHARE] = "share", [SCHEDULER_ROUND_ROBIN] = "round-robin", NULL };
static const char *const actions[] = { [ACTION_DESTROY] = "destroy", [ACTION_RESTART] = "restart", NULL };
static const char *const apics[] = { [LAPIC_AUTO] = "auto", [LAPIC_PROCESSOR] = "processor", [LAPIC_SOFTWARE] = "software", NULL };
static const char *const no_yes[] = { [false] = "no", [true] = "yes", NULL };
static const char *const disk_modes[] = { [DISK_COW] = "cow", [DISK_READONLY] = "ro", [DISK_WRITE] = "rw", NULL };

enum disk_option { OPTION_MODE, OPTION_SERIAL, OPTIONS };
static const char *const disk_options[] = { [OPTION_MODE] = "mode", [OPTION_SERIAL] = "serial", NULL };

/* ---- Values of our own ------------------------------------------------------------------------------ */

static bool is_name_char(char c)
{
	return (ini_lower(c) >= 'a' && ini_lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.';
}

static void set_attach(const struct ini_entry *entry, const struct ini_key *key)
{
	struct config_host *host = entry->record;

	(void)key;
	if (!ini_value_copy(entry->value, host->record.attach, sizeof(host->record.attach)))
		ini_error(entry, "too long for the name of a VM: at most %u characters",
			  HANDOFF_NAME_MAX - 1);
	host->attach_line = entry->line;
}

/* Programs that write a FAT disk, scripts/mkimage's among them, have no files of these names. */
static bool is_device(struct ini_value name)
{
	static const struct { char word[4]; bool is_numbered; } devices[] = {
		{ "con", false }, { "prn", false }, { "aux", false }, { "nul", false }, { "com", true }, { "lpt", true },
	};

	for (size_t i = 0; i < countof(devices); i++) {
		const size_t len = strlen(devices[i].word);
		size_t same = 0;

		while (same < len && same < name.len && ini_lower(name.at[same]) == devices[i].word[same])
			same++;
		if (same == len && name.len == len + devices[i].is_numbered &&
		    (!devices[i].is_numbered || (name.at[len] >= '1' && name.at[len] <= '9')))
			return true;
	}
	return false;
}

/* Why this cannot be one of the names in a path, or NULL. */
static const char *name_fault(struct ini_value name)
{
	if (name.len == 0)
		return "write a path relative to the directory of trapeze.conf, without "
		       "\"/\" at its ends or twice in a row";
	if (name.at[0] == '.' && (name.len == 1 || (name.len == 2 && name.at[1] == '.')))
		return "\".\" and \"..\" are not allowed in a path";
	if (name.at[name.len - 1] == '.' || name.at[name.len - 1] == ' ')
		return "a file name cannot end with a dot or a space";
	return is_device(name) ? "CON, PRN, AUX, NUL, COM1 and LPT1 to 9 are devices: name the file otherwise" : NULL;
}

/* Why a path cannot be one below \trapeze\, or NULL. Names must be good for FAT and stay inside the directory. */
static const char *path_fault(struct ini_value path)
{
	size_t part = 0;	/* where the current name starts */
	const char *fault;

	if (path.len >= HANDOFF_PATH_MAX)
		return "too long: at most 127 characters; move or rename the file";
	for (size_t i = 0; i <= path.len; i++) {
		if (i < path.len && path.at[i] != '/') {
			if (strchr("\\:*?\"<>|\t", path.at[i]))
				return path.at[i] == '\\'
					       ? "write \"/\" between the parts of a path"
					       : "the characters \\ : * ? \" < > | and tab cannot "
						 "be part of a file name";
			continue;
		}
		fault = name_fault((struct ini_value){ path.at + part, i - part });
		if (fault)
			return fault;
		part = i + 1;
	}
	return NULL;
}

static void take_path(const struct ini_entry *entry, struct ini_value path,
		      struct config_file *file)
{
	const char *fault = path_fault(path);

	file->line = entry->line;
	if (fault)
		ini_error(entry, "%s", fault);
	else
		(void)ini_value_copy(path, file->path, sizeof(file->path));
}

static void set_path(const struct ini_entry *entry, const struct ini_key *key)
{
	take_path(entry, entry->value, (void *)((char *)entry->record + key->offset));
}

static void set_cmdline(const struct ini_entry *entry, const struct ini_key *key)
{
	const struct ini_value value = entry->value;

	/* The quotes would reach the guest as part of its first and last word. */
	if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
		ini_error(entry, "remove the quotation marks at both ends");
	else
		ini_set_text(entry, key);
}

/* Cuts value at the first `mark`: returns what is before it and leaves what is behind it. */
static struct ini_value cut(struct ini_value *value, char mark)
{
	struct ini_value before = *value;
	size_t i = 0;

	while (i < value->len && value->at[i] != mark)
		i++;
	before.len = i;
	i += i < value->len;
	value->at += i;
	value->len -= i;
	return before;
}

static void set_disk_mode(const struct ini_entry *entry, struct ini_value mode,
			  struct config_disk *disk)
{
	int index = ini_word_index(mode, disk_modes);

	if (index < 0)
		ini_error(entry, "mode must be cow, ro or rw; nearest is \"%s\"",
			  ini_nearest(mode, disk_modes));
	else
		disk->record.mode = (uint32_t)index;
}

static void set_disk_serial(const struct ini_entry *entry, struct ini_value serial,
			    struct config_disk *disk)
{
	if (serial.len == 0 || serial.len > sizeof(disk->record.serial)) {
		ini_error(entry, "serial must have 1 to %u characters",
			  (unsigned)sizeof(disk->record.serial));
		return;
	}
	memset(disk->record.serial, 0, sizeof(disk->record.serial));
	memcpy(disk->record.serial, serial.at, serial.len);
}

/* PATH[,mode=cow|ro|rw][,serial=TEXT] */
static void set_disk(const struct ini_entry *entry, const struct ini_key *key)
{
	typedef void set_option(const struct ini_entry *, struct ini_value, struct config_disk *);
	static set_option *const set[OPTIONS] = { [OPTION_MODE] = set_disk_mode, [OPTION_SERIAL] = set_disk_serial };
	struct config_disk *disk = (void *)((char *)entry->record + key->offset);
	struct ini_value rest = entry->value;
	bool given[countof(set)] = { false };

	take_path(entry, cut(&rest, ','), &disk->file);
	while (rest.len) {
		struct ini_value value = cut(&rest, ',');
		struct ini_value name = cut(&value, '=');
		int option = ini_word_index(name, disk_options);

		if (option < 0)
			ini_error(entry,
				  "after the path come mode=cow|ro|rw and serial=TEXT; nearest is "
				  "\"%s\"",
				  ini_nearest(name, disk_options));
		else if (given[option])
			ini_error(entry, "%s is given twice", disk_options[option]);
		else
			set[option](entry, value, disk);
		if (option >= 0)
			given[option] = true;
	}
}

/* What a list names: "processors have numbers from 0 to 63" is said of such things. */
struct listed {
	const char *name;
	uint32_t count;
};

/* A number below the count; false, and said, when it is none. */
static bool take_listed(const struct ini_entry *entry, const struct listed *what, struct ini_value text, uint32_t *number)
{
	uint64_t value;

	if (!ini_take_number(&text, &value) || text.len) {
		ini_error(entry, "write the numbers of %s, such as 0,2-3", what->name);
		return false;
	}
	if (value >= what->count) {
		ini_error(entry, "%s have numbers from 0 to %u; nearest is %u", what->name, what->count - 1, what->count - 1);
		return false;
	}
	*number = (uint32_t)value;
	return true;
}

/* Was there a mark behind this part, which cut has left out? */
static bool is_marked(struct ini_value part, struct ini_value rest)
{
	return rest.at != part.at + part.len;
}

/* virsh's form without its ^: numbers and ranges, with commas. The bits of the set stay as they are after an error. */
static void take_set(const struct ini_entry *entry, const struct listed *what, uint64_t *to)
{
	struct ini_value rest = entry->value, range, first;
	uint32_t from, last;
	uint64_t set = 0;

	do {
		range = cut(&rest, ',');
		first = cut(&range, '-');
		if (!take_listed(entry, what, first, &from))
			return;
		last = from;
		if (is_marked(first, range) && !take_listed(entry, what, range, &last))
			return;
		if (last < from) {
			ini_error(entry, "\"%u-%u\" is no range: write %u-%u", from, last, last, from);
			return;
		}
		set |= FIELD(last, from);
	} while (is_marked(range, rest));
	*to = set;
}

static void set_cpuset(const struct ini_entry *entry, const struct ini_key *key)
{
	static const struct listed processors = { "processors", HANDOFF_CPUSET_MAX };
	struct config_vm *vm = entry->record;

	(void)key;		/* one key, one field */
	vm->cpuset_line = entry->line;
	take_set(entry, &processors, &vm->record.cpuset);
}

static void set_numa(const struct ini_entry *entry, const struct ini_key *key)
{
	static const struct listed nodes = { "nodes", HANDOFF_NODES_MAX };
	static const char *const words[] = { CONFIG_NUMA_ANY, NULL };
	struct config_vm *vm = entry->record;

	(void)key;
	if (ini_word_index(entry->value, words) == 0) {
		vm->record.numa = HANDOFF_NUMA_ANY;
	} else if (ini_lower(entry->value.at[0]) >= 'a' && ini_lower(entry->value.at[0]) <= 'z') {
		ini_error(entry, "write the numbers of nodes, such as 0,2-3, or %s; nearest is \"%s\"", words[0], words[0]);
	} else {
		vm->numa_line = entry->line;
		take_set(entry, &nodes, &vm->record.numa);
	}
}

/* ---- The keys --------------------------------------------------------------------------------------- */

#define HOST(field)	.offset = offsetof(struct config_host, field)
#define TEST_RESTORE_MAX 1000000U

#define VM(field)	.offset = offsetof(struct config_vm, field)
#define RECORD(field)	.offset = offsetof(struct config_vm, record.field)

static const struct ini_key host_keys[] = {
	{ "log_level", ini_set_word,   HOST(record.log_level), .words = log_levels },
	{ "when_done", ini_set_word,   HOST(record.stay_on),   .words = when_done },
	{ "attach",    set_attach,     HOST(record.attach) },
	{ "timeout",   ini_set_number, HOST(timeout),          .max = TIMEOUT_MAX },
	{ "run_id",    ini_set_text,   HOST(record.run_id),    .max = HANDOFF_RUN_ID_MAX },
	{ "overcommit", ini_set_word,  HOST(overcommit),       .words = no_yes },
	{ "scheduler", ini_set_word,   HOST(record.scheduler), .words = schedulers },
};

static const struct ini_key vm_keys[] = {
	{ "kernel",    set_path,       VM(kernel),     .required = true },
	{ "initrd",    set_path,       VM(initrd) },
	{ "cmdline",   set_cmdline,    RECORD(cmdline),    .max = HANDOFF_CMDLINE_MAX },
	{ "vcpus",     ini_set_number, RECORD(vcpus),      .min = 1, .max = HANDOFF_VCPUS_MAX },
	{ "weight",    ini_set_number, RECORD(weight),     .min = 1, .max = HANDOFF_WEIGHT_MAX },
	{ "cap",       ini_set_number, RECORD(cap),        .min = 1, .max = HANDOFF_CAP_MAX },
	{ "cpuset",    set_cpuset,     RECORD(cpuset) },
	{ "numa",      set_numa,       RECORD(numa) },
	{ "memory",    ini_set_size,   RECORD(memory),     .min = MEMORY_MIN, .max = HANDOFF_MEMORY_MAX },
	{ "overcommit", ini_set_word,  VM(overcommit), .words = no_yes },
	{ "protocol",  ini_set_word,   RECORD(protocol),   .words = protocols },
	{ "disk0",     set_disk,       VM(disks[0]) },
	{ "disk1",     set_disk,       VM(disks[1]) },
	{ "disk2",     set_disk,       VM(disks[2]) },
	{ "disk3",     set_disk,       VM(disks[3]) },
	{ "module0",   set_path,       VM(modules[0]) },
	{ "module1",   set_path,       VM(modules[1]) },
	{ "module2",   set_path,       VM(modules[2]) },
	{ "module3",   set_path,       VM(modules[3]) },
	{ "console",   ini_set_word,   RECORD(console),    .words = consoles },
	{ "on_crash",  ini_set_word,   RECORD(on_crash),   .words = actions },
	{ "on_reboot", ini_set_word,   RECORD(on_reboot),  .words = actions },
	{ "test_restore", ini_set_number, RECORD(test_restore), .max = TEST_RESTORE_MAX },
	{ "test_apic", ini_set_word,   RECORD(test_apic),  .words = apics },
	{ "autostart", ini_set_word,   VM(autostart),  .words = no_yes },
};
_Static_assert(countof(vm_keys) <= INI_KEYS_MAX, "the INI reader has one mark a key");
_Static_assert(HANDOFF_DISKS_MAX == 4 && HANDOFF_MODULES_MAX == 4, "one row each above");

void config_parse_host(const struct ini_text *source, struct config_host *host,
		       struct ini_report *report)
{
	static const struct ini_elsewhere vm_file = { "vms/NAME.conf", vm_keys, countof(vm_keys) };

	*host = (struct config_host){ .record.log_level = LOG_INFO };
	ini_parse(source, host_keys, countof(host_keys), &vm_file, host, report);
	ini_report_end(report, source->file);
}

/* disk2 without disk1 would silently become the guest's second disk: refuse it. */
static void check_no_gap(const struct ini_text *source, const char *key, const uint32_t *lines[],
			 unsigned count, struct ini_report *report)
{
	for (unsigned i = 1; i < count; i++)
		if (*lines[i] && !*lines[i - 1])
			ini_error_at(report, source->file, *lines[i],
				     "%s%u without %s%u: number them from 0", key, i, key, i - 1);
}

void config_parse_vm(const struct ini_text *source, const char *name, struct config_vm *vm,
		     struct ini_report *report)
{
	static const struct ini_elsewhere host_file = { "trapeze.conf", host_keys, countof(host_keys) };
	const uint32_t *disks[HANDOFF_DISKS_MAX], *modules[HANDOFF_MODULES_MAX];

	memset(vm, 0, sizeof(*vm));
	(void)ini_value_copy((struct ini_value){ name, strlen(name) }, vm->record.name, sizeof(vm->record.name));
	vm->record.vcpus = 1;
	vm->record.weight = HANDOFF_WEIGHT_DEFAULT;
	vm->record.memory = MEMORY_DEFAULT;
	vm->record.on_crash = ACTION_DESTROY;
	vm->record.on_reboot = ACTION_RESTART;
	vm->autostart = true;
	vm->overcommit = CONFIG_AS_HOST;
	ini_parse(source, vm_keys, countof(vm_keys), &host_file, vm, report);
	for (unsigned i = 0; i < HANDOFF_DISKS_MAX; i++)
		disks[i] = &vm->disks[i].file.line;
	for (unsigned i = 0; i < HANDOFF_MODULES_MAX; i++)
		modules[i] = &vm->modules[i].line;
	check_no_gap(source, "disk", disks, HANDOFF_DISKS_MAX, report);
	check_no_gap(source, "module", modules, HANDOFF_MODULES_MAX, report);
	ini_report_end(report, source->file);
}

bool config_overcommits(const struct config_host *host, const struct config_vm *vm)
{
	return vm->overcommit == CONFIG_AS_HOST ? host->overcommit : vm->overcommit;
}

/* ---- Names ------------------------------------------------------------------------------------------ */

int config_name_order(const char *a, const char *b)
{
	while (*a && ini_lower(*a) == ini_lower(*b)) {
		a++;
		b++;
	}
	return (unsigned char)ini_lower(*a) - (unsigned char)ini_lower(*b);
}

bool config_same_path(const char *a, const char *b)
{
	return config_name_order(a, b) == 0;
}

int config_vm_name(const char *file_name, char name[HANDOFF_NAME_MAX])
{
	const size_t suffix = sizeof(CONF_SUFFIX) - 1, len = strlen(file_name);

	/* A leading dot is how other systems mark what is not for people ("._web.conf"). */
	if (file_name[0] == '.' || len <= suffix ||
	    config_name_order(file_name + len - suffix, CONF_SUFFIX) != 0)
		return 0;
	if (!ini_value_copy((struct ini_value){ file_name, len - suffix }, name, HANDOFF_NAME_MAX))
		return -1;
	for (size_t i = 0; name[i]; i++)
		if (!is_name_char(name[i]))
			return -1;
	return config_same_path(name, CONFIG_ATTACH_NONE) ? -1 : 1;
}
