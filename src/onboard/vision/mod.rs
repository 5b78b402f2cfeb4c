//! Finds plates in a frame and reads them: decode, detector, crop, OCR.

pub mod candidate;
