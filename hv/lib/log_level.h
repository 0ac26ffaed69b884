/* SPDX-License-Identifier: MIT */
#pragma once
/* How much the hypervisor says. The loader reads the word (boot/config.c), the log obeys the number (hv/log.h). */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
