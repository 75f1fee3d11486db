"""How good a table of detections is."""
