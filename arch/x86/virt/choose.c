/* SPDX-License-Identifier: MIT */
/* Which back end runs the guests of this machine (contract in backend.h). */
#include <stddef.h>

#include "arch/x86/host/features.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"

const struct virt_backend *virt;

const char *virt_choose(void)
{
	static const struct virt_backend *const backends[] = { &vmx_backend, &svm_backend };
	const char *why_not[countof(backends)] = { 0 };

	for (size_t i = 0; i < countof(backends); i++) {
		if (backends[i]->supported(&why_not[i])) {
			virt = backends[i];
			return NULL;
		}
	}
	return why_not[cpu_features.is_amd ? 1 : 0];
}
