/* SPDX-License-Identifier: MIT */
/* Why there is no virtualization, in the words of the processor that is here, and the lines of capabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/host/features.h"
#include "arch/x86/virt/caps.h"
#include "hv/lib/util.h"
#include "hv/log.h"

struct cpu_features cpu_features;

static char logged[512];

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	(void)level;
	va_start(args, fmt);
	vsnprintf(logged, sizeof(logged), fmt, args);
	va_end(args);
}

/* Both back ends ask, in any order; each answer must fit the processor and not the one who asks. */
static void test_absent(void **unused)
{
	static const struct {
		const char *name;
		struct cpu_features features;
		const char *says, *says_not;
	} rows[] = {
		{ "Intel under KVM", { .is_intel = true, .has_hypervisor = true, .hypervisor = "KVMKVMKVM" },
		  "TZ-E006 running under KVMKVMKVM without nested virtualization: under KVM load kvm_intel with nested=1 ", "kvm_amd" },
		{ "AMD under KVM", { .is_amd = true, .has_hypervisor = true, .hypervisor = "KVMKVMKVM" },
		  "under KVM load kvm_amd with nested=1 and use -cpu host", "kvm_intel" },
		{ "bare", { .is_intel = true, .vendor = "GenuineIntel", .brand = "Pentium" },
		  "TZ-E001 this CPU has no hardware virtualization (GenuineIntel, Pentium)", "KVM" },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		cpu_features = rows[i].features;
		for (unsigned asker = 0; asker < 2; asker++)
			if (!strstr(caps_absent(), rows[i].says) || strstr(caps_absent(), rows[i].says_not))
				fail_msg("%s: %s", rows[i].name, caps_absent());
	}
}

static void test_log(void **unused)
{
	static const struct cap_row rows[] = { { "a", true, NULL }, { "b", false, NULL }, { "c", false, "slow" },
					       { "d", true, "slow" } };

	(void)unused;
	caps_log("group", rows, countof(rows));
	assert_string_equal(logged, "caps: group: a yes, b no, c no (slow), d yes");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_absent), cmocka_unit_test(test_log) };

	return cmocka_run_group_tests_name("caps", tests, NULL, NULL);
}
