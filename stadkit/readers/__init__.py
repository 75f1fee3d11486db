"""Files that users give -> tables: detections, truth and tubes of any known format."""
