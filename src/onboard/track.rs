//! Joins the detections of one plate over frames.
