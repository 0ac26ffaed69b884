/* SPDX-License-Identifier: MIT */
/* The capability report (contract in caps.h). */
#include "arch/x86/virt/caps.h"

#include "arch/x86/host/features.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/log.h"

#define LINE_MAX	440U	/* of the log's 512 */

static size_t add_row(char *line, size_t size, const struct cap_row *row)
{
	if (row->has || !row->instead)
		return format_buf(line, size, " %s %s", row->name, row->has ? "yes" : "no");
	return format_buf(line, size, " %s no (%s)", row->name, row->instead);
}

const char *caps_absent(void)
{
	static char text[256];

	if (cpu_features.has_hypervisor)
		format_buf(text, sizeof(text), "TZ-E006 running under %s without nested virtualization: under KVM load %s "
			   "with nested=1 and use -cpu host; in QEMU's software mode use -cpu EPYC,+svm",
			   cpu_features.hypervisor, cpu_features.is_amd ? "kvm_amd" : "kvm_intel");
	else
		format_buf(text, sizeof(text), "TZ-E001 this CPU has no hardware virtualization (%s, %s)",
			   cpu_features.vendor, cpu_features.brand);
	return text;
}

void caps_log(const char *group, const struct cap_row *rows, size_t count)
{
	char   line[LINE_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			len += format_buf(line + len, sizeof(line) - len, ",");
		len = min_size(len, sizeof(line) - 1);
		len += add_row(line + len, sizeof(line) - len, &rows[i]);
		len = min_size(len, sizeof(line) - 1);
	}
	log_info("caps: %s:%s", group, line);
}
