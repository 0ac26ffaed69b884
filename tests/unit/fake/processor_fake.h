/* SPDX-License-Identifier: MIT */
#pragma once
/* Processors for host tests: the one that host_processor names is the one a test runs on. */
#include "hv/processor.h"

#define PROCESSORS	3U

extern struct processor processors_fake[PROCESSORS];

void processor_fake_run_on(unsigned index);	/* 0 unless a test says otherwise */
