/* Copyright (c) 2026, the opsready.golive authors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A provider of security labels for PostgreSQL, as sepgsql is one: it takes every label but "unheard of". */

#include "postgres.h"

#include "commands/seclabel.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static void
accept_label(const ObjectAddress *object, const char *label)
{
	(void) object;
	if (label != NULL && strcmp(label, "unheard of") == 0)
		ereport(ERROR, (errmsg("\"%s\" is no label", label)));
}

void
_PG_init(void)
{
	register_label_provider("opsready_test", accept_label);
}
