"""Evaluation metrics for detections and tubes."""
