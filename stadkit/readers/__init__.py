"""Read detections, truth and tubes of any known format into tables."""
