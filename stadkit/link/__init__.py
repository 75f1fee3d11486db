"""From boxes or tubelets in single frames to tubes."""
