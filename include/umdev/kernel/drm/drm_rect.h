/* Included by drivers of virtual displays, which use nothing of it. */
#pragma once
