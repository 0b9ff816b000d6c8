/* Planes of a display. */
#pragma once

enum drm_plane_type { DRM_PLANE_TYPE_OVERLAY, DRM_PLANE_TYPE_PRIMARY, DRM_PLANE_TYPE_CURSOR };
