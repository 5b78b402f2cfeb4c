//! Lists read from files: plain and CSV.
